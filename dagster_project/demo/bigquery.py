"""The example company's tables in BigQuery, by load jobs."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple, Union, get_args, get_origin, get_type_hints

from google.cloud import bigquery

from dagster_project.core.warehouse.bigquery import BigQueryWarehouse

SCHEMA = "saas"
_TYPES = {bool: "BOOL", int: "INT64", str: "STRING", date: "DATE", datetime: "TIMESTAMP"}


def load(warehouse: BigQueryWarehouse, tables: Mapping[str, Sequence[NamedTuple]]) -> None:
    """Write the rows of each table in place of what it holds; a column's type is its field's.

    Raises:
        WarehouseError: BigQuery refuses a load.
    """
    warehouse.tables(SCHEMA)
    for name, rows in tables.items():
        warehouse.load(
            f"{warehouse.place.project}.{SCHEMA}.{name}",
            [_column(field, hint) for field, hint in get_type_hints(type(rows[0])).items()],
            [{field: _json(value) for field, value in row._asdict().items()} for row in rows],
        )


def _column(name: str, hint: type) -> bigquery.SchemaField:
    optional = get_origin(hint) in {Union, types.UnionType}
    (kind,) = [each for each in get_args(hint) if each is not type(None)] if optional else [hint]
    return bigquery.SchemaField(name, _TYPES[kind], "NULLABLE" if optional else "REQUIRED")


def _json(value: object) -> object:
    return value.isoformat() if isinstance(value, (date, datetime)) else value
