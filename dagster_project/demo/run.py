"""What `headrace demo` does before and after the main job."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
from rich.console import Console

from dagster_project.core.build import Headrace
from dagster_project.core.settings import EXAMPLE_PROJECT, Settings
from dagster_project.demo import generate, live, make_tables

QUESTIONS = (
    "What is LTV?",
    "refund window",
    "clock-in on the mobile app does not sync after being offline",
)


def prepare(headrace: Headrace, *, scale: float, seed: int, console: Console) -> Headrace:
    """Write the company's tables and make its dbt project the home's project.

    Returns:
        Headrace with the settings as they are then.
    """
    with console.status("Writing the example company's database"):
        rows = _write(headrace, scale=scale, seed=seed)
    console.print(
        "Source rows: " + ", ".join(f"{count:,} {table}" for table, count in rows.items())
    )
    headrace.settings.save(dbt_project=str(EXAMPLE_PROJECT))
    return Headrace(Settings.load(headrace.settings.home))


def _write(headrace: Headrace, *, scale: float, seed: int) -> dict[str, int]:
    if headrace.settings.bigquery is None:
        with psycopg.connect(headrace.postgres_url) as connection:
            return generate(connection, seed=seed, scale=scale)
    # Imported here: Google's clients are an extra.
    from dagster_project.core.warehouse.bigquery import BigQueryWarehouse
    from dagster_project.demo.bigquery import load

    warehouse, tables = headrace.warehouse, make_tables(seed=seed, scale=scale)
    assert isinstance(warehouse, BigQueryWarehouse)
    load(warehouse, tables)
    return {table: len(rows) for table, rows in tables.items()}


def changes(headrace: Headrace, *, per_second: float, seed: int) -> Iterator[str]:
    """Change the company's data without end; each change as a line."""
    with psycopg.connect(headrace.postgres_url) as connection:
        yield from live(connection, per_second=per_second, seconds=None, seed=seed)
