"""A real handbook, commit by commit: after each build the index is what the warehouse holds.

`HEADRACE_REPLAY_COMMITS` says how many commits; `make replay` takes all of them.
"""

from __future__ import annotations

import gzip
import itertools
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dagster_project.core.build import Headrace
from dagster_project.core.embedding.sentence_transformer import SentenceTransformerEmbedder
from dagster_project.core.ingest import ingest_files

from .desk import WITHOUT_TESTS

DATA = Path(os.environ.get("HEADRACE_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data")
EVENTS = DATA / "handbook" / "events.jsonl.gz"
COMMITS = int(os.environ.get("HEADRACE_REPLAY_COMMITS", "4"))
CHECKPOINTS = 10 if COMMITS > 100 else 1

pytestmark = pytest.mark.skipif(
    not EVENTS.is_file(),
    reason=f"{EVENTS} is not there: set HEADRACE_TEST_DATA to the folder of the test data",
)


def _commits() -> Iterator[list[dict[str, Any]]]:
    with gzip.open(EVENTS, "rt") as lines:
        events = (json.loads(line) for line in lines)
        for _, group in itertools.groupby(events, key=lambda event: event["commit"]):
            yield list(group)


def _apply(events: list[dict[str, Any]], folder: Path) -> None:
    for event in events:
        path = folder / event["path"]
        if event["op"] == "delete":
            path.unlink(missing_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(event["body"], encoding="utf-8")


def _content(headrace: Headrace) -> list[tuple[str, str, str]]:
    rows = headrace.index.dump()
    return sorted((row["chunk_id"], row["document_id"], row["text"]) for row in rows)


def test_every_commit_leaves_an_exact_index(headrace: Headrace, tmp_path: Path) -> None:
    folder = tmp_path / "handbook"
    folder.mkdir()
    commits = _commits()
    _apply(next(commits), folder)
    ingest_files(headrace.warehouse, str(folder), "handbook")
    headrace.build()
    assert headrace.verify().is_clean
    _lossless(headrace)
    _within_the_model(headrace)

    replayed = list(itertools.islice(commits, COMMITS))
    every = max(len(replayed) // CHECKPOINTS, 1)
    for number, events in enumerate(replayed, start=1):
        _apply(events, folder)
        ingest_files(headrace.warehouse, str(folder), "handbook")
        headrace.build(WITHOUT_TESTS)
        assert headrace.verify().is_clean, f"after commit {number}, {events[0]['commit']}"
        if number % every == 0 or number == len(replayed):
            scratch = Headrace(
                replace(
                    headrace.settings,
                    home=tmp_path / f"scratch{number}",
                    schema=f"scratch{number}",
                    lancedb_uri=str(tmp_path / f"scratch{number}" / "lancedb"),
                )
            )
            scratch.build(WITHOUT_TESTS)
            assert _content(headrace) == _content(scratch), f"at commit {number}"


def _lossless(headrace: Headrace) -> None:
    texts: dict[str, str] = {}
    for row in headrace.index.dump():
        texts[row["document_id"]] = texts.get(row["document_id"], "") + row["text"]
    with psycopg.connect(headrace.postgres_url) as connection:
        bodies = connection.execute(
            "select document_id, body from headrace.rag__documents"
        ).fetchall()
    assert len(bodies) > 150
    for document_id, body in bodies:
        assert re.sub(r"\s", "", texts.get(document_id, "")) == re.sub(r"\s", "", body), document_id


def _within_the_model(headrace: Headrace) -> None:
    model = SentenceTransformerEmbedder("all-MiniLM-L6-v2")
    with psycopg.connect(headrace.postgres_url) as connection:
        rows = connection.execute(
            "select chunk_text, approx_tokens from headrace.rag__chunks"
        ).fetchall()
    counts = model.count_tokens([text for text, _ in rows])
    assert max(counts) <= model.max_tokens
    assert all(count <= bound for count, (_, bound) in zip(counts, rows, strict=True))
