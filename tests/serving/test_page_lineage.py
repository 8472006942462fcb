"""Lineage where the warehouse answers: what dbt, the sync and the publication noted."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import psycopg
import pytest

from dagster_project.core.build import Headrace
from dagster_project.core.ingest import ingest_files
from dagster_project.core.retrieval import Lineage, Principals, Retriever
from tests.core.desk import WITHOUT_TESTS

from .pages import client, soup

NOTE = """---
title: Refunds
updated_at: {day}
access: [role:support]
---
# Window

Refunds are paid within {number} days.

# How to ask

Name the invoice.
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notes")


@pytest.fixture(scope="module")
def built(headrace: Headrace, folder: Path) -> Headrace:
    """A note that was published, edited in one section, and published again."""
    (folder / "refunds.md").write_text(NOTE.format(day="2026-01-01", number=30))
    (folder / "other.md").write_text("Another note.")
    ingest_files(headrace.warehouse, str(folder), "notes")
    headrace.build(WITHOUT_TESTS)
    (folder / "refunds.md").write_text(NOTE.format(day="2026-02-01", number=14))
    ingest_files(headrace.warehouse, str(folder), "notes")
    headrace.build(WITHOUT_TESTS)
    return headrace


def _lineage(headrace: Headrace, *names: str) -> Lineage | None:
    return Retriever(headrace, Principals.of(*names)).lineage("notes:refunds.md")


def test_a_document_is_traced_to_its_source(built: Headrace) -> None:
    found = _lineage(built, "role:support")
    assert found is not None and found.problem == ""
    assert (found.generation, found.version) == (
        built.live_generation.name,
        built.live_index.live_version,
    )
    assert found.document_model == "doc_ingested"
    assert found.source_tables == ("headrace_ops.raw_documents",)
    assert found.source_updated_at == datetime(2026, 2, 1, tzinfo=timezone.utc)
    # The section that was edited is of the second run, the other one still of the first.
    first, second = sorted(found.chunks, key=lambda chunk: chunk.run.batch_id or 0)
    assert (first.chunk_index, second.chunk_index) == (1, 0)
    assert first.run.invocation_id != second.run.invocation_id
    assert second.run.batch_id == found.batch_id
    assert first.run.ran_at is not None and second.run.ran_at is not None
    came = found.delivery
    assert came is not None and came.published_at is not None
    assert came.published_version == found.version
    assert came.dbt_invocation_id == second.run.invocation_id
    # In the order in which it happened.
    times = [
        first.run.ran_at,
        first.indexed_at,
        second.run.ran_at,
        came.started_at,
        second.indexed_at,
        came.finished_at,
        came.published_at,
    ]
    assert times == sorted(times)
    assert found.seconds_to_readers == (came.published_at - found.source_updated_at).total_seconds()


def test_a_document_of_others_has_no_lineage(built: Headrace) -> None:
    assert _lineage(built) is None
    assert _lineage(built, "role:sales") is None
    assert Retriever(built, Principals.admin()).lineage("notes:nothing.md") is None


def test_the_page_shows_it(built: Headrace) -> None:
    found = soup(client(built, "role:support"), "/document", id="notes:refunds.md", q="refund")
    steps = {step.h3.text: step.text for step in found.select(".steps li")}  # type: ignore[union-attr]
    lineage = _lineage(built, "role:support")
    assert lineage is not None and lineage.delivery is not None
    assert "doc_ingested" in steps["Document model"]
    assert "headrace_ops.raw_documents" in steps["Document model"]
    assert lineage.chunks[0].run.invocation_id in steps["dbt run"]
    assert f"batch {lineage.batch_id}" in steps["dbt run"]
    assert f"since version {lineage.version}" in steps["Published version"]
    assert "2026-02-01 00:00:00 UTC" in steps["Source row"]
    assert not found.select(".problem")


def test_what_the_warehouse_knows_first(built: Headrace, folder: Path) -> None:
    """A change that waits is told; a reader who was shut out is not told anything."""
    (folder / "refunds.md").write_text(NOTE.format(day="2026-03-01", number=7))
    ingest_files(built.warehouse, str(folder), "notes")
    built.transform(WITHOUT_TESTS)
    found = _lineage(built, "role:support")
    assert found is not None
    assert found.waits_since == datetime(2026, 3, 1, tzinfo=timezone.utc)
    assert found.source_updated_at == datetime(2026, 2, 1, tzinfo=timezone.utc)
    shown = soup(client(built, "role:support"), "/document", id="notes:refunds.md")
    assert "of 2026-03-01 00:00:00 UTC, waits" in shown.text
    with psycopg.connect(built.postgres_url) as connection:
        connection.execute(
            "update headrace.rag__documents set access = '{role:boss}' "
            "where document_id = 'notes:refunds.md'"
        )
    assert _lineage(built, "role:support") is None
    assert _lineage(built, "role:boss") is None
    page = client(built, "role:support")
    assert page.get("/document?id=notes:refunds.md").status_code == 404
    with psycopg.connect(built.postgres_url) as connection:
        connection.execute("delete from headrace.rag__documents")
    found = _lineage(built, "role:support")
    assert found is not None and "headrace verify" in found.problem
    assert found.document_model is None and found.chunks
