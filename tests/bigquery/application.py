"""The example company's application tables, made in the emulator from their Postgres DDL."""

from __future__ import annotations

from collections.abc import Sequence

import sqlglot
from sqlglot import exp

from .compiled_project import Source
from .emulator import REPOSITORY, Emulator
from .zetasql_judge import Schema

SCHEMA_FILE = REPOSITORY / "dagster_project" / "demo" / "schema.sql"


def create_application(emulator: Emulator, sources: Sequence[Source]) -> dict[str, Schema]:
    """Make those ``sources`` that are the application's, empty; gives each schema by full name."""
    types = application_types()
    schemas = {source.relation: types[source.name] for source in sources if source.name in types}
    for dataset in {relation.split(".")[1] for relation in schemas}:
        emulator.client().create_dataset(dataset, exists_ok=True, timeout=30)
    for relation, schema in schemas.items():
        create_table(emulator, relation, schema)
    return schemas


def application_types() -> dict[str, Schema]:
    """The application's tables in BigQuery's types, by ``schema.table``."""
    return {
        f"{create.this.this.db}.{create.this.this.name}": {
            column.name: column.kind.sql("bigquery")
            for column in create.find_all(exp.ColumnDef)
            if column.kind is not None
        }
        for create in sqlglot.parse(SCHEMA_FILE.read_text(), dialect="postgres")
        if isinstance(create, exp.Create) and create.kind == "TABLE"
    }


def create_table(emulator: Emulator, relation: str, schema: Schema) -> None:
    """Make an empty table in the emulator, in place of one of that name."""
    columns = ", ".join(f"`{name}` {data_type}" for name, data_type in schema.items())
    emulator.query(f"create or replace table `{relation}` ({columns})")
