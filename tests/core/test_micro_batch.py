"""Changes in a source table to readers, a batch at a time; these tests follow one another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from dagster_project.core.build import Headrace
from dagster_project.core.dbt import DbtError
from dagster_project.core.retrieval import Principals, Retriever

RAW = "source.headrace.headrace_ops.raw_documents"
LIMIT = 20


@pytest.fixture(scope="module")
def built(headrace: Headrace) -> Headrace:
    _write(headrace, range(50), "first", "2020-01-01")
    headrace.build()
    return Headrace(replace(headrace.settings, batch_documents=LIMIT))


def _write(headrace: Headrace, numbers: Any, text: str, updated: str = "now") -> None:  # noqa: ANN401
    headrace.warehouse.prepare()
    with psycopg.connect(headrace.postgres_url) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "insert into headrace_ops.raw_documents (document_id, source_name, doc_type, title, "
            "body, access, payload, source_updated_at) values (%s, 'app', 'note', %s, %s, "
            "'{everyone}', '{}', %s) on conflict (document_id) do update set body = excluded.body, "
            "source_updated_at = excluded.source_updated_at",
            [(f"n:{n}", f"Note {n}", f"Note {n} says {text}.", updated) for n in numbers],
        )


def _query(headrace: Headrace, query: str) -> list[dict[str, Any]]:
    with (
        psycopg.connect(headrace.postgres_url) as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        return cursor.execute(query).fetchall()


def _live(headrace: Headrace) -> dict[str, str]:
    return {row["document_id"]: row["text"] for row in headrace.live_index.dump()}


def test_a_build_leaves_nothing_to_do(built: Headrace) -> None:
    assert built.watch.changed() == []


def test_a_change_reaches_readers_by_the_models_it_concerns(built: Headrace) -> None:
    _write(built, [7], "something new")
    sources = built.watch.changed()
    assert sources == [RAW]
    report = built.micro_batch(sources)
    models = {key.rsplit(".", 1)[1] for key in report.dbt}
    assert models == {"rag__changes", "rag__documents", "rag__chunks"}
    assert (report.sync.changed, report.sync.embedded, report.more) == (1, 1, False)
    assert _live(built)["n:7"] == "Note 7 says something new."
    assert built.watch.changed() == []
    assert built.verify(content=True).is_clean


def test_a_hard_delete_reaches_readers(built: Headrace) -> None:
    with psycopg.connect(built.postgres_url) as connection:
        connection.execute("delete from headrace_ops.raw_documents where document_id = 'n:8'")
    report = built.micro_batch(built.watch.changed())
    assert (report.sync.deleted, report.sync.embedded) == (1, 0)
    assert "n:8" not in _live(built)


@pytest.mark.parametrize("order", ["freshest", "oldest"])
def test_a_burst_is_cut_into_batches_and_nothing_is_dropped(built: Headrace, order: str) -> None:
    headrace = Headrace(replace(built.settings, batch_order=order))
    numbers = [number for number in range(100, 155)]
    for minute, number in enumerate(numbers):
        # Another day for each order, so that the second is newer than the first.
        day = "2026-01-01" if order == "freshest" else "2026-01-02"
        _write(headrace, [number], order, f"{day} 10:{minute:02}:00+00")
    waiting, oldest = headrace.warehouse.backlog()
    assert waiting == 55
    assert oldest is not None and f"{oldest:%H:%M}" == "10:00"
    seen: list[list[str]] = []
    before = {key for key, text in _live(headrace).items() if order in text}
    while sources := headrace.watch.changed():
        report = headrace.micro_batch(sources)
        now = {key for key, text in _live(headrace).items() if order in text}
        seen.append(sorted(now - before))
        before = now
        assert report.more == (len(now) < 55 and len(seen[-1]) == LIMIT)
    assert [len(batch) for batch in seen] == [20, 20, 15]
    first = {f"n:{number}" for number in (numbers[-20:] if order == "freshest" else numbers[:20])}
    assert set(seen[0]) == first
    assert headrace.warehouse.backlog()[0] == 0
    assert headrace.verify(content=True).is_clean


def test_every_change_is_accounted_for_in_the_ledger(built: Headrace) -> None:
    rows = _query(
        built,
        "select rows_added, rows_changed, rows_deleted from headrace_ops.sync_ledger "
        "order by batch_id",
    )
    # The load; an edit; a delete; 55 new notes; the same 55 edited.
    assert [row["rows_changed"] for row in rows] == [0, 1, 0, 0, 0, 0, 20, 20, 15]
    assert [row["rows_deleted"] for row in rows] == [0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert [row["rows_added"] for row in rows[1:]] == [0, 0, 20, 20, 15, 0, 0, 0]


def test_the_lag_is_measured_and_first_loads_are_left_out(built: Headrace) -> None:
    _write(built, [1, 2, 3], "measured")
    built.micro_batch(built.watch.changed())
    rows = _query(
        built,
        "select * from headrace_ops.published_documents where document_id in ('n:1', 'n:2', 'n:3')",
    )
    assert len(rows) == 3
    for row in rows:
        assert row["source_updated_at"] < row["chunked_at"] < row["embedded_at"]
        assert row["embedded_at"] < row["published_at"]
        assert not row["is_backfill"]
    (old,) = _query(
        built,
        "select is_backfill from headrace_ops.published_documents where document_id = 'n:100' "
        "order by batch_id limit 1",
    )
    assert old["is_backfill"], "it was dated months before it came"
    lags = {row["source_name"]: row for row in built.warehouse.lag(minutes=60)}
    assert 0 < lags["app"]["p50"] <= lags["app"]["p95"] <= lags["app"]["max"] < 60
    built.dbt.build(["--select", "rag__freshness", "rag__published_documents"])
    (freshness,) = _query(built, "select * from headrace.rag__freshness where source_name = 'app'")
    assert freshness["p95_lag_seconds"] == pytest.approx(lags["app"]["p95"])
    assert freshness["documents"] == lags["app"]["documents"]


def test_a_poisoned_document_blocks_no_other(built: Headrace) -> None:
    _write(built, [30], "good")
    with psycopg.connect(built.postgres_url) as connection:
        connection.execute(
            "update headrace_ops.raw_documents set access = '{}' where document_id = 'n:31'"
        )
    built.micro_batch(built.watch.changed())
    assert _live(built)["n:30"] == "Note 30 says good."
    assert "n:31" not in _live(built)
    refused = _query(built, "select document_id from headrace.rag__quarantine")
    assert [row["document_id"] for row in refused] == ["n:31"]
    with psycopg.connect(built.postgres_url) as connection:
        connection.execute(
            "update headrace_ops.raw_documents set access = '{everyone}' where document_id = 'n:31'"
        )
    built.micro_batch(built.watch.changed())
    assert "n:31" in _live(built)


def test_a_batch_that_fails_is_still_to_do(built: Headrace, tmp_path: Path) -> None:
    _write(built, [40], "after the failure")
    with psycopg.connect(built.postgres_url) as connection:
        connection.execute("alter table headrace.rag__chunks rename to elsewhere")
    with pytest.raises(DbtError):
        # A table of its name that is none of dbt's.
        with psycopg.connect(built.postgres_url) as connection:
            connection.execute("create table headrace.rag__chunks (batch_id text)")
        built.micro_batch(built.watch.changed())
    with psycopg.connect(built.postgres_url) as connection:
        connection.execute("drop table headrace.rag__chunks")
        connection.execute("alter table headrace.elsewhere rename to rag__chunks")
    assert built.watch.changed() == [RAW]
    built.micro_batch(built.watch.changed())
    hits = Retriever(built, Principals.of()).search("after the failure", 50)
    assert any(hit.text == "Note 40 says after the failure." for hit in hits)
    assert built.verify(content=True).is_clean


def test_documents_that_are_described_anew_hold_up_no_text(built: Headrace) -> None:
    _write(built, [1], "an edit before them", "2026-02-01")
    with psycopg.connect(built.postgres_url) as connection:
        connection.execute(
            'update headrace_ops.raw_documents set payload = \'{"status": "moved"}\', '
            "source_updated_at = '2026-02-02' where document_id like 'n:1__'"
        )
    report = built.micro_batch(built.watch.changed())
    assert _live(built)["n:1"] == "Note 1 says an edit before them."
    assert (report.sync.embedded, report.sync.payload_only) == (1, 55)
    while sources := built.watch.changed():
        built.micro_batch(sources)
    assert built.verify(content=True).is_clean
