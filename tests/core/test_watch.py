"""Every change of a source table is seen, late, deleted or undated; none is seen twice."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from dagster_project.core import watch as watch_module
from dagster_project.core.warehouse import PostgresWarehouse, operations
from dagster_project.core.watch import CLOCK, Watch

ORDERS, NOTES = "source.shop.shop.orders", "source.shop.shop.notes"
MANIFEST: dict[str, Any] = {
    "sources": {
        ORDERS: {"schema": "shop", "identifier": "orders", "source_name": "shop"},
        NOTES: {"schema": "shop", "identifier": "notes", "source_name": "shop"},
        "source.headrace.headrace_ops.sync_ledger": {
            "schema": "headrace_ops",
            "identifier": "sync_ledger",
            "source_name": "headrace_ops",
        },
    },
    "nodes": {
        f"model.shop.{name}": {
            "name": name,
            "resource_type": "model",
            "config": {"materialized": materialized},
        }
        for name, materialized in {
            "stg_orders": "view",
            "totals": "table",
            "unrelated": "table",
            "doc_orders": "view",
            "doc_totals": "table",
            "rag__incoming": "view",
            "rag__documents": "incremental",
            "rag__chunks": "incremental",
        }.items()
    },
    "child_map": {
        ORDERS: ["model.shop.stg_orders", "model.shop.unrelated"],
        NOTES: ["model.shop.doc_orders"],
        "model.shop.stg_orders": ["model.shop.totals"],
        "model.shop.totals": ["model.shop.doc_orders", "model.shop.doc_totals"],
        "model.shop.doc_totals": ["model.shop.rag__incoming"],
        "model.shop.doc_orders": ["model.shop.rag__incoming"],
        "model.shop.rag__incoming": ["model.shop.rag__documents"],
        "model.shop.rag__documents": ["model.shop.rag__chunks"],
    },
}
MANIFEST["parent_map"] = {
    child: [parent for parent, children in MANIFEST["child_map"].items() if child in children]
    for children in MANIFEST["child_map"].values()
    for child in children
}


@pytest.fixture
def url(postgres_url: str) -> str:
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    url = postgres_url.rsplit("/", 1)[0] + f"/{name}"
    with psycopg.connect(url) as connection:
        connection.execute(
            "create schema shop; "
            "create table shop.orders (id int primary key, body text, updated_at timestamptz); "
            "create table shop.notes (id int, body text); "
            "insert into shop.orders select i, 'order', now() from generate_series(1, 100) as i; "
            "insert into shop.notes values (1, 'note')"
        )
    return url


@pytest.fixture(params=["small", "large"])
def watch(url: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Once with tables that are read whole at every look, once with counters in between."""
    if request.param == "large":
        monkeypatch.setattr(operations, "SMALL_ROWS", -2)
    warehouse = PostgresWarehouse(url, "headrace")
    warehouse.prepare()
    watch = Watch(warehouse, MANIFEST)
    _see(watch)
    return watch


def _see(watch: Watch) -> None:
    """A batch that reads everything and reaches readers."""
    watch.begin(watch.everything())
    watch._warehouse.mark_seen(watch.everything())


def _soon(watch: Watch, *, meanwhile: bool = False) -> list[str]:
    """What changed, once the server has counted it: it may take ten seconds over a busy session."""
    until = time.monotonic() + 15
    while time.monotonic() < until:
        if found := watch.came_meanwhile() if meanwhile else watch.changed():
            return found
        time.sleep(0.05)
    return []


def test_nothing_changed(watch: Watch) -> None:
    assert watch.changed() == []
    assert watch.groups() == ["shop"], "what Headrace itself writes is not watched"


@pytest.mark.parametrize(
    "statement",
    [
        "insert into shop.orders values (101, 'new', now())",
        "insert into shop.orders values (101, 'dated years ago', '2020-01-01')",
        "insert into shop.orders values (101, 'undated', null)",
        "update shop.orders set body = 'edited' where id = 7",
        "delete from shop.orders where id = 7",
        "delete from shop.orders where id = 7; insert into shop.orders values (7, 'order', now())",
        "truncate shop.orders",
    ],
)
def test_a_change_of_any_kind_is_seen_once(watch: Watch, url: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement)
    assert _soon(watch) == [ORDERS]
    _see(watch)
    assert watch.changed() == []


def test_a_transaction_that_commits_late_is_seen_when_it_commits(watch: Watch, url: str) -> None:
    late = psycopg.connect(url)
    late.execute("update shop.orders set body = 'late', updated_at = now() where id = 1")
    # One that began later commits earlier, and is seen.
    with psycopg.connect(url) as connection:
        connection.execute("update shop.orders set body = 'early', updated_at = now() where id = 2")
    assert _soon(watch) == [ORDERS]
    _see(watch)
    assert watch.changed() == []
    late.commit()
    late.close()
    assert _soon(watch) == [ORDERS]


