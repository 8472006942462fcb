"""What Headrace reads from and writes to a warehouse."""

from dagster_project.core.warehouse.base import Warehouse
from dagster_project.core.warehouse.contract import (
    CHUNK_SCHEMA,
    EVERYONE,
    KEY_SCHEMA,
    MORE,
    RAW_COLUMNS,
    Answer,
    Delivery,
    GoldQuestion,
    LedgerRow,
    Refusal,
    SourceTable,
    SqlAlchemyEngine,
    Trace,
)
from dagster_project.core.warehouse.postgres import PostgresWarehouse

__all__ = [
    "CHUNK_SCHEMA",
    "EVERYONE",
    "KEY_SCHEMA",
    "MORE",
    "RAW_COLUMNS",
    "Answer",
    "Delivery",
    "GoldQuestion",
    "LedgerRow",
    "PostgresWarehouse",
    "Refusal",
    "SourceTable",
    "SqlAlchemyEngine",
    "Trace",
    "Warehouse",
]
