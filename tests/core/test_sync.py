"""The sync embeds exactly what changed; these tests follow one another on one folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import lancedb
import psycopg
import pytest

from dagster_project.core.build import Headrace
from dagster_project.core.compare import compare
from dagster_project.core.embedding import Embeddings, FakeEmbedder
from dagster_project.core.errors import ModelError, VectorStoreError
from dagster_project.core.index import VectorIndex
from dagster_project.core.ingest import ingest_files
from dagster_project.core.retrieval import Principals, Retriever
from dagster_project.core.sync import PLAIN_TEXT, SyncReport, sync

from .desk import WITHOUT_TESTS

POISON = "the model chokes on this"
NOTE = "---\ntitle: {title}\nteam: {team}\nupdated_at: 2026-01-01\n---\n{body}\n"


class CountingEmbedder(FakeEmbedder):
    """The fake model, which notes every text it reads and fails on one."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []
        self.chokes = True
        self.is_lost = False

    def embed(self, texts: Sequence[str]) -> Embeddings:
        if self.is_lost:
            raise RuntimeError("the device is lost")
        if self.chokes and any(POISON in text for text in texts):
            raise ValueError("out of memory")
        self.read.extend(text for text in texts if text != PLAIN_TEXT)
        return super().embed(texts)


class Desk:
    """A folder of notes, and the job on it with a model that counts."""

    def __init__(self, headrace: Headrace, folder: Path) -> None:
        self.headrace = headrace
        self.folder = folder
        self.embedder = CountingEmbedder()

    def write(self, name: str, body: str, title: str = "Note", team: str = "support") -> None:
        path = self.folder / f"{name}.md"
        path.write_text(NOTE.format(title=title, team=team, body=body), encoding="utf-8")

    def build(self, *arguments: str) -> SyncReport:
        ingest_files(self.headrace.warehouse, str(self.folder), "notes")
        self.headrace.dbt.build([*WITHOUT_TESTS, *arguments])
        report = self.sync()
        self.headrace.publish()
        assert self.headrace.verify().is_clean
        return report

    def sync(self, *, everything: bool = False) -> SyncReport:
        self.embedder.read.clear()
        headrace = self.headrace
        report = sync(headrace.warehouse, headrace.index, self.embedder, everything=everything)
        assert report.embedded == len(self.embedder.read)
        return report

    def vector(self, name: str) -> list[list[float]]:
        rows = self.headrace.index.find("document_id", [f"notes:{name}.md"], ["vector"])
        return [list(vector) for vector in rows["vector"].to_pylist()]

    def documents(self) -> set[str]:
        return {row["document_id"] for row in self.headrace.index.dump()}

    def quarantine(self) -> list[tuple[str, str]]:
        with psycopg.connect(self.headrace.postgres_url) as connection:
            return connection.execute(
                "select document_id, reason from headrace.rag__quarantine order by 1"
            ).fetchall()


