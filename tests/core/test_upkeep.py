"""The ledger, the full comparison and the tidying; these tests follow one another."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import lancedb
import psycopg
import pytest
from psycopg.rows import dict_row

from dagster_project.core.build import Headrace

from .desk import Desk

BATCHES = int(os.environ.get("HEADRACE_UPKEEP_BATCHES", "60"))


@pytest.fixture(scope="module")
def desk(headrace: Headrace, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(headrace, tmp_path_factory.mktemp("notes"), notes=60)


def _ledger(desk: Desk) -> list[dict[str, Any]]:
    with (
        psycopg.connect(desk.headrace.postgres_url) as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        return cursor.execute("select * from headrace_ops.sync_ledger order by batch_id").fetchall()


def _counts(row: dict[str, Any]) -> dict[str, int]:
    return {
        name.removeprefix("rows_"): value
        for name, value in row.items()
        if name.startswith("rows_") and value
    }


def test_a_batch_has_a_row_in_the_ledger(desk: Desk) -> None:
    desk.rewrite()
    report = desk.build()
    (row,) = _ledger(desk)
    assert _counts(row) == {"added": 61, "embedded": 61}
    assert (row["batch_id"], row["after_batch_id"]) == (report.sync.batch_id, None)
    assert (row["generation"], row["model_id"]) == (report.generation, "fake-384")
    assert row["published_version"] == report.live_version
    assert row["started_at"] < row["finished_at"] < row["published_at"]
    assert f"{row['source_watermark']:%Y-%m-%d}" == "2026-01-01"
    with psycopg.connect(desk.headrace.postgres_url) as connection:
        runs = connection.execute(
            "select distinct dbt_invocation_id from headrace.rag__chunks"
        ).fetchall()
    assert runs == [(row["dbt_invocation_id"],)]


def test_a_build_without_a_change_has_none(desk: Desk) -> None:
    desk.build()
    assert len(_ledger(desk)) == 1


def test_every_kind_of_change_is_counted(desk: Desk) -> None:
    def note(number: int, text: str, round_: int = 1) -> None:
        head = f"title: Note {number}\nround: {round_}\nupdated_at: 2026-01-01"
        (desk.folder / f"{number}.md").write_text(f"---\n{head}\n---\n{text}\n")

    first = desk.build().sync.batch_id
    note(0, "Another text.")
    note(1, "Note 1 was written in round 1.", round_=2)
    (desk.folder / "2.md").unlink()
    (desk.folder / "3.md").rename(desk.folder / "moved.md")
    note(60, "One more note.")
    desk.ingest()
    desk.build()
    row = _ledger(desk)[-1]
    assert row["after_batch_id"] == first
    assert _counts(row) == {
        "added": 2,
        "changed": 1,
        "payload_only": 1,
        "deleted": 2,
        "embedded": 2,
        "reused": 1,
    }
    for name in ("60.md", "moved.md"):
        (desk.folder / name).unlink()
    desk.rewrite()
    desk.build()
    desk.check()


def test_the_full_comparison_finds_what_the_hashes_hide_and_mends_it(desk: Desk) -> None:
    index = desk.headrace.live_index
    table = lancedb.connect(index.uri).open_table(index.name)
    ids = {row["document_id"]: row["chunk_id"] for row in index.dump()}
    payload, vector, doubled, lost = (ids[f"notes:{number}.md"] for number in (5, 6, 7, 8))
    table.update(where=f"chunk_id = '{payload}'", values={"payload": '{"team": "other"}'})
    table.update(where=f"chunk_id = '{vector}'", values={"vector": [0.0] * 384})
    table.add(table.search().where(f"chunk_id = '{doubled}'").to_arrow())
    table.delete(f"chunk_id = '{lost}'")
    index.publish()

    assert desk.headrace.verify().stale == []
    found = desk.headrace.verify(content=True)
    assert found.stale == sorted([payload, vector])
    assert (found.duplicates, found.missing, found.orphans) == ([doubled], [lost], [])

    report = desk.headrace.repair()
    assert report.embedded == 4
    desk.check()
    assert desk.headrace.repair().is_empty


def test_tidying_changes_no_row_and_readers_go_on(desk: Desk) -> None:
    for number in range(5):
        (desk.folder / f"extra{number}.md").write_text(f"Extra note {number}.")
        desk.ingest()
        desk.build()
    index = desk.headrace.live_index
    under_way = index.live()
    rows = sorted(index.rows(live=True).to_pylist(), key=str)
    done = desk.headrace.maintain(timedelta(hours=1))
    assert done.fragments_before > done.fragments_after == 1
    assert index.live_version == index.version
    assert sorted(index.rows(live=True).to_pylist(), key=str) == rows
    assert under_way.search().limit(1_000).to_arrow().num_rows == len(rows)
    assert desk.headrace.sync().is_empty, "the mark went with the rows"
    assert desk.headrace.verify(content=True).is_clean
    for number in range(5):
        (desk.folder / f"extra{number}.md").unlink()
    desk.rewrite()
    desk.build()
    desk.check()


def test_the_disk_in_use_is_bounded_under_steady_change(desk: Desk) -> None:
    index = desk.headrace.live_index
    folder = Path(index.uri) / f"{index.name}.lance"
    sizes: list[int] = []
    for number in range(BATCHES):
        _touch_one(desk, number)
        desk.headrace.sync()
        desk.headrace.publish()
        if number % 20 == 19:
            desk.headrace.maintain(timedelta(milliseconds=1))
            sizes.append(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))
    assert index.count() == desk.rows
    assert sizes[-1] < 1.2 * sizes[0], sizes
    assert desk.headrace.verify(content=True).is_clean


def _touch_one(desk: Desk, number: int) -> None:
    """A batch of one changed payload, as dbt would write it, without the second that dbt takes."""
    with psycopg.connect(desk.headrace.postgres_url) as connection:
        connection.execute(
            "update headrace.rag__chunks set payload = %s, row_hash = md5(%s), "
            "batch_id = (select max(batch_id) + 1 from headrace.rag__chunks) "
            "where document_id = %s and not is_deleted",
            (f'{{"n": {number}}}', str(number), f"notes:{number % desk.notes}.md"),
        )
