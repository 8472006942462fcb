"""Versions found among real documents: a handbook's first and last state, loaded side by side.

Every page that stands in both states is a pair, and no other is: what Headrace finds by the path
(`find_versions: [path]`), and what `rag__conflicts` reports of the texts alone where no policy
looks, is counted against that. Prints ten pairs of each.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

from dagster_project.core.build import Headrace
from dagster_project.core.ingest import ingest_files
from dagster_project.core.postgres import EmbeddedPostgres
from dagster_project.core.settings import PACKAGE_PROJECT, Settings

DATA = Path(os.environ.get("HEADRACE_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
STATES = ("2022-12-29", "2024-06-27")
SHOWN = 10


def main() -> None:
    """Load, build, count, print."""
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    console = Console(width=160)
    with tempfile.TemporaryDirectory() as folder:
        pages = Path(folder) / "pages"
        both = _write(DATA / "handbook" / "events.jsonl.gz", pages)
        home = Path(folder) / "home"
        try:
            for finds in (["path"], []):
                headrace = _built(home / ("by_path" if finds else "by_text"), home, pages, finds)
                pairs = _superseded(headrace) if finds else _reported(headrace)
                console.print(_table("By the path" if finds else "By the text", pairs, both))
        finally:
            EmbeddedPostgres(home).stop()


def _write(events: Path, folder: Path) -> set[str]:
    """The first and the last state as two folders; gives the paths that stand in both."""
    state: dict[str, str] = {}
    states: list[dict[str, str]] = []
    with gzip.open(events, "rt") as lines:
        first = None
        for line in lines:
            event = json.loads(line)
            first = first or event["commit"]
            if event["commit"] != first and not states:
                states.append(dict(state))
            if event["op"] == "delete":
                state.pop(event["path"], None)
            else:
                state[event["path"]] = event["body"]
    states.append(state)
    for name, content in zip(STATES, states, strict=True):
        for path, body in content.items():
            page = folder / name / path
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(body, encoding="utf-8")
    return states[0].keys() & states[1].keys()


def _built(home: Path, server: Path, pages: Path, finds: list[str]) -> Headrace:
    settings = Settings(
        home=home,
        dbt_project=PACKAGE_PROJECT,
        postgres_url=EmbeddedPostgres(server).start(),
        schema=home.name,
        lancedb_uri=str(home / "lancedb"),
        model="fake",
    )
    headrace = Headrace(settings)
    ingest_files(headrace.warehouse, str(pages), "handbook")
    policy = [{"source_name": "handbook", "find_versions": finds}]
    headrace.transform(["--vars", json.dumps({"headrace_lifecycle": policy})])
    return headrace


def _superseded(headrace: Headrace) -> list[tuple[str, str, str]]:
    return _rows(
        headrace,
        "select document_id, superseded_by, lifecycle_state from {}.rag__documents "
        "where superseded_by is not null order by document_id",
    )


def _reported(headrace: Headrace) -> list[tuple[str, str, str]]:
    return _rows(
        headrace,
        "select distinct document_id, other_document_id, kind from {}.rag__conflicts "
        "order by document_id, other_document_id",
    )


def _rows(headrace: Headrace, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(headrace.postgres_url) as connection:
        return connection.execute(query.format(headrace.settings.schema).encode()).fetchall()


def _table(title: str, pairs: Sequence[tuple[str, str, str]], both: set[str]) -> Table:
    right = [pair for pair in pairs if _page(pair[0]) == _page(pair[1])]
    wrong = [pair for pair in pairs if _page(pair[0]) != _page(pair[1])]
    found = {_page(pair[0]) for pair in right}
    table = Table(
        title=f"{title}: {len(pairs)} pairs, {len(right)} right, {len(wrong)} wrong; "
        f"{len(found & both)} of the {len(both)} pages that stand in both were found"
    )
    for name in ("", "older", "newer", "what"):
        table.add_column(name, overflow="fold")
    chance = random.Random(1)
    some = chance.sample(wrong, min(len(wrong), SHOWN // 2))
    some += chance.sample(right, min(len(right), SHOWN - len(some)))
    for older, newer, what in some:
        verdict = "right" if _page(older) == _page(newer) else "wrong"
        table.add_row(verdict, older, newer, what)
    return table


def _page(document_id: str) -> str:
    """The path within a state."""
    return document_id.removeprefix("handbook:").split("/", 1)[1]


if __name__ == "__main__":
    main()
