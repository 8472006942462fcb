"""What is always true of the example database: queries for the rows for which it is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from dagster_project.demo.script import Requester, Turn, write_script

TABLES = (
    "plans",
    "customers",
    "users",
    "subscriptions",
    "invoices",
    "tickets",
    "ticket_comments",
    "product_docs",
    "policies",
)

# Foreign keys and single-row rules are constraints of the schema; these need more than one row.
VIOLATIONS = {
    "requester of another customer": """
        select count(*) from saas.tickets join saas.users on user_id = requester_id
        where users.customer_id <> tickets.customer_id
    """,
    "invoice for another customer's subscription": """
        select count(*) from saas.invoices join saas.subscriptions using (subscription_id)
        where invoices.customer_id <> subscriptions.customer_id
    """,
    "user older than the customer": """
        select count(*) from saas.users join saas.customers using (customer_id)
        where users.created_at < customers.created_at or last_seen_at < users.created_at
    """,
    "ticket before its requester": """
        select count(*) from saas.tickets join saas.users on user_id = requester_id
        where tickets.created_at < users.created_at
    """,
    "ticket after the customer left": """
        select count(*) from saas.tickets join saas.customers using (customer_id)
        where tickets.created_at > churned_at
    """,
    "comment before its ticket": """
        select count(*) from saas.ticket_comments as c join saas.tickets as t using (ticket_id)
        where c.created_at < t.created_at or c.updated_at < c.created_at
    """,
    "ticket changed before something that changed it": """
        select count(*) from saas.tickets
        where updated_at < greatest(created_at, first_response_at, solved_at)
    """,
    "customer changed before leaving": """
        select count(*) from saas.customers where updated_at < greatest(created_at, churned_at)
    """,
    "subscription changed before something that changed it": """
        select count(*) from saas.subscriptions
        where updated_at < greatest(started_at, cancelled_at)
    """,
    "live subscription of a customer that left": """
        select count(*) from saas.subscriptions join saas.customers using (customer_id)
        where churned_at is not null and status <> 'cancelled'
    """,
    "not exactly one live subscription": """
        select count(*) from saas.customers
        where churned_at is null and 1 <> (
            select count(*) from saas.subscriptions
            where subscriptions.customer_id = customers.customer_id and status <> 'cancelled'
        )
    """,
    "bot ticket with other voices than the bot's, or without it": """
        select count(*) from saas.tickets
        where is_deflected and 0 = (
            select count(*) from saas.ticket_comments as c
            where c.ticket_id = tickets.ticket_id and author_kind = 'bot'
        )
    """,
    "bot's answer in a ticket of an agent's": """
        select count(*) from saas.ticket_comments join saas.tickets using (ticket_id)
        where (author_kind = 'bot') <> is_deflected
    """,
    "first response that no agent or bot gave": """
        select count(*) from saas.tickets
        where first_response_at is not null and not exists (
            select 1 from saas.ticket_comments as c
            where c.ticket_id = tickets.ticket_id and is_public and author_kind <> 'customer'
        )
    """,
    "template language left in a text": r"""
        select count(*) from (
            select subject || description as body from saas.tickets
            union all select body from saas.ticket_comments
            union all select body from saas.policies
        ) as texts
        where body ~ '[{][a-z][a-z0-9_]*[}]' or body ~ '<[^<>|]*[|][^<>]*>'
    """,
    "comment without words": """
        select count(*) from saas.ticket_comments where length(trim(body)) < 5
    """,
}


def violations(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Rows that break a rule, by rule; empty when all is well. Nothing may lie in the future."""
    found = {name: _count(connection, query) for name, query in VIOLATIONS.items()}
    for table in TABLES:
        query = sql.SQL("select count(*) from {} where updated_at > clock_timestamp()")
        found[f"{table} in the future"] = _count(
            connection, query.format(sql.Identifier("saas", table)).as_string(connection)
        )
    return {name: count for name, count in found.items() if count}


def _count(connection: psycopg.Connection[Any], query: str) -> int:
    (count,), *_ = connection.execute(query).fetchall()
    return int(count)


@dataclass(frozen=True)
class Thread:
    """A ticket's comments, as (author_kind, is_public, body), beside what its script plans."""

    ticket_id: int
    comments: list[tuple[str, bool, str]]
    turns: tuple[Turn, ...]


def threads(connection: psycopg.Connection[Any]) -> list[Thread]:
    """Every ticket with its script, which is worked out from the rows."""
    comments: dict[int, list[tuple[str, bool, str]]] = {}
    for ticket_id, *comment in connection.execute(
        "select ticket_id, author_kind, is_public, body from saas.ticket_comments "
        "order by comment_id"
    ):
        comments.setdefault(ticket_id, []).append((comment[0], comment[1], comment[2]))
    query = """
        select t.ticket_id, t.created_at, t.is_deflected, u.user_id, u.full_name, u.email,
            c.customer_id, c.company_name, c.industry, (
                select seats from saas.subscriptions as s
                where s.customer_id = c.customer_id order by s.subscription_id desc limit 1
            )
        from saas.tickets as t
        join saas.users as u on u.user_id = t.requester_id
        join saas.customers as c on c.customer_id = t.customer_id
    """
    found = []
    for ticket_id, created_at, deflected, *requester in connection.execute(query).fetchall():
        script = write_script(Requester(*requester), created_at)
        turns = (script.deflection,) if deflected else script.turns
        found.append(Thread(ticket_id, comments.get(ticket_id, []), turns))
    return found
