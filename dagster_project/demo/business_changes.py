"""Changes to subscriptions and invoices."""

from __future__ import annotations

import random
from typing import Any

import psycopg

from dagster_project.demo.picking import pick

Cursor = psycopg.Cursor[Any]


def change_subscription(cursor: Cursor, rng: random.Random) -> str | None:
    """Add seats to a subscription, move it to the next plan, or cancel it with its customer."""
    subscription_id = pick(
        cursor, rng, "subscriptions", "subscription_id", "status in ('active', 'past_due')"
    )
    if subscription_id is None:
        return None
    chance = rng.random()
    if chance < 0.35 and (upgraded := _upgrade(cursor, subscription_id)):
        return upgraded
    if chance > 0.8:
        return _cancel(cursor, subscription_id)
    added = rng.randint(2, 15)
    cursor.execute(
        """
        update saas.subscriptions
        set seats = seats + %s, updated_at = clock_timestamp()
        where subscription_id = %s
        """,
        (added, subscription_id),
    )
    return f"subscription changed: {subscription_id} grows by {added} seats"


def _upgrade(cursor: Cursor, subscription_id: int) -> str | None:
    row = cursor.execute(
        """
        insert into saas.subscriptions (
            customer_id, plan_id, status, seats, seat_price_cents, discount_percent,
            started_at, cancelled_at, updated_at
        )
        select
            old.customer_id, better.plan_id, 'active', greatest(old.seats, better.included_seats),
            better.monthly_price_cents / better.included_seats, old.discount_percent,
            clock_timestamp(), null, clock_timestamp()
        from saas.subscriptions as old
        join saas.plans as better on better.plan_id = old.plan_id + 1
        where old.subscription_id = %s
        returning subscription_id, plan_id
        """,
        (subscription_id,),
    ).fetchone()
    if row is None:
        return None
    _end(cursor, subscription_id)
    return f"subscription changed: {subscription_id} upgraded to plan {row[1]}, now {row[0]}"


def _cancel(cursor: Cursor, subscription_id: int) -> str:
    _end(cursor, subscription_id)
    cursor.execute(
        """
        update saas.customers
        set churned_at = clock_timestamp(), updated_at = clock_timestamp()
        where customer_id = (
            select customer_id from saas.subscriptions where subscription_id = %s
        )
        """,
        (subscription_id,),
    )
    return f"subscription changed: {subscription_id} cancelled"


def _end(cursor: Cursor, subscription_id: int) -> None:
    cursor.execute(
        """
        update saas.subscriptions
        set status = 'cancelled', cancelled_at = clock_timestamp(), updated_at = clock_timestamp()
        where subscription_id = %s
        """,
        (subscription_id,),
    )


def settle_invoice(cursor: Cursor, rng: random.Random) -> str | None:
    """Pay an open or overdue invoice, or, now and then and when none is left, issue one."""
    invoice_id = pick(cursor, rng, "invoices", "invoice_id", "status in ('open', 'overdue')")
    if invoice_id is None or rng.random() < 0.3:
        return _issue(cursor, rng)
    cursor.execute(
        """
        update saas.invoices
        set
            status = 'paid',
            paid_on = greatest(issued_on, (clock_timestamp() at time zone 'utc')::date),
            updated_at = clock_timestamp()
        where invoice_id = %s
        """,
        (invoice_id,),
    )
    # An account whose last overdue invoice is paid is in good standing again.
    cursor.execute(
        """
        update saas.subscriptions as account
        set status = 'active', updated_at = clock_timestamp()
        from saas.invoices as paid
        where paid.invoice_id = %s
            and account.subscription_id = paid.subscription_id
            and account.status = 'past_due'
            and not exists (
                select 1 from saas.invoices as other
                where other.subscription_id = paid.subscription_id and other.status = 'overdue'
            )
        """,
        (invoice_id,),
    )
    return f"invoice paid: {invoice_id}"


def _issue(cursor: Cursor, rng: random.Random) -> str | None:
    subscription_id = pick(cursor, rng, "subscriptions", "subscription_id", "status = 'active'")
    if subscription_id is None:
        return None
    row = cursor.execute(
        """
        insert into saas.invoices (
            customer_id, subscription_id, amount_cents, currency, status,
            issued_on, due_on, paid_on, updated_at
        )
        select
            customer_id, subscription_id,
            seats * seat_price_cents * (100 - discount_percent) / 100, 'USD', 'open',
            (clock_timestamp() at time zone 'utc')::date,
            (clock_timestamp() at time zone 'utc')::date + 30, null, clock_timestamp()
        from saas.subscriptions
        where subscription_id = %s
        returning invoice_id
        """,
        (subscription_id,),
    ).fetchone()
    return f"invoice issued: {row[0]}" if row else None
