"""What Headrace reads from and writes to a warehouse."""

from dagster_project.core.warehouse.contract import CHUNK_SCHEMA, KEY_SCHEMA, LedgerRow, Refusal
from dagster_project.core.warehouse.postgres import PostgresWarehouse

__all__ = ["CHUNK_SCHEMA", "KEY_SCHEMA", "LedgerRow", "PostgresWarehouse", "Refusal"]
