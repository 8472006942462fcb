"""A real handbook, commit by commit: after each build the index is what the warehouse holds.

`HEADRACE_REPLAY_COMMITS` says how many commits; `make replay` takes all of them.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from dagster_project.core.build import Headrace
from dagster_project.core.embedding.sentence_transformer import SentenceTransformerEmbedder
from dagster_project.core.ingest import ingest_files
from tests import handbook
from tests.handbook import History

from .desk import WITHOUT_TESTS

COMMITS = int(os.environ.get("HEADRACE_REPLAY_COMMITS", "4"))
CHECKPOINTS = 10 if COMMITS > 100 else 1

pytestmark = pytest.mark.skipif(not handbook.EVENTS.is_file(), reason=handbook.ABSENT)


def _content(headrace: Headrace) -> list[tuple[str, str, str]]:
    rows = headrace.index.dump()
    return sorted((row["chunk_id"], row["document_id"], row["text"]) for row in rows)


def test_every_commit_leaves_an_exact_index(headrace: Headrace, tmp_path: Path) -> None:
    folder = tmp_path / "handbook"
    history = History.read()
    handbook.apply(history.first, folder)
    ingest_files(headrace.warehouse, str(folder), "handbook")
    headrace.build()
    assert headrace.verify().is_clean
    _lossless(headrace)
    _within_the_model(headrace)

    replayed = history.commits[:COMMITS]
    every = max(len(replayed) // CHECKPOINTS, 1)
    for number, events in enumerate(replayed, start=1):
        handbook.apply(events, folder)
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
