"""The rows of the example database: one named tuple a table, its fields the columns in order.

Named tuples rather than dataclasses, because a row goes to ``COPY`` as the tuple it is.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import NamedTuple


class Plan(NamedTuple):
    """A row of ``saas.plans``: what is sold, at list price."""

    plan_id: int
    plan_name: str
    tier: str
    monthly_price_cents: int
    included_seats: int
    support_sla_hours: int
    updated_at: datetime

    @property
    def seat_price_cents(self) -> int:
        """List price of one seat for one month."""
        return self.monthly_price_cents // self.included_seats


class Customer(NamedTuple):
    """A row of ``saas.customers``."""

    customer_id: int
    company_name: str
    industry: str
    employee_count: int
    country: str
    account_owner: str
    created_at: datetime
    churned_at: datetime | None
    updated_at: datetime


class User(NamedTuple):
    """A row of ``saas.users``: a person at a customer."""

    user_id: int
    customer_id: int
    full_name: str
    email: str
    role: str
    last_seen_at: datetime | None
    created_at: datetime
    updated_at: datetime


class Subscription(NamedTuple):
    """A row of ``saas.subscriptions``; an upgrade cancels one and starts the next."""

    subscription_id: int
    customer_id: int
    plan_id: int
    status: str
    seats: int
    seat_price_cents: int
    discount_percent: int
    started_at: datetime
    cancelled_at: datetime | None
    updated_at: datetime


class Invoice(NamedTuple):
    """A row of ``saas.invoices``."""

    invoice_id: int
    customer_id: int
    subscription_id: int
    amount_cents: int
    currency: str
    status: str
    issued_on: date
    due_on: date
    paid_on: date | None
    updated_at: datetime


class Ticket(NamedTuple):
    """A row of ``saas.tickets``."""

    ticket_id: int
    customer_id: int
    requester_id: int
    product_area: str
    subject: str
    description: str
    status: str
    priority: str
    channel: str
    assigned_to: str | None
    is_deflected: bool
    csat_score: int | None
    created_at: datetime
    first_response_at: datetime | None
    solved_at: datetime | None
    updated_at: datetime


class Comment(NamedTuple):
    """A row of ``saas.ticket_comments``."""

    comment_id: int
    ticket_id: int
    author_name: str
    author_kind: str
    is_public: bool
    body: str
    created_at: datetime
    updated_at: datetime


class ProductDoc(NamedTuple):
    """A row of ``saas.product_docs``."""

    doc_id: str
    title: str
    product_area: str
    body: str
    url_path: str
    product_version: str
    owner: str
    published_on: date
    review_by: date | None
    updated_at: datetime


class Policy(NamedTuple):
    """A row of ``saas.policies``: one version of a policy."""

    policy_id: str
    policy_name: str
    policy_family: str
    version_date: date
    owner: str
    audience: str
    effective_from: date
    effective_to: date | None
    review_by: date | None
    body: str
    updated_at: datetime