def test_what_is_rolled_back_changes_nothing_for_good(watch: Watch, url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("insert into shop.orders values (101, 'never', now())")
        connection.rollback()
    # The counters of a large table count it, so that a batch may run for nothing; then all is
    # quiet.
    time.sleep(1)
    for _ in range(2):
        if watch.changed():
            _see(watch)
    assert watch.changed() == []


def test_a_batch_that_fails_leaves_its_sources_changed(watch: Watch, url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("update shop.notes set body = 'edited'")
    assert _soon(watch) == [NOTES]
    watch.begin([NOTES])
    assert _soon(watch) == [NOTES], "it was read, but not seen by readers"


def test_what_changes_while_a_batch_runs_is_left_to_the_next(watch: Watch, url: str) -> None:
    watch.begin(watch.everything())
    with psycopg.connect(url) as connection:
        connection.execute("insert into shop.notes values (2, 'while dbt runs')")
    watch._warehouse.mark_seen(watch.everything())
    assert _soon(watch) == [NOTES]


def test_what_came_meanwhile_is_known_before_readers_see_the_batch(watch: Watch, url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("update shop.notes set body = 'edited'")
    assert _soon(watch) == [NOTES]
    assert watch.came_meanwhile() == [], "no batch has read it"
    watch.begin([NOTES])
    with psycopg.connect(url) as connection:
        connection.execute("insert into shop.notes values (2, 'while dbt runs')")
    assert _soon(watch, meanwhile=True) == [NOTES]
    watch._warehouse.mark_seen([NOTES])
    assert watch.came_meanwhile() == [], "readers see what was read: it is a change as any other"
    assert _soon(watch) == [NOTES]


def test_a_batch_that_is_cut_is_followed_by_another(watch: Watch) -> None:
    watch.begin([ORDERS])
    watch.is_cut([ORDERS])
    watch._warehouse.mark_seen([ORDERS])
    assert watch.changed() == [ORDERS]
    _see(watch)
    assert watch.changed() == []


def test_a_new_day_is_a_change(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "_today", lambda: "2999-01-01")
    assert watch.changed() == [CLOCK]


def test_a_change_that_no_counter_gives_away_is_found_by_the_full_look(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "SMALL_ROWS", -2)
    warehouse = PostgresWarehouse(url, "headrace")
    warehouse.prepare()
    watch = Watch(warehouse, MANIFEST)
    _see(watch)
    watch.changed()
    with psycopg.connect(url) as connection:
        connection.execute("set track_counts = off")
        connection.execute("update shop.orders set body = 'uncounted' where id = 3")
    assert watch.changed() == []
    monkeypatch.setattr(watch_module, "FULL_LOOK_SECONDS", 0.0)
    assert watch.changed() == [ORDERS]


def test_writers_at_once_lose_nothing(watch: Watch, url: str) -> None:
    """Eight writers; after each batch is seen, what was committed before it began was in it."""
    ends = threading.Event()

    def write(number: int) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while not ends.is_set():
                connection.execute(
                    "update shop.orders set body = body || '.' where id = %s", (number,)
                )
                time.sleep(0.005)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    seen = ""
    try:
        until = time.monotonic() + 3
        while time.monotonic() < until:
            if watch.changed():
                watch.begin([ORDERS])
                seen = _bodies(url)
                watch._warehouse.mark_seen([ORDERS])
    finally:
        ends.set()
        for thread in threads:
            thread.join()
    while _soon(watch):
        watch.begin([ORDERS])
        seen = _bodies(url)
        watch._warehouse.mark_seen([ORDERS])
    assert seen == _bodies(url)


def _bodies(url: str) -> str:
    with psycopg.connect(url) as connection:
        rows: Iterator[tuple[int, str]] = iter(
            connection.execute("select id, body from shop.orders order by id").fetchall()
        )
        return str(list(rows))


def test_the_plan_runs_what_is_kept_between_source_and_chunks(watch: Watch) -> None:
    assert watch.plan([ORDERS]) == ["doc_totals", "rag__chunks", "rag__documents", "totals"]
    assert watch.plan([NOTES]) == ["rag__chunks", "rag__documents"]
    assert watch.plan([CLOCK]) == ["rag__chunks", "rag__documents"]


def test_a_batch_compares_the_document_models_below_what_changed(watch: Watch) -> None:
    assert watch.document_models([ORDERS]) == ["doc_orders", "doc_totals"]
    assert watch.document_models([NOTES]) == ["doc_orders"]
    assert watch.document_models([NOTES, CLOCK]) == [], "the day may change any document's state"
