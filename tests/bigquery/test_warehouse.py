"""Headrace on BigQuery, from the example's tables to a search, beside the same on Postgres."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import psycopg
import pytest

from dagster_project.core.build import Headrace
from dagster_project.core.checks import CHUNKS, DOCUMENTS, Status
from dagster_project.core.errors import WarehouseError
from dagster_project.core.ingest import ingest_files
from dagster_project.core.parity import Parity, compare_warehouses
from dagster_project.core.profile import BigQueryPlace
from dagster_project.core.retrieval import Principals, Retriever
from dagster_project.core.settings import EXAMPLE_PROJECT
from dagster_project.core.warehouse.bigquery import BigQueryWarehouse
from dagster_project.demo import generate, make_tables
from dagster_project.demo.bigquery import load
from tests.core.desk import WITHOUT_TESTS

from . import twins
from .emulator import PROJECT, Emulator
from .proxy import Answer, failure, proxied
from .twins import NOW

SCALE = 0.02
DENIED = "Access Denied: User does not have bigquery.jobs.create permission in project test-proj."
QUOTA = "Quota exceeded: Your project exceeded quota for free query bytes scanned."


@pytest.fixture(scope="module")
def place(bigquery_emulator: Emulator) -> BigQueryPlace:
    return twins.place(bigquery_emulator)


@pytest.fixture(scope="module")
def built(place: BigQueryPlace, tmp_path_factory: pytest.TempPathFactory) -> Headrace:
    """The example on the emulator: built with its data tests, embedded and published."""
    home = tmp_path_factory.mktemp("bigquery_home")
    headrace = Headrace(twins.settings(home, EXAMPLE_PROJECT, bigquery=place))
    load(_bigquery(headrace), make_tables(scale=SCALE, now=NOW))
    headrace.build()
    return headrace


@pytest.fixture(scope="module")
def twin(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Headrace:
    """The same on Postgres, as far as the chunks."""
    url, home = twins.new_database(postgres_url), tmp_path_factory.mktemp("postgres_home")
    with psycopg.connect(url) as connection:
        generate(connection, scale=SCALE, now=NOW)
    headrace = Headrace(twins.settings(home, EXAMPLE_PROJECT, url=url))
    headrace.transform(WITHOUT_TESTS)
    return headrace


def _same(one: Headrace, other: Headrace) -> list[Parity]:
    """What differs, of kinds that both have rows of."""
    found = compare_warehouses(one.warehouse, other.warehouse)
    assert all(rows > 0 for parity in found for rows in parity.rows)
    return [parity for parity in found if parity.differ]


def _answers(headrace: Headrace, query: str) -> list[str]:
    hits = Retriever(headrace, Principals.admin()).search(query, 5)
    return [hit.document_id for hit in hits]


def test_the_example_is_published_and_found(built: Headrace) -> None:
    assert built.live_index.live().count_rows() == built.warehouse.count_chunks() > 100
    assert built.verify(content=True).is_clean
    assert any(found.startswith("policy:refund-policy") for found in _answers(built, "refunds"))


def test_a_document_is_traced_to_its_source(built: Headrace) -> None:
    found = Retriever(built, Principals.admin()).lineage("policy:refund-policy-2024")
    assert found is not None and found.problem == ""
    assert found.document_model == "doc_policies"
    assert [name.rsplit(".", 1)[1] for name in found.source_tables] == ["policies"]
    came = found.delivery
    assert came is not None and came.published_at is not None
    assert came.published_version == found.version
    assert {chunk.run.batch_id for chunk in found.chunks} == {found.batch_id}
    nowhere = built.warehouse.trace("policy:none", found.generation, found.batch_id, [])
    assert nowhere is None


def test_postgres_makes_the_same(built: Headrace, twin: Headrace) -> None:
    assert _same(built, twin) == []


def test_unit_tests_pass(built: Headrace) -> None:
    # On the tables of the build: dbt reads the types of the columns from them.
    built.dbt.invoke(["test", "--select", "test_type:unit"])


def test_great_expectations_runs_on_it(built: Headrace) -> None:
    for check in (DOCUMENTS, CHUNKS):
        found = check.look(built)
        assert found.status is Status.PASS, found.reason


def _write(built: Headrace, twin: Headrace, *statements: str) -> None:
    """Change the example's tables in both warehouses."""
    for statement in statements:
        _bigquery(built).rows(statement)
    with psycopg.connect(twin.postgres_url) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def _bigquery(headrace: Headrace) -> BigQueryWarehouse:
    assert isinstance(headrace.warehouse, BigQueryWarehouse)
    return headrace.warehouse


