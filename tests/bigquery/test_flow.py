"""Dagster's sensors on BigQuery: each kind of change asks for a run of the right models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from dagster_project.core.build import Headrace
from dagster_project.core.settings import PACKAGE_PROJECT
from dagster_project.core.warehouse.bigquery import BigQueryWarehouse
from dagster_project.defs import evals, flow, index, quality, transform
from dagster_project.defs.flow import sensors
from dagster_project.defs.index.publishing import PUBLISHED, VECTORS
from dagster_project.resources import HeadraceResource
from tests.core.desk import WITHOUT_TESTS

from .emulator import Emulator
from .twins import TOKEN, keep, place, settings

PROJECT = """
name: shop
version: "1.0"
profile: headrace
vars:
  headrace_document_models: [doc_orders, doc_notes]
"""
SOURCES = """
version: 2
sources:
  - name: shop
    tables: [{name: orders}, {name: notes}]
"""
TOTALS = "{{ config(materialized='table') }} select * from {{ source('shop', 'orders') }}"
DOCUMENT = """
select
    concat('KIND:', cast(id as string)) as document_id, 'shop' as source_name, 'KIND' as doc_type,
    'A KIND' as title, body, cast(null as string) as url, cast(null as string) as owner,
    'en' as language, cast(null as date) as valid_from, cast(null as date) as valid_to,
    cast(null as string) as version_family, cast(null as date) as version_date,
    cast(null as date) as review_by, ['everyone'] as access, '{}' as payload,
    updated_at as source_updated_at, false as is_deleted
from {{ FROM }}
"""
TABLES = [
    "create table shop.TABLE (id int64, body string, updated_at timestamp)",
    "insert into shop.TABLE values (1, 'TABLE, first.', timestamp '2020-01-01'), "
    "(2, 'TABLE, second.', timestamp '2020-01-01')",
]
ALWAYS = {"documents/rag__changes", "documents/rag__documents", "chunks/rag__chunks"}
# A statement, the table that it changes, and the models between that and the chunks.
CHANGES = [
    (
        "insert into shop.orders values (3, 'orders, third.', current_timestamp())",
        "orders",
        {"models/totals"},
    ),
    (
        "update shop.notes set body = 'notes, another.', updated_at = current_timestamp() "
        "where id = 1",
        "notes",
        set(),
    ),
    ("delete from shop.orders where id = 2", "orders", {"models/totals"}),
]


@pytest.fixture
def shop(
    bigquery_emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Headrace]:
    """Two tables of documents, published; the home keeps its settings."""
    models = tmp_path / "project" / "models"
    models.mkdir(parents=True)
    (models / "sources.yml").write_text(SOURCES)
    (models / "totals.sql").write_text(TOTALS)
    for kind, relation in (("order", "ref('totals')"), ("note", "source('shop', 'notes')")):
        text = DOCUMENT.replace("KIND", kind).replace("FROM", relation)
        (models / f"doc_{kind}s.sql").write_text(text)
    (tmp_path / "project" / "dbt_project.yml").write_text(PROJECT)
    (tmp_path / "project" / "packages.yml").write_text(
        f"packages: [{{local: {PACKAGE_PROJECT}}}]\n"
    )
    there = place(bigquery_emulator, "shop-proj")
    headrace = Headrace(settings(tmp_path / "home", tmp_path / "project", bigquery=there))
    warehouse = _bigquery(headrace)
    warehouse.tables("shop")
    for table in ("orders", "notes"):
        for statement in TABLES:
            warehouse.rows(statement.replace("TABLE", table))
    headrace.build(WITHOUT_TESTS)
    keep(headrace)
    monkeypatch.setenv(TOKEN, "none")
    # A tick that finds nothing looks on until its time is over.
    monkeypatch.setattr(sensors, "TICK_SECONDS", 1.0)
    yield headrace


def _bigquery(headrace: Headrace) -> BigQueryWarehouse:
    assert isinstance(headrace.warehouse, BigQueryWarehouse)
    return headrace.warehouse


def _texts(headrace: Headrace) -> dict[str, str]:
    return {row["document_id"]: row["text"] for row in headrace.live_index.dump()}


def test_a_sensor_asks_for_the_models_of_a_change_and_the_run_brings_it_to_readers(
    shop: Headrace,
) -> None:
    manifest = transform.read_manifest(shop.settings)
    resource = HeadraceResource(home=str(shop.settings.home))
    definitions = dg.Definitions(
        assets=[
            *transform.source_tables(manifest),
            transform.models(manifest),
            *index.assets,
            *evals.assets,
        ],
        asset_checks=[
            *index.checks,
            *evals.checks,
            *quality.checks,
            flow.lag_is_within_the_promise,
        ],
        jobs=[flow.micro_batch],
        resources={"warehouse": resource},
    )
    by_name = {each.name: each for each in flow.change_sensors(manifest)}
    with dg.DagsterInstance.ephemeral() as instance:

        def tick(name: str) -> dg.RunRequest | dg.SkipReason:
            with dg.build_sensor_context(instance, resources={"warehouse": resource}) as context:
                asked = by_name[name](context)
            assert isinstance(asked, dg.RunRequest | dg.SkipReason)
            return asked

        for statement, table, models in CHANGES:
            quiet = tick("shop_changes")
            assert quiet == dg.SkipReason("no table changed"), statement
            _bigquery(shop).rows(statement)
            request = tick("shop_changes")
            assert isinstance(request, dg.RunRequest), statement
            assert request.tags[transform.SOURCES_TAG] == f"source.shop.shop.{table}"
            asked = {key.to_user_string() for key in request.asset_selection or ()}
            index_keys = {VECTORS.to_user_string(), PUBLISHED.to_user_string()}
            assert asked == ALWAYS | models | index_keys
            assert isinstance(tick("headrace_ops_changes"), dg.SkipReason), "of another source"
            assert isinstance(tick("shop_changes_meanwhile"), dg.SkipReason), "none is under way"

            run = (
                definitions.resolve_job_def(flow.micro_batch.name)
                .get_subset(
                    asset_selection=frozenset(request.asset_selection or ()),
                    asset_check_selection=frozenset(request.asset_check_keys or ()),
                )
                .execute_in_process(instance=instance, tags=request.tags)
            )
            assert run.success
            made = {event.asset_key for event in run.get_asset_materialization_events()}
            assert made == set(request.asset_selection or ())

    found = _texts(shop)
    assert found["order:3"].endswith("orders, third.")
    assert found["note:1"].endswith("notes, another.")
    # A run that the clock is among compares all ids.
    assert "order:2" in found
    shop.micro_batch(shop.watch.everything())
    assert set(_texts(shop)) == {"order:1", "order:3", "note:1", "note:2"}
    assert shop.verify(content=True).is_clean
