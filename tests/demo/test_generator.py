from __future__ import annotations

import itertools
import random
import re
import statistics
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from dagster_project.core.errors import ConfigurationError
from dagster_project.demo import documents, generate

from .conftest import NOW
from .invariants import TABLES, threads, violations

Rows = list[tuple[Any, ...]]


def contents(connection: psycopg.Connection[Any]) -> dict[str, Rows]:
    return {
        table: connection.execute(
            sql.SQL("select * from {} order by 1").format(sql.Identifier("saas", table))
        ).fetchall()
        for table in TABLES
    }


def words_in_fives(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[a-z0-9']+", text.lower())
    return {tuple(words[place : place + 5]) for place in range(len(words) - 4)}


def jaccard(one: set[tuple[str, ...]], other: set[tuple[str, ...]]) -> float:
    return len(one & other) / max(1, len(one | other))


def test_the_same_seed_gives_the_same_rows(connection: psycopg.Connection[Any]) -> None:
    generate(connection, seed=3, scale=0.1, now=NOW)
    first = contents(connection)
    generate(connection, seed=3, scale=0.1, now=NOW)
    assert contents(connection) == first


def test_another_seed_gives_another_company_and_the_same_documents(
    connection: psycopg.Connection[Any],
) -> None:
    generate(connection, seed=3, scale=0.1, now=NOW)
    first = contents(connection)
    generate(connection, seed=4, scale=0.1, now=NOW)
    second = contents(connection)
    same = {table for table in TABLES if first[table] == second[table]}
    assert same == {"plans", "product_docs", "policies"}
    assert not {row[5] for row in first["tickets"]} & {row[5] for row in second["tickets"]}


@pytest.mark.parametrize("scale", [1, 2])
def test_counts_follow_the_scale(connection: psycopg.Connection[Any], scale: int) -> None:
    counts = generate(connection, scale=scale, now=NOW)
    assert {table: len(rows) for table, rows in contents(connection).items()} == counts
    assert counts["plans"] == 4
    assert counts["customers"] == 300 * scale
    assert counts["tickets"] == 1000 * scale
    assert counts["product_docs"] + counts["policies"] == 60
    usual = {"users": 900, "subscriptions": 330, "invoices": 3000, "ticket_comments": 3500}
    for table, count in usual.items():
        assert counts[table] == pytest.approx(count * scale, rel=0.15), table
    assert violations(connection) == {}


def test_nothing_is_later_than_now(connection: psycopg.Connection[Any]) -> None:
    long_ago = datetime(2025, 2, 3, 4, 5, 6, tzinfo=NOW.tzinfo)
    generate(connection, scale=0.1, now=long_ago)
    for table, rows in contents(connection).items():
        moments = [value for row in rows for value in row if isinstance(value, datetime)]
        assert max(moments) <= long_ago, table
    assert violations(connection) == {}


def test_every_table_can_be_read_by_updated_at(connection: psycopg.Connection[Any]) -> None:
    generate(connection, scale=0.02, now=NOW)
    indexed = connection.execute(
        "select tablename from pg_indexes "
        "where schemaname = 'saas' and indexdef like '%(updated_at)'"
    ).fetchall()
    assert sorted(name for (name,) in indexed) == sorted(TABLES)


def test_new_rows_take_keys_that_were_never_used(connection: psycopg.Connection[Any]) -> None:
    generate(connection, scale=0.05, now=NOW)
    (last,), *_ = connection.execute(
        "delete from saas.tickets where ticket_id = (select max(ticket_id) from saas.tickets) "
        "returning ticket_id"
    ).fetchall()
    (new,), *_ = connection.execute(
        "insert into saas.tickets (customer_id, requester_id, product_area, subject, description, "
        "status, priority, channel, is_deflected, created_at, updated_at) select customer_id, "
        "requester_id, product_area, subject, description, 'open', priority, channel, false, "
        "created_at, updated_at from saas.tickets limit 1 returning ticket_id"
    ).fetchall()
    assert new > last


def test_no_two_tickets_read_the_same(connection: psycopg.Connection[Any]) -> None:
    generate(connection, scale=1, now=NOW)
    texts = [row[0] for row in connection.execute("select description from saas.tickets")]
    assert len(set(texts)) == len(texts)
    fives = [words_in_fives(text) for text in texts]
    sample = random.Random(0).sample(range(len(texts)), 200)
    pairs = itertools.combinations(sample, 2)
    assert statistics.mean(jaccard(fives[one], fives[other]) for one, other in pairs) < 0.012
    # The ticket that is most like it: of the same scenario, but with other facts.
    nearest = [
        max(jaccard(fives[one], fives[other]) for other in range(len(texts)) if other != one)
        for one in sample
    ]
    assert statistics.median(nearest) < 0.35
    assert statistics.quantiles(nearest, n=20)[-1] < 0.6


def test_threads_have_the_intended_size_and_mix(connection: psycopg.Connection[Any]) -> None:
    generate(connection, scale=1, now=NOW)
    query = """
        select avg(length(description) + coalesce(said, 0)), max(length(description) + said),
            avg(is_deflected::int)
        from saas.tickets
        left join (
            select ticket_id, sum(length(body)) as said from saas.ticket_comments group by 1
        ) as threads using (ticket_id)
    """
    (characters, longest, deflected), *_ = connection.execute(query).fetchall()
    assert 900 <= characters <= 1300
    assert longest < 3000
    assert deflected == pytest.approx(0.25, abs=0.005)
    query = """
        select avg((not is_public)::int), avg((length(body) between 80 and 400)::int)
        from saas.ticket_comments
    """
    (private, usual), *_ = connection.execute(query).fetchall()
    assert 0.02 <= private <= 0.045
    assert usual > 0.7


def test_business_looks_like_one(connection: psycopg.Connection[Any]) -> None:
    generate(connection, scale=1, now=NOW)
    found = contents(connection)
    churned = sum(row[7] is not None for row in found["customers"]) / len(found["customers"])
    assert 0.1 < churned < 0.3
    assert len({row[1] for row in found["customers"]}) == len(found["customers"])
    assert {row[3] for row in found["subscriptions"]} == {
        "active",
        "trialing",
        "past_due",
        "cancelled",
    }
    assert {row[5] for row in found["invoices"]} == {"paid", "open", "overdue", "void"}
    assert any(row[6] for row in found["subscriptions"]), "no discount anywhere"
    opened = [row[12] for row in found["tickets"]]
    recent = sum(at > NOW - timedelta(days=90) for at in opened) / len(opened)
    assert 0.25 < recent < 0.5
    assert all(email.endswith(".example") for *_, email in (row[:4] for row in found["users"]))


def test_a_thread_can_be_told_from_its_rows(connection: psycopg.Connection[Any]) -> None:
    generate(connection, scale=0.2, now=NOW)
    told = threads(connection)
    assert len(told) == 200
    for thread in told:
        bodies = [body for _, _, body in thread.comments]
        assert bodies == [turn.body for turn in thread.turns[: len(bodies)]], thread.ticket_id


def test_documents_keep_their_markdown_and_front_matter(
    connection: psycopg.Connection[Any],
) -> None:
    generate(connection, scale=0.02, now=NOW)
    for table in ("product_docs", "policies"):
        bodies = connection.execute(
            sql.SQL("select body from {}").format(sql.Identifier("saas", table))
        ).fetchall()
        assert all("\n## " in body and not body.startswith("---") for (body,) in bodies), table
    replaced = connection.execute(
        "select policy_family from saas.policies group by 1 having count(*) > 1"
    ).fetchall()
    assert len(replaced) >= 3


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("no front matter at all\n", "begin with front matter"),
        ("---\ndoc_id: a\ntitle: b\n---\nbody\n", "product_area"),
    ],
)
def test_a_damaged_document_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, complaint: str
) -> None:
    folder = tmp_path / "documents" / "product_docs"
    folder.mkdir(parents=True)
    (folder / "broken.md").write_text(text)
    monkeypatch.setattr(documents, "HERE", tmp_path)
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        documents.load_documents(NOW)
    assert "broken.md" in str(caught.value)


def test_arguments_that_cannot_be_used_are_refused(connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(ConfigurationError, match="scale"):
        generate(connection, scale=0)
    with pytest.raises(ConfigurationError, match="time zone"):
        generate(connection, now=datetime(2026, 1, 1))
