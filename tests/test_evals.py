"""The gold set of the example keeps broken indexes from readers; these tests follow one another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import dagster as dg
import numpy as np
import psycopg
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from dagster_project.cli import app
from dagster_project.core.build import Headrace, NotPublishedError
from dagster_project.core.checks import CHECKS, Status
from dagster_project.core.evals import ALL, history
from dagster_project.core.index import GenerationState, VectorIndex
from dagster_project.core.settings import DEFAULT_MODEL, EXAMPLE_PROJECT
from dagster_project.defs import evals, index
from dagster_project.defs.evals import ANSWERED
from dagster_project.defs.index.publishing import PUBLISHED, VECTORS
from dagster_project.demo import generate
from dagster_project.resources import HeadraceResource
from tests.core.desk import WITHOUT_TESTS

# dbt's data tests are proven elsewhere, and nothing here asks the other models.
FIRST = [*WITHOUT_TESTS, "--select", "+rag__chunks", "+rag__gold_questions"]
# Views are as their sources are.
AGAIN = [*WITHOUT_TESTS, "--select", "rag__documents", "rag__chunks"]
# Data tests: a gold set names documents that are there and, where they answer, found.
NAMES = [
    f"headrace_names_documents_rag__gold_questions_{column}"
    for column in ("answers__True", "helps__True", "must_not")
]


@pytest.fixture(scope="module")
def company(headrace: Headrace) -> Headrace:
    """The example company, small, with the real model."""
    with psycopg.connect(headrace.postgres_url) as connection:
        generate(connection, scale=0.01)
    settings = replace(headrace.settings, dbt_project=EXAMPLE_PROJECT, model=DEFAULT_MODEL)
    built = Headrace(settings)
    built.build(FIRST)
    return built


@pytest.fixture
def environment(company: Headrace, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = company.settings
    for name in ("home", "postgres_url", "dbt_project", "lancedb_uri"):
        monkeypatch.setenv(f"HEADRACE_{name.upper()}", str(getattr(settings, name)))


def _execute(headrace: Headrace, *statements: str) -> None:
    with psycopg.connect(headrace.postgres_url) as connection:
        for statement in statements:
            connection.execute(statement)


@contextmanager
def _shuffled(index: VectorIndex) -> Iterator[None]:
    """Every row of the newest version has the vector of another."""
    rows = index.rows(index._head().schema.names, live=False)
    order = np.random.default_rng(7).permutation(rows.num_rows)
    column = rows.schema.get_field_index("vector")
    vectors = rows["vector"].combine_chunks().take(pa.array(order))
    rows = rows.set_column(column, rows.schema.field("vector"), vectors)
    index._head().merge_insert("chunk_id").when_matched_update_all().execute(rows)
    yield
    index.restore_live()


def test_the_first_version_answers_the_gold_sets(company: Headrace) -> None:
    [asked] = history(company)
    assert asked.version == company.live_index.live_version
    summaries = asked.summaries()
    assert summaries["policy"].questions + summaries["product_doc"].questions == 53
    assert summaries["glossary"].questions == 7
    assert {"support_ticket", "customer_profile"} < set(summaries)
    found = summaries[ALL]
    assert found.must_not_violations == 0
    assert found.ndcg_at_10 is not None and found.ndcg_at_10 > 0.7


def test_a_gold_set_that_names_no_document_is_warned_of(company: Headrace) -> None:
    found = company.dbt.test(NAMES)
    assert {result.status for result in found.values()} == {"pass"} and len(found) == 3
    # A third of the questions tells as much, and the tests that follow ask them often.
    _execute(
        company,
        "create table gold as select * from headrace.rag__gold_questions "
        "where gold_set = 'gold_questions' and length(question_id) % 3 = 0",
        "drop view headrace.rag__gold_questions",
        "create view headrace.rag__gold_questions as table gold",
    )
    with _edited(company, "answers", "answers || ' | policy:none'"):
        found = company.dbt.test(NAMES)
        assert sorted(result.status for result in found.values()) == ["pass", "pass", "warn"]


@contextmanager
def _edited(company: Headrace, column: str, value: str) -> Iterator[None]:
    """One question of the gold set has another list in a column."""
    _execute(
        company,
        "create table before as table gold",
        f"update gold set {column} = {value} where question_id = 'swap-expired'",
    )
    yield
    _execute(company, "truncate gold", "insert into gold table before", "drop table before")


def test_an_index_of_shuffled_vectors_is_not_published(
    company: Headrace, environment: None, tmp_path: Path
) -> None:
    vectors = company.live_index
    version = vectors.live_version
    markdown, found = tmp_path / "evals.md", tmp_path / "evals.json"
    arguments = ["eval", "--markdown", str(markdown), "--json", str(found)]
    with _shuffled(vectors):
        # Every chunk is there once and says what the warehouse says: no other check can tell.
        assert company.check().is_clean
        with pytest.raises(NotPublishedError, match=r"nDCG@10 falls from 0\.\d+ to 0\.\d+ \("):
            company.publish(evaluate=True)
        assert vectors.live_version == version
        # A micro-batch does not ask, but of what was refused.
        assert vectors.is_refused
        with pytest.raises(NotPublishedError, match="nDCG@10 falls"):
            company.publish()

        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 1, done.output
        written = json.loads(found.read_text())
        assert not written["is_published"] and "falls from" in written["refused_because"][0]
        assert written["moved"] and "### Questions that moved" in markdown.read_text()
        _dagster_refuses(company)
    assert not vectors.is_refused
    company.publish(evaluate=True)

    done = CliRunner().invoke(app, [*arguments, "--set", "gold_questions"])
    assert done.exit_code == 0, done.output
    assert "Measures" in done.output
    written = json.loads(found.read_text())
    assert written["is_published"] and written["refused_because"] == []
    assert {each["gold_set"] for each in written["questions"]} == {"gold_questions"}
    done = CliRunner().invoke(app, ["eval", "--set", "none"])
    assert "There is no gold set none" in str(done.exception)


def _definitions(company: Headrace) -> dg.Definitions:
    return dg.Definitions(
        assets=[*index.assets, *evals.assets],
        asset_checks=[*index.checks, *evals.checks],
        jobs=[dg.define_asset_job("publish", dg.AssetSelection.assets(VECTORS, PUBLISHED))],
        schedules=evals.schedules,
        resources={"warehouse": HeadraceResource(home=str(company.settings.home))},
    )


def _dagster_refuses(company: Headrace) -> None:
    job = _definitions(company).resolve_job_def("publish")
    run = job.execute_in_process(raise_on_error=False)
    assert not run.success
    found = {each.check_name: each for each in run.get_asset_check_evaluations()}
    refused = found.pop("answers_the_gold_set")
    assert not refused.passed and refused.blocking and refused.asset_key == VECTORS
    assert "nDCG@10 falls" in str(refused.metadata["reason"].value)
    assert all(each.passed for each in found.values())
    made = {event.asset_key for event in run.get_asset_materialization_events()}
    assert made == {VECTORS}


def test_dagster_asks_on_a_schedule_and_plots(company: Headrace, environment: None) -> None:
    run = _definitions(company).resolve_job_def("evals").execute_in_process()
    [materialization] = run.asset_materializations_for_node("evals__answers")
    metadata = materialization.metadata
    assert float(str(metadata["ndcg_at_10"].value)) > 0.7
    assert "### Versions" in str(metadata["report"].value)
    [evaluation] = run.get_asset_check_evaluations()
    assert evaluation.asset_key == ANSWERED and evaluation.passed


def test_documents_of_a_kind_that_went_are_not_taken_from_readers(company: Headrace) -> None:
    version = company.live_index.live_version
    _execute(
        company, "create table policies_copy as table saas.policies", "delete from saas.policies"
    )
    # The warehouse and the index agree that there are none.
    with pytest.raises(NotPublishedError, match=r"nDCG@10 of policy falls from 0\.\d+ to 0\.\d+"):
        company.build(AGAIN)
    assert company.live_index.live_version == version
    assert any(row["document_id"].startswith("policy:") for row in company.live_index.dump())
    assert not company.index.where("doc_type = 'policy'", ["chunk_id"], live=False).num_rows

    _execute(company, "insert into saas.policies table policies_copy")
    company.micro_batch(company.watch.changed())
    assert company.live_index.live_version == company.live_index.version
    assert not company.live_index.is_refused and company.verify().is_clean


def test_a_new_version_of_a_document_answers_for_the_one_it_replaces(company: Headrace) -> None:
    version = company.live_index.live_version
    # As when a company publishes the new year's policies: the gold set still names the old ones.
    _execute(
        company,
        "insert into saas.policies (policy_id, policy_name, policy_family, version_date, owner, "
        "audience, effective_from, body, updated_at) "
        "select distinct on (policy_family) policy_id || '-new', policy_name, policy_family, "
        "current_date, owner, audience, current_date, body, clock_timestamp() from saas.policies "
        "where effective_from <= current_date and effective_to is null "
        "order by policy_family, version_date desc",
    )
    company.build(AGAIN)
    assert company.live_index.live_version != version
    found = {row["document_id"] for row in company.live_index.dump()}
    assert "policy:refund-policy-2024-new" in found and "policy:refund-policy-2024" not in found
    assert {result.status for result in company.dbt.test(NAMES).values()} == {"pass"}
    _execute(company, "delete from saas.policies where policy_id like '%-new'")
    company.micro_batch(company.watch.changed())
    assert company.verify().is_clean


def test_a_generation_that_answers_worse_is_held(company: Headrace) -> None:
    other = Headrace(replace(company.settings, model="fake"))
    target = other.target()
    other.sync(target)
    with pytest.raises(NotPublishedError, match="nDCG@10 falls"):
        other.publish(target)
    live = company.live_generation
    assert live.model_id == DEFAULT_MODEL
    held = other.store.named(target.name)
    assert held.state is GenerationState.HELD
    # Batches go on with what readers see.
    assert other.to_sync() == [live]
    assert company.live_generation == live
    other.store.retire(target.name)


def test_a_first_version_waits_for_what_must_not_be_found(
    company: Headrace, tmp_path: Path
) -> None:
    first = Headrace(replace(company.settings, model="fake", lancedb_uri=str(tmp_path / "lancedb")))
    target = first.target()
    first.sync(target)
    with _edited(company, "must_not", "answers"):
        with pytest.raises(NotPublishedError, match="product_doc:scheduling-shift-swaps, which"):
            first.publish(target)
        assert first.store.live() is None
        # What readers see is past refusing: `headrace check` says so.
        [check] = [each for each in CHECKS if each.name == "answers_the_gold_set"]
        assert check.look(company).status is Status.FAIL
    first.publish(target)
    assert first.live_generation.name == target.name
    assert check.look(company).status is Status.PASS
