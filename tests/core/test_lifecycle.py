"""Documents grow old: what becomes of them in the index, and what the checks say of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from dagster_project.core.build import Headrace, NotPublishedError
from dagster_project.core.checks import CHECKS, Check, Finding, Status, hold_back
from dagster_project.core.checks import index as index_checks
from dagster_project.core.dbt import DbtError
from dagster_project.core.ingest import ingest_files
from dagster_project.core.retrieval import Principals, Ranking, Retriever
from dagster_project.core.settings import PACKAGE_PROJECT

from .desk import WITHOUT_TESTS

POLICY = """---
title: Refund policy {year}
doc_type: policy
owner: Finance
version_date: {year}-01-01
review_by: {review_by}
updated_at: 2026-01-01
---
Money goes back within {days} days of the order. Ask the support desk for the form.

The desk answers on the same day. Travel is paid by the traveller.
"""
PROJECT = """
name: lifecycle
version: "1.0"
profile: headrace
vars:
  headrace_lifecycle:
    - {{doc_type: policy, needs_owner: true, find_versions: [title], when_stale: keep}}
    - {{doc_type: guide, when_superseded: demote}}
  headrace_as_of: "{now}"
"""
BY_NAME = {check.name: check for check in CHECKS}


class Library:
    """A folder of documents, and the date on which they are judged."""

    def __init__(self, headrace: Headrace, root: Path) -> None:
        self.folder = root / "documents"
        self.folder.mkdir()
        project = root / "project"
        project.mkdir()
        self.project = project / "dbt_project.yml"
        (project / "packages.yml").write_text(f"packages: [{{local: {PACKAGE_PROJECT}}}]\n")
        self.headrace = Headrace(replace(headrace.settings, dbt_project=project))
        self.today("2026-06-01")

    def today(self, day: str) -> None:
        self.project.write_text(PROJECT.format(now=f"{day} 12:00:00+00"))

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def policy(self, year: int, days: int, review_by: str) -> None:
        self.write(f"refund-{year}.md", POLICY.format(year=year, days=days, review_by=review_by))

    def build(self, *, with_data_tests: bool = False) -> None:
        ingest_files(self.headrace.warehouse, str(self.folder), "library")
        self.headrace.dbt.parse()
        self.headrace.build(() if with_data_tests else WITHOUT_TESTS, gate=hold_back)

    def answers(
        self, query: str = "refund money days", ranking: Ranking | None = None
    ) -> dict[str, str]:
        hits = Retriever(self.headrace, Principals.of(), ranking=ranking).search(query, 20)
        return {hit.document_id.removeprefix("library:"): hit.lifecycle_state for hit in hits}

    def look(self, name: str) -> Finding:
        return BY_NAME[name].look(self.headrace)


@pytest.fixture
def library(
    postgres_url: str, headrace: Headrace, tmp_path: Path, request: pytest.FixtureRequest
) -> Library:
    schema = f"life_{abs(hash(request.node.name)) % 10**8}"
    settings = replace(
        headrace.settings, schema=schema, lancedb_uri=str(tmp_path / "lancedb"), home=tmp_path / "h"
    )
    with psycopg.connect(settings.postgres_url or "") as connection:
        connection.execute("drop schema if exists headrace_ops cascade")
    return Library(Headrace(settings), tmp_path)


def test_only_the_newest_version_answers_and_the_one_before_comes_back_stale(
    library: Library,
) -> None:
    library.policy(2022, 30, "2023-01-01")
    library.policy(2024, 14, "2027-01-01")
    library.build()
    assert library.answers() == {"refund-2024.md": "active"}
    with psycopg.connect(library.headrace.postgres_url) as connection:
        [replaced] = connection.execute(
            f"select superseded_by from {library.headrace.settings.schema}.rag__documents "
            "where lifecycle_state = 'superseded'"
        ).fetchall()
    assert replaced == ("library:refund-2024.md",)

    (library.folder / "refund-2024.md").unlink()
    library.build()
    assert library.answers() == {"refund-2022.md": "stale"}
    assert library.headrace.verify(content=True).is_clean


def test_a_document_expires_by_the_clock_alone(library: Library) -> None:
    library.write("offer.md", "---\nvalid_to: 2026-06-01\n---\nThe refund offer of the summer.")
    library.build()
    assert library.answers() == {"offer.md": "active"}
    library.today("2026-06-02")
    library.headrace.dbt.parse()
    library.headrace.build()
    assert library.answers() == {}
    assert library.headrace.live_index.count() == 0


def test_what_is_demoted_stands_behind_what_answers_as_well(library: Library) -> None:
    guide = "---\ntitle: {0}\ndoc_type: guide\n{1}---\nHow refunds are paid, in the {0}.\n"
    library.write("new.md", guide.format("New guide", "supersedes: old.md\n"))
    library.write("old.md", guide.format("Old guide", ""))
    library.build()
    # The fake model knows no meaning, so words alone say how well a text answers.
    ranking = Ranking(vector_weight=0)
    assert list(library.answers("How refunds are paid", ranking).items()) == [
        ("new.md", "active"),
        ("old.md", "superseded"),
    ]
    assert library.look("only_documents_in_force_are_served").status is Status.PASS


def test_a_policy_with_an_unknown_word_is_explained(library: Library) -> None:
    library.write("note.md", "A note.")
    text = library.project.read_text().replace("needs_owner", "needs_an_owner")
    library.project.write_text(text)
    with pytest.raises(Exception, match="entry 1: there is no needs_an_owner"):
        library.build()


@contextmanager
def _planted(library: Library, *statements: str) -> Iterator[None]:
    """Rows changed behind dbt's back, and put back."""
    schema = library.headrace.settings.schema
    with psycopg.connect(library.headrace.postgres_url) as connection:
        connection.execute(f"create table keep as table {schema}.rag__documents")
        connection.execute(f"create table keep_conflicts as table {schema}.rag__conflicts")
        for statement in statements:
            connection.execute(statement.replace("DOCUMENTS", f"{schema}.rag__documents"))
    yield
    with psycopg.connect(library.headrace.postgres_url) as connection:
        for model, kept in (("rag__documents", "keep"), ("rag__conflicts", "keep_conflicts")):
            connection.execute(f"truncate {schema}.{model}")
            connection.execute(f"insert into {schema}.{model} table {kept}")
            connection.execute(f"drop table {kept}")