def test_a_change_is_followed_on_both(built: Headrace, twin: Headrace) -> None:
    assert built.watch.changed() == []
    now = datetime.now(timezone.utc).replace(microsecond=0).isoformat()
    _write(
        built,
        twin,
        "update saas.tickets set description = 'The flux capacitor hums at night.', "
        f"updated_at = timestamp '{now}' where ticket_id = 1",
        f"update saas.product_docs set updated_at = timestamp '{now}' "
        "where doc_id = (select max(doc_id) from saas.product_docs)",
    )
    changed = built.watch.changed()
    assert {name.rsplit(".", 1)[-1] for name in changed} == {"tickets", "product_docs"}

    report = built.micro_batch(changed)
    twin.chunk(twin.watch.everything())
    assert report.sync.embedded > 0
    assert "ticket:1" in _answers(built, "flux capacitor")
    for model in ("rag__documents", "rag__chunks"):
        (statement,) = (built.dbt.target / "run").glob(f"**/{model}.sql")
        # Constants, since BigQuery chooses partitions by nothing else.
        assert re.search(r"DBT_INTERNAL_DEST\.document_bucket in \(\d+", statement.read_text())
    assert built.verify(content=True).is_clean
    assert _same(built, twin) == []
    assert built.watch.changed() == []

    (row,) = _bigquery(built).rows(
        "select published_version, rows_embedded, published_at from headrace_ops.sync_ledger "
        f"where batch_id = {report.sync.batch_id}"
    )
    shown = built.warehouse.last_publication(report.generation)
    assert shown is not None
    assert row == {
        "published_version": report.live_version,
        "rows_embedded": report.sync.embedded,
        "published_at": shown.published_at,
    }
    assert shown.batch_id == report.sync.batch_id
    assert built.warehouse.last_publication("none") is None
    (lag,) = built.warehouse.lag(minutes=60)
    assert lag["documents"] > 0


def test_what_is_gone_is_found_by_a_run_that_compares_everything(
    built: Headrace, twin: Headrace
) -> None:
    before = len(built.warehouse.document_states())
    _write(
        built,
        twin,
        "delete from saas.product_docs where doc_id = (select min(doc_id) from saas.product_docs)",
    )
    report = built.micro_batch(built.watch.everything())
    twin.chunk(twin.watch.everything())
    assert report.sync.deleted > 0 and report.sync.embedded == 0
    # Its row stays, without its text.
    assert len(built.warehouse.document_states()) == before
    assert built.verify(content=True).is_clean
    assert _same(built, twin) == []


def test_files_are_loaded(built: Headrace, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Zebra crossing\n\nLook left and right.")
    (tmp_path / "b.md").write_text("# Okapi\n\nIt hides in the forest.")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    first = ingest_files(built.warehouse, str(tmp_path), "notes")
    assert (first.added, first.changed, first.deleted) == (2, 0, 0)
    assert [refusal.document_id for refusal in first.refused] == ["notes:broken.pdf"]

    again = ingest_files(built.warehouse, str(tmp_path), "notes")
    assert (again.added, again.changed, again.unchanged) == (0, 0, 2)

    (tmp_path / "b.md").unlink()
    (tmp_path / "a.md").write_text("# Zebra crossing\n\nWait for the green man.")
    third = ingest_files(built.warehouse, str(tmp_path), "notes")
    assert (third.added, third.changed, third.deleted) == (0, 1, 1)
    stored = built.warehouse.raw_documents("notes")
    assert list(stored) == ["notes:a.md"]
    assert "green man" in stored["notes:a.md"][4]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (failure(500, "backendError", "Backend error"), "BigQuery does not answer as it should"),
        (failure(403, "accessDenied", DENIED), "Give the account bigquery.jobs.create"),
        (failure(403, "quotaExceeded", QUOTA), "A quota is used up"),
        (None, "was not done within 3 s and was cancelled"),
    ],
    ids=["500", "permission", "quota", "never ends"],
)
def test_a_refusal_is_bounded_and_nothing_is_lost(
    built: Headrace, place: BigQueryPlace, answer: Answer | None, says: str
) -> None:
    assert place.api_endpoint
    with proxied(place.api_endpoint) as proxy:
        bounded = replace(
            place, api_endpoint=proxy.endpoint, job_seconds=3, retry_seconds=2, storage_endpoint=""
        )
        warehouse = BigQueryWarehouse(bounded, "twin", built.settings.home / "locks")
        assert warehouse.count_chunks() > 0
        proxy.answer, proxy.hangs = answer, answer is None
        with pytest.raises(WarehouseError) as refused:
            warehouse.mark_seen(["source.nobody"])
        message = str(refused.value)
        assert says in message
        assert PROJECT in message and "twin" in message
        asked = [line for line in proxy.seen if line.endswith("/cancel")]
        assert len(asked) == (1 if answer is None else 0)
        proxy.answer, proxy.hangs = None, False
        warehouse.mark_seen(["source.nobody"])


def test_without_the_storage_api_rows_come_by_rest(built: Headrace, place: BigQueryPlace) -> None:
    nobody = replace(place, storage_endpoint="127.0.0.1:9")
    warehouse = BigQueryWarehouse(nobody, "twin", built.settings.home / "locks")
    by_rest = warehouse.chunks(["chunk_id", "access"]).sort_by("chunk_id")
    assert by_rest == built.warehouse.chunks(["chunk_id", "access"]).sort_by("chunk_id")
