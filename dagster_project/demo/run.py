"""What `headrace demo` does before and after the main job."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
from rich.console import Console

from dagster_project.core.build import Headrace
from dagster_project.core.settings import EXAMPLE_PROJECT, Settings
from dagster_project.demo import generate, live

QUESTIONS = (
    "What is LTV?",
    "refund window",
    "clock-in on the mobile app does not sync after being offline",
)


def prepare(headrace: Headrace, *, scale: float, seed: int, console: Console) -> Headrace:
    """Write the company's database and make its dbt project the home's project.

    Returns:
        Headrace with the settings as they are then.
    """
    with console.status("Writing the example company's database"):
        with psycopg.connect(headrace.postgres_url) as connection:
            rows = generate(connection, seed=seed, scale=scale)
    console.print(
        "Source rows: " + ", ".join(f"{count:,} {table}" for table, count in rows.items())
    )
    headrace.settings.save(dbt_project=str(EXAMPLE_PROJECT))
    return Headrace(Settings.load(headrace.settings.home))


def changes(headrace: Headrace, *, per_second: float, seed: int) -> Iterator[str]:
    """Change the company's data without end; each change as a line."""
    with psycopg.connect(headrace.postgres_url) as connection:
        yield from live(connection, per_second=per_second, seconds=None, seed=seed)