PLANTED = [
    ("documents_have_owners", "update DOCUMENTS set owner = null", Status.WARN),
    ("reviews_are_done", "update DOCUMENTS set review_by = '2026-01-01'", Status.WARN),
    ("few_documents_are_stale", "update DOCUMENTS set lifecycle_state = 'stale'", Status.WARN),
    (
        "one_version_of_a_family_is_served",
        "update DOCUMENTS set version_family = 'f', serving = 'full'",
        Status.FAIL,
    ),
]


def test_a_check_of_documents_fails_and_passes_when_it_is_mended(library: Library) -> None:
    library.policy(2024, 14, "2027-01-01")
    library.write("other.md", "---\ntitle: Other\nowner: Ann\n---\nAnother text altogether.")
    library.build()
    for name, statement, status in PLANTED:
        assert library.look(name).status is Status.PASS, library.look(name)
        with _planted(library, statement):
            found = library.look(name)
            assert found.status is status, name
            assert found.samples[0]["document_id"].startswith("library:"), name
            assert BY_NAME[name].remedy_for(found)
            assert BY_NAME[name].blocks == (status is Status.FAIL)
            if BY_NAME[name].blocks:
                with pytest.raises(NotPublishedError, match=name):
                    hold_back(library.headrace)
        assert library.look(name).status is Status.PASS, name


def test_a_data_test_of_dbt_that_fails_leaves_readers_their_version(library: Library) -> None:
    test = library.project.parent / "tests" / "nothing_is_secret.sql"
    test.parent.mkdir()
    test.write_text(
        "select * from {{ ref('headrace', 'rag__documents') }} where body like '%secret%'"
    )
    library.write("plan.md", "---\ntitle: The plan\n---\nWhat we do next year.")
    library.build()
    version, rows = library.headrace.live_index.live_version, library.headrace.live_index.dump()
    library.write("plan.md", "---\ntitle: The plan\n---\nThe secret of next year.")
    with pytest.raises(DbtError, match="nothing_is_secret"):
        library.build(with_data_tests=True)
    assert library.headrace.live_index.live_version == version
    assert library.headrace.live_index.dump() == rows
    library.write("plan.md", "---\ntitle: The plan\n---\nWhat we do in spring.")
    library.build(with_data_tests=True)
    assert library.answers("spring") == {"plan.md": "active"}


