"""What Headrace reads from and writes to a warehouse."""

from dagster_project.core.warehouse.contract import (
    CHUNK_SCHEMA,
    KEY_SCHEMA,
    Answer,
    GoldQuestion,
    LedgerRow,
    Refusal,
)
from dagster_project.core.warehouse.postgres import PostgresWarehouse

__all__ = [
    "CHUNK_SCHEMA",
    "KEY_SCHEMA",
    "Answer",
    "GoldQuestion",
    "LedgerRow",
    "PostgresWarehouse",
    "Refusal",
]
