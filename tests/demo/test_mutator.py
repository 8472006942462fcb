from __future__ import annotations

import random
import time
from typing import Any

import psycopg
import pytest
from psycopg import sql

from dagster_project.core.errors import ConfigurationError, WarehouseError
from dagster_project.demo import generate, live, mutate

from .conftest import NOW
from .invariants import TABLES, threads, violations

KINDS = {
    "ticket opened",
    "comment added",
    "text edited",
    "status changed",
    "ticket deleted",
    "subscription changed",
    "invoice paid",
    "invoice issued",
    "product doc edited",
    "policy superseded",
}


def ask(connection: psycopg.Connection[Any], query: str, *values: object) -> list[tuple[Any, ...]]:
    return connection.execute(query, values).fetchall()


def snapshot(connection: psycopg.Connection[Any]) -> dict[str, dict[Any, tuple[Any, ...]]]:
    """Every row by key, without updated_at, which is the last column of each table."""
    query = sql.SQL("select * from {}")
    return {
        table: {
            row[0]: row
            for row in connection.execute(query.format(sql.Identifier("saas", table))).fetchall()
        }
        for table in TABLES
    }


def test_300_changes_keep_what_holds_and_move_updated_at(
    connection: psycopg.Connection[Any],
) -> None:
    generate(connection, scale=0.1, now=NOW)
    rng = random.Random(1)
    kinds: set[str] = set()
    before = snapshot(connection)
    steps = 0
    while steps < 300 or (kinds != KINDS and steps < 2000):
        steps += 1
        (began,), *_ = ask(connection, "select clock_timestamp()")
        line = mutate(connection, rng)
        assert "\n" not in line
        kinds.add(line.split(":")[0])
        after = snapshot(connection)
        touched = 0
        for table in TABLES:
            for key, row in after[table].items():
                if before[table].get(key) != row:
                    touched += 1
                    assert row[-1] >= began, f"{line}: {table} {key} changed, updated_at did not"
            gone = before[table].keys() - after[table].keys()
            assert not gone or line.startswith("ticket deleted"), f"{line}: lost {table} {gone}"
            touched += len(gone)
        assert touched, f"{line}: nothing changed"
        before = after
    assert kinds == KINDS
    assert violations(connection) == {}


def test_a_change_is_committed_on_a_plain_connection(demo_url: str) -> None:
    with psycopg.connect(demo_url) as plain, psycopg.connect(demo_url, autocommit=True) as other:
        generate(plain, scale=0.02, now=NOW)
        (began,), *_ = ask(other, "select clock_timestamp()")
        line = ""
        rng = random.Random(0)
        while not line.startswith("ticket opened"):
            line = mutate(plain, rng)
        assert ask(other, "select 1 from saas.tickets where created_at >= %s", began)


def test_comments_carry_threads_on_to_their_end(connection: psycopg.Connection[Any]) -> None:
    generate(connection, scale=0.1, now=NOW)
    rng = random.Random(2)
    solved: set[int] = set()
    while len(solved) < 5:
        line = mutate(connection, rng)
        if line.startswith("comment added") and line.endswith("now solved"):
            solved.add(int(line.split("ticket ")[1].split()[0]))
    complete = 0
    for thread in threads(connection):
        # Whatever was edited meanwhile: the right side speaks at the right time.
        said = [(kind, public) for kind, public, _ in thread.comments]
        planned = [(turn.author_kind, turn.is_public) for turn in thread.turns]
        assert said[: len(planned)] == planned[: len(said)], thread.ticket_id
        if thread.ticket_id in solved:
            assert len(said) >= len(planned), thread.ticket_id
            complete += 1
    assert complete >= 4  # one may have been deleted since


def test_a_superseded_policy_is_followed_by_the_next_version(
    connection: psycopg.Connection[Any],
) -> None:
    generate(connection, scale=0.02, now=NOW)
    rng = random.Random(0)
    line = ""
    while not line.startswith("policy superseded"):
        line = mutate(connection, rng)
    old, new = line.removeprefix("policy superseded: ").split(" by ")
    query = (
        "select policy_family, version_date, body, owner, audience from saas.policies "
        "where policy_id = %s"
    )
    (old_row,), (new_row,) = ask(connection, query, old), ask(connection, query, new)
    assert old_row[0] == new_row[0] and old_row[3:] == new_row[3:]
    assert old_row[1] < new_row[1]
    assert "What changed in this version" in new_row[2]


def test_live_keeps_its_pace_and_its_end(connection: psycopg.Connection[Any]) -> None:
    generate(connection, scale=0.05, now=NOW)
    began = time.monotonic()
    lines = list(live(connection, per_second=20, seconds=0.5, seed=1))
    assert len(lines) == 10
    assert 0.45 <= time.monotonic() - began < 5


def test_live_goes_on_without_an_end(connection: psycopg.Connection[Any]) -> None:
    generate(connection, scale=0.05, now=NOW)
    changes = live(connection, per_second=1000, seconds=None, seed=1)
    assert len([next(changes) for _ in range(25)]) == 25


def test_a_pace_of_nought_is_refused(connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(ConfigurationError, match="more than 0"):
        next(live(connection, per_second=0, seconds=1, seed=1))


def test_a_missing_schema_says_what_to_do(connection: psycopg.Connection[Any]) -> None:
    connection.execute("drop schema if exists saas cascade")
    with pytest.raises(WarehouseError, match="headrace demo"):
        mutate(connection, random.Random(0))


def test_an_emptied_schema_says_what_to_do(connection: psycopg.Connection[Any]) -> None:
    generate(connection, scale=0.02, now=NOW)
    connection.execute(
        "truncate saas.customers, saas.plans, saas.product_docs, saas.policies cascade"
    )
    with pytest.raises(WarehouseError, match="empty"):
        mutate(connection, random.Random(0))