def test_two_that_disagree_are_shown_side_by_side_until_one_goes(library: Library) -> None:
    library.policy(2024, 14, "2027-01-01")
    library.build()
    assert library.look("documents_agree").status is Status.PASS
    text = (library.folder / "refund-2024.md").read_text().replace("14 days", "30 days")
    library.write("copy.md", text.replace("Refund policy 2024", "How we refund"))
    library.build()
    found = library.look("documents_agree")
    assert found.status is Status.WARN
    passages = {found.samples[0]["passage"], found.samples[0]["other_passage"]}
    assert passages == {
        "Money goes back within 30 days of the order.",
        "Money goes back within 14 days of the order.",
    }
    (library.folder / "copy.md").unlink()
    library.build()
    assert library.look("documents_agree").status is Status.PASS


def _set(library: Library, column: str, value: str) -> None:
    library.headrace.index._head().update(values_sql={column: value})


BAD_ROWS = [
    ("only_documents_in_force_are_served", "lifecycle_state", "'superseded'", "'active'"),
    ("the_model_reads_every_chunk_whole", "windows", "2", "1"),
]


def test_a_check_of_the_index_blocks_and_leaves_readers_their_version(library: Library) -> None:
    library.policy(2024, 14, "2027-01-01")
    library.build()
    for name, column, bad, good in BAD_ROWS:
        version = library.headrace.live_index.live_version
        assert library.look(name).status is Status.PASS, name

        _set(library, column, bad)
        with pytest.raises(NotPublishedError, match="library:refund-2024.md"):
            library.headrace.publish()
        assert library.headrace.live_index.live_version == version, name
        library.headrace.live_index.publish()
        found = library.look(name)
        assert found.status is Status.FAIL and BY_NAME[name].blocks, name
        assert found.samples[0]["document_id"] == "library:refund-2024.md"
        assert BY_NAME[name].remedy_for(found)

        _set(library, column, good)
        library.headrace.publish()
        assert library.look(name).status is Status.PASS, name


def test_a_row_that_was_lost_on_its_way_keeps_its_version_from_readers(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.policy(2024, 14, "2027-01-01")
    library.build()
    index, name = library.headrace.live_index, "holds_what_the_warehouse_holds"
    version = index.live_version
    library.write("other.md", "---\ntitle: Other\nowner: Ann\n---\nAnother text altogether.")
    ingest_files(library.headrace.warehouse, str(library.folder), "library")
    library.headrace.transform()
    library.headrace.sync()
    lost = index.where("document_id = 'library:other.md'", ["chunk_id"], live=False)
    index.delete(lost["chunk_id"].to_pylist())
    with pytest.raises(NotPublishedError, match="1 chunks missing"):
        library.headrace.publish()
    assert index.live_version == version
    # It may be on its way; minutes later it is not.
    assert library.look(name).status is Status.PASS
    monkeypatch.setattr(index_checks, "ERROR_SECONDS", 0.0)
    found = library.look(name)
    assert found.status is Status.FAIL and BY_NAME[name].blocks
    assert "verify --repair" in BY_NAME[name].remedy_for(found)
    library.headrace.repair()
    assert library.look(name).status is Status.PASS
    assert "other.md" in library.answers("another text")


def test_a_lag_over_the_promise_is_seen_until_it_is_past(library: Library) -> None:
    def published(lag: int) -> None:
        """As if the documents had reached readers so many minutes after their change."""
        with psycopg.connect(library.headrace.postgres_url) as connection:
            connection.execute(
                "update headrace_ops.published_documents set is_backfill = false, "
                "source_updated_at = published_at - make_interval(mins => %s)",
                (lag,),
            )

    library.policy(2024, 14, "2027-01-01")
    library.build()
    # What comes first is a load, for which nobody waits.
    library.write("other.md", "---\ntitle: Other\nowner: Ann\n---\nAnother text altogether.")
    library.build()
    version = library.headrace.live_index.live_version
    for minutes, status in ((2, Status.WARN), (6, Status.FAIL)):
        published(minutes)
        found = library.look("lag_is_within_the_promise")
        assert found.status is status
        assert found.figures["p95_lag_seconds"] == 60 * minutes
        assert found.samples[0]["source_name"] == "library"
        assert "headrace status" in BY_NAME["lag_is_within_the_promise"].remedy_for(found)
    # What is late is better than what is later still.
    assert library.headrace.live_index.live_version == version
    published(0)
    assert library.look("lag_is_within_the_promise").status is Status.PASS


def test_each_check_says_what_to_do() -> None:
    for check in CHECKS:
        assert isinstance(check, Check) and check.remedy and check.description
