"""Customers with their people, subscriptions and invoices: what a few years of business leave."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone

from dagster_project.demo.people import company_name, full_name, weighted
from dagster_project.demo.rows import Customer, Invoice, Plan, Subscription, User
from dagster_project.demo.wording import words

HISTORY = timedelta(days=1405)
TRIAL = timedelta(days=14)
STARTER_SEATS = 25
_COLLEAGUES = 2.5  # of the owner, in the mean, before rounding down
_UPGRADED_SHARE = 0.17  # of those who have been there for some months
_CHURNED_SHARE = 0.19
# months between two invoices, with weights
_CYCLES = {1: 40, 3: 34, 12: 26}


@dataclass(frozen=True)
class Accounts:
    """The business side of the database; each list is in the order of its key."""

    plans: list[Plan]
    customers: list[Customer]
    users: list[User]
    subscriptions: list[Subscription]
    invoices: list[Invoice]


def make_accounts(rng: random.Random, customers: int, now: datetime) -> Accounts:
    """Make ``customers`` customers and what belongs to them, nothing of it after ``now``."""
    began = now - HISTORY
    plans = _plans(began)
    made = Accounts(plans, [], [], [], [])
    names: set[str] = set()
    joined = sorted(began + HISTORY * rng.random() ** 0.8 for _ in range(customers))
    for customer_id, created_at in enumerate(joined, start=1):
        customer = _customer(rng, customer_id, created_at.replace(microsecond=0), now, names)
        made.customers.append(customer)
        made.users.extend(_users(rng, customer, len(made.users) + 1, now))
        _subscribe(rng, made, customer, now)
    return made


def _plans(began: datetime) -> list[Plan]:
    offers = [
        ("Starter", "self-serve", 600, 5, 24),
        ("Team", "self-serve", 800, 15, 12),
        ("Business", "sales-led", 1100, 40, 4),
        ("Enterprise", "sales-led", 1400, 150, 1),
    ]
    return [
        Plan(number, name, tier, seat_price * seats, seats, sla, began)
        for number, (name, tier, seat_price, seats, sla) in enumerate(offers, start=1)
    ]


def _customer(
    rng: random.Random, customer_id: int, created_at: datetime, now: datetime, names: set[str]
) -> Customer:
    vocabulary = words()
    industry = weighted(
        rng, {name: entry["weight"] for name, entry in vocabulary["industries"].items()}
    )
    name = company_name(rng, industry)
    while name in names:
        # Tens of thousands of customers use up the plain names; then a family name goes in front.
        name = f"{full_name(rng).split()[1]} {company_name(rng, industry)}"
    names.add(name)
    tenure = now - created_at
    churned_at = None
    if tenure > timedelta(days=90) and rng.random() < _CHURNED_SHARE:
        churned_at = created_at + timedelta(days=60) + (tenure - timedelta(days=60)) * rng.random()
        churned_at = churned_at.replace(microsecond=0)
    # A change of account owner or of head count, now and then, is what moves updated_at.
    last_edit = created_at + tenure * rng.random() if rng.random() < 0.4 else created_at
    return Customer(
        customer_id=customer_id,
        company_name=name,
        industry=industry,
        employee_count=max(6, min(2400, round(rng.lognormvariate(4.1, 0.95)))),
        country=weighted(rng, vocabulary["countries"]),
        account_owner=rng.choice(vocabulary["account_owners"]),
        created_at=created_at,
        churned_at=churned_at,
        updated_at=churned_at or last_edit,
    )


def _users(rng: random.Random, customer: Customer, first_id: int, now: datetime) -> list[User]:
    until = customer.churned_at or now
    domain = "".join(c for c in customer.company_name.lower() if c.isalnum()) + ".example"
    count = 1 + min(11, int(rng.expovariate(1 / _COLLEAGUES)))
    users: list[User] = []
    taken: set[str] = set()
    for user_id in range(first_id, first_id + count):
        name = full_name(rng)
        while name in taken:
            name = full_name(rng)
        taken.add(name)
        first = user_id == first_id
        created_at = customer.created_at
        if not first:
            created_at += (until - customer.created_at) * rng.random() ** 1.6
        created_at = created_at.replace(microsecond=0)
        last_seen_at = None
        if first or rng.random() > 0.06:
            # Most were here in the last days, some have not come for long.
            last_seen_at = until - (until - created_at) * rng.random() ** 6
        last_edit = (
            created_at + (until - created_at) * rng.random() if rng.random() < 0.3 else created_at
        )
        users.append(
            User(
                user_id=user_id,
                customer_id=customer.customer_id,
                full_name=name,
                email=f"{name.lower().replace(' ', '.')}@{domain}",
                role="Owner" if first else weighted(rng, words()["user_roles"]),
                last_seen_at=last_seen_at,
                created_at=created_at,
                updated_at=max(created_at, last_edit),
            )
        )
    return users


def _subscribe(rng: random.Random, made: Accounts, customer: Customer, now: datetime) -> None:
    """Add the customer's subscriptions, one or, after an upgrade, two, and their invoices."""
    level = sum(customer.employee_count > limit for limit in (22, 75, 280))
    if rng.random() < 0.15:
        level = max(0, level - 1)
    until = customer.churned_at or now
    tenure = until - customer.created_at
    starts = [(customer.created_at, level)]
    if level > 0 and tenure > timedelta(days=150) and rng.random() < _UPGRADED_SHARE:
        moved_at = customer.created_at + tenure * rng.uniform(0.25, 0.8)
        starts = [(customer.created_at, level - 1), (moved_at.replace(microsecond=0), level)]
    months = int(weighted(rng, {str(cycle): weight for cycle, weight in _CYCLES.items()}))
    for number, (started_at, plan_index) in enumerate(starts):
        last = number == len(starts) - 1
        ended_at = customer.churned_at if last else starts[number + 1][0]
        plan = made.plans[plan_index]
        wanted = math.ceil(customer.employee_count * rng.uniform(0.55, 1.0))
        if plan_index == 0:
            wanted = min(wanted, STARTER_SEATS)
        # A seat cost less until eighteen months ago, and contracts of that time keep the price.
        older = started_at < now - timedelta(days=540)
        subscription = Subscription(
            subscription_id=len(made.subscriptions) + 1,
            customer_id=customer.customer_id,
            plan_id=plan.plan_id,
            status="active",
            seats=max(plan.included_seats, wanted),
            seat_price_cents=plan.seat_price_cents - (100 if older else 0),
            discount_percent=rng.choices((0, 5, 10, 15, 20, 25), (64, 8, 14, 6, 6, 2))[0],
            started_at=started_at,
            cancelled_at=ended_at,
            updated_at=started_at,
        )
        invoices = list(_invoices(rng, subscription, months, len(made.invoices) + 1, now))
        made.invoices.extend(invoices)
        made.subscriptions.append(_settle(rng, subscription, invoices, now))


