"""Both warehouses from the same sources at full size, and what `headrace parity` says of them.

The example company at `--scale`, and a real handbook's first and last state side by side, where its
data is present (`HEADRACE_TEST_DATA`). Everything is made anew in a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import psycopg
from rich.console import Console

from dagster_project.core.postgres import EmbeddedPostgres
from dagster_project.core.profile import BigQueryPlace
from dagster_project.core.settings import EXAMPLE_PROJECT, PACKAGE_PROJECT
from dagster_project.core.warehouse.bigquery import BigQueryWarehouse
from dagster_project.demo import generate, make_tables
from dagster_project.demo.bigquery import load
from tests import handbook
from tests.core.desk import WITHOUT_TESTS
from tests.handbook import History

from .emulator import running
from .twins import NOW, TOKEN, Twins, keep, place, twins

_JOB_SECONDS = 600
_BY_PATH = {"headrace_lifecycle": [{"source_name": "handbook", "find_versions": ["path"]}]}


def main() -> int:
    """Build both, compare them by the command; gives 1 where something differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="Multiplies customers and tickets")
    scale = parser.parse_args().scale
    console = Console(width=110)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        postgres = EmbeddedPostgres(root)
        try:
            with running(root) as emulator:
                url = postgres.start()
                there = replace(place(emulator, "example"), job_seconds=_JOB_SECONDS)
                made = [_example(there, url, root / "example", scale, console)]
                there = replace(there, project="handbook")
                if handbook.EVENTS.is_file():
                    made.append(_handbook(there, url, root / "handbook", console))
                else:
                    console.print(handbook.ABSENT)
                return max(_compare(pair, console) for pair in made)
        finally:
            postgres.stop()


def _example(there: BigQueryPlace, url: str, root: Path, scale: float, console: Console) -> Twins:
    pair = twins(there, url, root, EXAMPLE_PROJECT)
    warehouse = pair.bigquery.warehouse
    assert isinstance(warehouse, BigQueryWarehouse)
    load(warehouse, make_tables(scale=scale, now=NOW))
    with psycopg.connect(pair.postgres.postgres_url) as connection:
        rows = generate(connection, scale=scale, now=NOW)
    console.print(f"The example at scale {scale:g}: {sum(rows.values()):,} source rows")
    _build(pair, {}, console)
    return pair


def _handbook(there: BigQueryPlace, url: str, root: Path, console: Console) -> Twins:
    """Its first and its last state in two folders: a page of both is two versions of one."""
    pair, history = twins(there, url, root, PACKAGE_PROJECT), History.read()
    pages = root / "pages"
    handbook.apply(history.first, pages / "2022-12-29")
    handbook.apply([*history.first, *history.later], pages / "2024-06-27")
    pair.load(pages, "handbook")
    console.print(f"The handbook: {len(list(pages.rglob('*.md'))):,} pages")
    _build(pair, _BY_PATH, console)
    return pair


def _build(pair: Twins, variables: Mapping[str, object], console: Console) -> None:
    given = json.dumps({"headrace_as_of": NOW.isoformat(), **variables})
    for headrace in pair:
        started = time.perf_counter()
        headrace.transform([*WITHOUT_TESTS, "--vars", given])
        console.print(
            f"{type(headrace.warehouse).__name__}: {headrace.warehouse.count_documents():,} "
            f"documents, {headrace.warehouse.count_chunks():,} chunks, dbt took "
            f"{time.perf_counter() - started:.0f} s"
        )


def _compare(pair: Twins, console: Console) -> int:
    """Run the command from the home of one, on the home of the other."""
    for headrace in pair:
        keep(headrace)
    home, other = (str(headrace.settings.home) for headrace in pair)
    command = [sys.executable, "-m", "dagster_project.cli", "parity", other]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")
    }
    console.print(f"\nHEADRACE_HOME={home} headrace parity {other}", soft_wrap=True)
    environment |= {"HEADRACE_HOME": home, TOKEN: "none", "COLUMNS": "110"}
    return subprocess.run(command, env=environment, timeout=_JOB_SECONDS).returncode


if __name__ == "__main__":
    sys.exit(main())
