"""Files to search hits on a real Postgres and LanceDB; these tests follow one another."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from dagster_project.core.build import Headrace
from dagster_project.core.errors import VectorStoreError
from dagster_project.core.ingest import ingest_files
from dagster_project.core.retrieval import Principals, Retriever
from dagster_project.core.sync import sync

POLICY = """---
title: Refund policy {year}
doc_type: policy
version_family: refund-policy
version_date: {year}-01-01
---
## Refund window

Money goes back within {days} days.
"""
HOSTILE = {
    "crlf.md": "# One\r\n\r\ntext\r\n## Two\r\nmore",
    "fence.md": "text\n\n```\nnever closed\n# no heading\n",
    "word.md": "x" * 100_000,
    "control.md": "a\x01b \x07 c",
    "emoji.md": "👩‍👩‍👧 " * 400,
    "korean.md": "한국어 문장입니다. " * 300,
    "html.md": "<table><tr><td>cell</td></tr></table>\n\n<script>alert(1)</script>",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    for year, days in ((2022, 30), (2024, 14)):
        (folder / f"refund-{year}.md").write_text(POLICY.format(year=year, days=days))
    for name, body in HOSTILE.items():
        (folder / name).write_bytes(body.encode())
    (folder / "empty.md").write_text("   \n")
    return folder


def _build(headrace: Headrace, folder: Path) -> object:
    ingest_files(headrace.warehouse, str(folder), "test")
    return headrace.build().sync


def test_what_is_ingested_is_indexed_without_loss(headrace: Headrace, folder: Path) -> None:
    _build(headrace, folder)
    assert headrace.verify().is_clean
    texts: dict[str, str] = {}
    for row in headrace.index.dump():
        texts[row["document_id"]] = texts.get(row["document_id"], "") + row["text"]
    for name, body in HOSTILE.items():
        assert _squeezed(texts[f"test:{name}"]) == _squeezed(body)
    with psycopg.connect(headrace.postgres_url) as connection:
        refused = connection.execute("select document_id from headrace.rag__quarantine").fetchall()
    assert refused == [("test:empty.md",)]


def _squeezed(text: str) -> str:
    return re.sub(r"[\x00-\x20\x7f]", "", text)


def test_a_second_build_writes_nothing(headrace: Headrace) -> None:
    version = headrace.index.version
    report = headrace.build().sync
    assert report.is_empty and report.embedded == 0
    assert headrace.index.version == version


def test_the_newest_version_answers_until_it_is_deleted(headrace: Headrace, folder: Path) -> None:
    def found() -> set[str]:
        hits = Retriever(headrace, Principals.of()).search("refund window", 50)
        return {hit.document_id for hit in hits if "refund" in hit.document_id}

    assert found() == {"test:refund-2024.md"}
    (folder / "refund-2024.md").unlink()
    report = _build(headrace, folder)
    assert found() == {"test:refund-2022.md"}
    assert getattr(report, "embedded", None) == 1
    assert headrace.verify().is_clean


def test_a_text_that_moved_keeps_its_vector(headrace: Headrace, folder: Path) -> None:
    (folder / "html.md").rename(folder / "renamed.md")
    (folder / "renamed.md").write_text("---\ntitle: html\n---\n" + HOSTILE["html.md"])
    report = headrace.build().sync
    assert report.embedded == 0
    _build(headrace, folder)
    assert headrace.verify().is_clean


def test_a_second_writer_is_refused(headrace: Headrace) -> None:
    with headrace.index.writer(), pytest.raises(VectorStoreError, match="writes the index"):
        sync(headrace.warehouse, headrace.index, headrace.embedder)


def test_a_row_that_was_lost_is_found(headrace: Headrace) -> None:
    lost = headrace.index.dump()[0]["chunk_id"]
    headrace.index.delete([lost])
    headrace.index.publish()
    assert headrace.verify().missing == [lost]