def _settle(
    rng: random.Random, subscription: Subscription, invoices: list[Invoice], now: datetime
) -> Subscription:
    """The state that the dates and the invoices imply, and when it was reached."""
    if subscription.cancelled_at:
        return subscription._replace(status="cancelled", updated_at=subscription.cancelled_at)
    if now - subscription.started_at < TRIAL:
        return subscription._replace(status="trialing")
    if overdue := [invoice for invoice in invoices if invoice.status == "overdue"]:
        return subscription._replace(status="past_due", updated_at=overdue[-1].updated_at)
    # The latest change of seats.
    changed_at = subscription.started_at + (now - subscription.started_at) * rng.random()
    return subscription._replace(updated_at=max(changed_at, subscription.started_at + TRIAL))


def _invoices(
    rng: random.Random, subscription: Subscription, months: int, first_id: int, now: datetime
) -> list[Invoice]:
    """One invoice a billing period, from the end of the trial on, with the seats of that time."""
    until = subscription.cancelled_at or now
    lifetime = (until - subscription.started_at) / timedelta(days=1)
    growth = rng.uniform(0.0, 0.45)
    invoices: list[Invoice] = []
    issued = add_months((subscription.started_at + TRIAL).date(), 0)
    while issued <= until.date():
        age = (issued - subscription.started_at.date()).days / max(lifetime, 1.0)
        seats = max(1, round(subscription.seats * (1 - growth * (1 - min(age, 1.0)))))
        cents = (
            seats * subscription.seat_price_cents * months * (100 - subscription.discount_percent)
        )
        invoices.append(
            _invoice(rng, subscription, first_id + len(invoices), cents // 100, issued, now)
        )
        issued = add_months((subscription.started_at + TRIAL).date(), months * len(invoices))
    return invoices


def _invoice(
    rng: random.Random,
    subscription: Subscription,
    invoice_id: int,
    cents: int,
    issued: date,
    now: datetime,
) -> Invoice:
    due = issued + timedelta(days=rng.choice((14, 30)))
    # Those who leave are more often those who do not pay.
    left = subscription.cancelled_at
    lost = left is not None and issued > left.date() - timedelta(days=40)
    status, paid, changed = _payment(rng, issued, due, lost, now.date())
    at = datetime.combine(
        changed, time(rng.randint(1, 20), rng.randint(0, 59), rng.randint(0, 59)), timezone.utc
    )
    return Invoice(
        invoice_id=invoice_id,
        customer_id=subscription.customer_id,
        subscription_id=subscription.subscription_id,
        amount_cents=cents,
        currency="USD",
        status=status,
        issued_on=issued,
        due_on=due,
        paid_on=paid,
        updated_at=min(at, now),
    )


def _payment(
    rng: random.Random, issued: date, due: date, lost: bool, today: date
) -> tuple[str, date | None, date]:
    """What became of an invoice by today: status, day of payment, day of the last change."""
    paid = issued + timedelta(days=min(int(rng.expovariate(1 / 7)), 75))
    chance = rng.random()
    if chance < 0.012:
        return "void", None, min(issued + timedelta(days=5), today)
    recent = issued > today - timedelta(days=85)
    missed = chance < (0.25 if lost else 0.04 if recent else 0.0)
    if paid <= today and not missed:
        return "paid", paid, paid
    if due < today:
        return "overdue", None, due + timedelta(days=1)
    return "open", None, issued


def add_months(day: date, months: int) -> date:
    """The same day ``months`` later; after the 28th it is the 28th, which every month has."""
    number = day.year * 12 + day.month - 1 + months
    return date(number // 12, number % 12 + 1, min(day.day, 28))
