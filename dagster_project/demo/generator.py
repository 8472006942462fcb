"""Builds the example company's application database, the schema ``saas``, from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from dagster_project.core.errors import ConfigurationError
from dagster_project.demo.accounts import make_accounts
from dagster_project.demo.documents import load_documents
from dagster_project.demo.tickets import make_tickets
from dagster_project.demo.wording import HERE

CUSTOMERS = 300
TICKETS = 1000


def generate(
    connection: psycopg.Connection[Any],
    *,
    seed: int = 7,
    scale: float = 1.0,
    now: datetime | None = None,
) -> dict[str, int]:
    """Drop the schema ``saas``, whatever it holds, and make it anew, in one transaction.

    The same ``seed``, ``scale`` and ``now`` give the same rows.

    Args:
        connection: to the database that will hold the schema; not inside a transaction.
        seed: another seed gives other customers and tickets.
        scale: multiplies customers and tickets, and with them users, subscriptions, invoices and
            comments; plans and documents stay as they are.
        now: the present of the example; nothing in it is later. Default: the present.

    Returns:
        Rows by table.

    Raises:
        ConfigurationError: a scale of nought or less, a ``now`` without time zone, or a damaged
            file of the text library.
    """
    tables = make_tables(seed=seed, scale=scale, now=now)
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute((HERE / "schema.sql").read_bytes())
        for table, rows in tables.items():
            _copy(cursor, table, rows)
        cursor.execute((HERE / "indexes.sql").read_bytes())
    return {table: len(rows) for table, rows in tables.items()}


def make_tables(
    *, seed: int = 7, scale: float = 1.0, now: datetime | None = None
) -> dict[str, Sequence[NamedTuple]]:
    """All rows by table, in an order that satisfies the foreign keys; arguments as `generate`'s.

    Raises:
        ConfigurationError: a scale of nought or less, a ``now`` without time zone, or a damaged
            file of the text library.
    """
    if not scale > 0:
        raise ConfigurationError(
            f"The scale must be more than 0, not {scale}: 1 is the usual size."
        )
    now = (now or datetime.now(timezone.utc)).replace(microsecond=0)
    if now.tzinfo is None:
        raise ConfigurationError(f"now is {now}, without time zone: give it one, such as UTC.")
    now, rng = now.astimezone(timezone.utc), random.Random(seed)
    accounts = make_accounts(rng, max(1, round(CUSTOMERS * scale)), now)
    tickets, comments = make_tickets(rng, max(1, round(TICKETS * scale)), accounts, now)
    docs, policies = load_documents(now)
    return {
        "plans": accounts.plans,
        "customers": accounts.customers,
        "users": accounts.users,
        "subscriptions": accounts.subscriptions,
        "invoices": accounts.invoices,
        "tickets": tickets,
        "ticket_comments": comments,
        "product_docs": docs,
        "policies": policies,
    }


def _copy(cursor: psycopg.Cursor[Any], table: str, rows: Sequence[NamedTuple]) -> None:
    if not rows:
        return
    columns = rows[0]._fields
    target = sql.Identifier("saas", table)
    statement = sql.SQL("copy {} ({}) from stdin").format(
        target, sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
    if isinstance(rows[-1][0], int):
        # COPY fills the key itself, so the sequence behind it has to be told where to go on.
        cursor.execute(
            "select setval(pg_get_serial_sequence(%s, %s), %s)",
            (f"saas.{table}", columns[0], rows[-1][0]),
        )