@pytest.fixture(scope="module")
def desk(headrace: Headrace, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(headrace, tmp_path_factory.mktemp("notes"))


def test_the_first_build_embeds_each_text_once(desk: Desk) -> None:
    for number in range(8):
        desk.write(f"n{number}", f"Note number {number} about shifts.")
    desk.write("copy", "Note number 0 about shifts.")
    report = desk.build()
    assert (report.added, report.embedded, report.reused) == (9, 8, 1)
    assert len(set(desk.embedder.read)) == 8


def test_a_second_build_writes_no_version(desk: Desk) -> None:
    version = desk.headrace.index.version
    report = desk.build()
    assert report.is_empty and not desk.embedder.read
    assert desk.headrace.index.version == version


def test_an_edit_embeds_the_edited_text_only(desk: Desk) -> None:
    desk.write("n1", "Note number 1 about payroll.")
    report = desk.build()
    assert desk.embedder.read == ["Note\n\nNote number 1 about payroll."]
    assert (report.changed, report.added, report.payload_only, report.deleted) == (1, 0, 0, 0)


def test_a_change_beside_the_text_keeps_the_vector(desk: Desk) -> None:
    before = desk.vector("n2")
    desk.write("n2", "Note number 2 about shifts.", team="finance")
    report = desk.build()
    assert (report.payload_only, report.added, report.embedded) == (1, 0, 0)
    assert desk.vector("n2") == before
    rows = desk.headrace.index.find("document_id", ["notes:n2.md"], ["payload"])
    assert '"team": "finance"' in rows["payload"].to_pylist()[0]


def test_a_text_that_moved_keeps_its_vector(desk: Desk) -> None:
    before = desk.vector("n3")
    (desk.folder / "n3.md").rename(desk.folder / "moved.md")
    report = desk.build()
    assert (report.added, report.reused, report.embedded, report.deleted) == (1, 1, 0, 1)
    assert desk.vector("moved") == before
    assert desk.vector("n3") == []


def test_a_deleted_document_leaves_no_row(desk: Desk) -> None:
    (desk.folder / "n4.md").unlink()
    report = desk.build()
    assert (report.deleted, report.added, report.embedded) == (1, 0, 0)
    assert "notes:n4.md" not in desk.documents()
    hits = Retriever(desk.headrace, Principals.of()).search("note number 4", 50)
    assert hits and all(hit.document_id != "notes:n4.md" for hit in hits)


def test_a_text_that_the_model_refuses_holds_up_no_other(desk: Desk) -> None:
    desk.write("bad", POISON)
    desk.write("good", "A good note beside it.")
    report = desk.build()
    assert (report.added, report.embedded, report.quarantined) == (1, 1, 1)
    assert "notes:good.md" in desk.documents() and "notes:bad.md" not in desk.documents()
    assert desk.quarantine() == [("notes:bad.md", "the model cannot embed it: out of memory")]


def test_a_refused_text_is_indexed_once_the_model_takes_it(desk: Desk) -> None:
    desk.embedder.chokes = False
    desk.write("bad", POISON, team="people")
    desk.build()
    assert "notes:bad.md" in desk.documents()
    assert desk.quarantine() == []


def test_a_model_that_fails_takes_no_text_away(desk: Desk) -> None:
    before = desk.documents()
    desk.embedder.is_lost = True
    desk.write("good", "A good note, edited.")
    with pytest.raises(ModelError, match=r"fake-384 embeds no text any more: the device is lost"):
        desk.build()
    assert desk.quarantine() == [] and desk.documents() == before
    desk.embedder.is_lost = False
    assert desk.build().changed == 1


def test_what_was_refused_is_tried_again_by_a_repair(desk: Desk) -> None:
    desk.embedder.chokes = True
    desk.write("worse", f"{POISON}, and worse")
    assert desk.build().quarantined == 1
    desk.embedder.chokes = False
    assert desk.sync(everything=True).added == 1
    desk.headrace.publish()
    assert desk.quarantine() == [] and "notes:worse.md" in desk.documents()


def test_an_interrupted_repair_is_ended_by_the_next_sync(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = desk.headrace.index
    some = index.dump()[0]["chunk_id"]
    table = lancedb.connect(index.uri).open_table(index.name)
    table.update(where=f"chunk_id = '{some}'", values={"row_hash": "other"})
    index.publish()

    def killed(index: VectorIndex, rows: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(VectorIndex, "add", killed)
        with pytest.raises(KeyboardInterrupt):
            desk.sync(everything=True)
    assert compare(desk.headrace.warehouse, index, live=False).missing == [some]
    desk.sync()
    desk.headrace.publish()
    assert compare(desk.headrace.warehouse, index).is_clean


def test_what_is_on_its_way_to_readers_is_no_difference(desk: Desk) -> None:
    desk.write("coming", "A note that is cut, and not embedded yet.")
    ingest_files(desk.headrace.warehouse, str(desk.folder), "notes")
    desk.headrace.dbt.build(WITHOUT_TESTS)
    assert desk.headrace.verify(content=True, under_way=300).is_clean
    assert desk.headrace.verify().missing
    assert desk.build().added == 1


def test_a_change_of_readers_is_seen_though_it_reads_alike(desk: Desk) -> None:
    def readers(access: str) -> list[str]:
        note = f"---\ntitle: Pay\naccess: {access}\nupdated_at: 2026-01-01\n---\nSalaries."
        (desk.folder / "pay.md").write_text(note)
        desk.build()
        rows = desk.headrace.index.find("document_id", ["notes:pay.md"], ["access"])
        return [*rows["access"].to_pylist()[0]]

    assert readers('["team:a,team:b"]') == ["team:a,team:b"]
    assert readers('["team:a", "team:b"]') == ["team:a", "team:b"]


def test_a_second_writer_is_refused(desk: Desk) -> None:
    with desk.headrace.index.writer(), pytest.raises(VectorStoreError, match="writes the index"):
        desk.sync()


def test_a_full_refresh_embeds_nothing_and_is_exact(desk: Desk) -> None:
    def content() -> list[tuple[str, str]]:
        return [(row["chunk_id"], row["text"]) for row in desk.headrace.index.dump()]

    before = content()
    report = desk.build("--full-refresh")
    assert report.embedded == 0
    assert content() == before


def test_a_tampered_index_is_found_and_mended(desk: Desk) -> None:
    index = desk.headrace.index
    table = lancedb.connect(index.uri).open_table(index.name)
    by_document = {row["document_id"]: row["chunk_id"] for row in index.dump()}
    lost, altered, doubled = (by_document[f"notes:n{number}.md"] for number in (5, 6, 7))
    copy = table.search().where(f"chunk_id = '{doubled}'").to_arrow()
    stranger = copy.set_column(0, copy.schema.field(0), [["stranger"]])
    table.delete(f"chunk_id = '{lost}'")
    table.update(where=f"chunk_id = '{altered}'", values={"row_hash": "other"})
    table.add(copy)
    table.add(stranger)

    found = compare(desk.headrace.warehouse, index, live=False)
    assert (found.missing, found.stale) == ([lost], [altered])
    assert (found.duplicates, found.orphans) == ([doubled], ["stranger"])
    assert desk.headrace.verify().is_clean, "readers have the version that was published"

    index.clear_marks()
    desk.sync()
    assert compare(desk.headrace.warehouse, index, live=False).is_clean
    desk.headrace.publish()
    assert desk.headrace.verify().is_clean


VERSION = """---
title: Leave policy
version_family: leave
version_date: {year}-01-01
updated_at: 2026-01-01
---
Parental leave is {weeks} weeks.
"""


def test_a_superseded_version_leaves_the_search_and_comes_back(desk: Desk) -> None:
    def found() -> set[str]:
        hits = Retriever(desk.headrace, Principals.of()).search("parental leave weeks", 50)
        return {hit.document_id for hit in hits if hit.title == "Leave policy"}

    (desk.folder / "leave-2023.md").write_text(VERSION.format(year=2023, weeks=12))
    desk.build()
    assert found() == {"notes:leave-2023.md"}
    (desk.folder / "leave-2025.md").write_text(VERSION.format(year=2025, weeks=16))
    report = desk.build()
    assert found() == {"notes:leave-2025.md"}
    assert (report.added, report.deleted, report.embedded) == (1, 1, 1)
    (desk.folder / "leave-2025.md").unlink()
    report = desk.build()
    assert found() == {"notes:leave-2023.md"}
    assert (report.added, report.deleted, report.embedded) == (1, 1, 1)
