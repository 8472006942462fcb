"""Support tickets and their comments: scripts on a calendar, as far as they have come by now."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate

from dagster_project.demo.accounts import HISTORY, Accounts
from dagster_project.demo.rows import Comment, Customer, Ticket, User
from dagster_project.demo.script import Requester, Script, Turn, write_script

DEFLECTED_SHARE = 0.25
AUTO_CLOSE = timedelta(days=7)
# How long a silent ticket stays open before somebody closes it.
_PATIENCE = timedelta(days=35)
# Relative number of tickets that arrive in each hour of the day, UTC.
_HOURS = (1, 1, 1, 1, 2, 4, 8, 12, 14, 14, 12, 10, 10, 12, 14, 14, 12, 9, 7, 6, 5, 4, 3, 2)
_REPEAT = timedelta(seconds=1)


@dataclass(frozen=True)
class _Account:
    """What the tickets of one customer need to know."""

    customer: Customer
    users: list[User]
    seats: int
    sla_hours: int


def make_tickets(
    rng: random.Random, count: int, accounts: Accounts, now: datetime
) -> tuple[list[Ticket], list[Comment]]:
    """Make ``count`` tickets in the order they were opened, and the comments in the order written.

    No two tickets have the same description.
    """
    tickets: list[Ticket] = []
    threads: list[Comment] = []
    written: set[str] = set()
    bot_answers = set(rng.sample(range(count), round(count * DEFLECTED_SHARE)))
    for opened_at, account in _arrivals(rng, count, _index(accounts), now):
        present = [user for user in account.users if user.created_at <= opened_at]
        user = rng.choice(present)
        requester = Requester(
            user_id=user.user_id,
            full_name=user.full_name,
            email=user.email,
            customer_id=account.customer.customer_id,
            company_name=account.customer.company_name,
            industry=account.customer.industry,
            seats=account.seats,
        )
        script = write_script(requester, opened_at)
        while script.description in written:
            opened_at -= _REPEAT
            script = write_script(requester, opened_at)
        written.add(script.description)
        ticket_id = len(tickets) + 1
        deflected = len(tickets) in bot_answers
        if deflected:
            asked = opened_at + timedelta(seconds=rng.randint(3, 40))
            thread = [(script.deflection, asked)] if asked <= now else []
        else:
            thread = _thread(rng, script, opened_at, account.sla_hours, now)
        tickets.append(
            _ticket(rng, ticket_id, requester, opened_at, script, thread, deflected, now)
        )
        threads.extend(_comment(rng, ticket_id, turn, at, now) for turn, at in thread)
    threads.sort(key=lambda comment: (comment.created_at, comment.ticket_id))
    comments = [comment._replace(comment_id=n) for n, comment in enumerate(threads, start=1)]
    return tickets, comments


def _index(accounts: Accounts) -> list[_Account]:
    users: dict[int, list[User]] = {}
    for user in accounts.users:
        users.setdefault(user.customer_id, []).append(user)
    # The last subscription of a customer is the current one.
    current = {sub.customer_id: sub for sub in accounts.subscriptions}
    sla_hours = {plan.plan_id: plan.support_sla_hours for plan in accounts.plans}
    return [
        _Account(
            customer,
            users[customer.customer_id],
            current[customer.customer_id].seats,
            sla_hours[current[customer.customer_id].plan_id],
        )
        for customer in accounts.customers
    ]


def _arrivals(
    rng: random.Random, count: int, accounts: Sequence[_Account], now: datetime
) -> list[tuple[datetime, _Account]]:
    """When tickets come, and from whom: more in recent months, more from larger customers."""
    joined = [account.customer.created_at for account in accounts]
    weights = list(accumulate(account.customer.employee_count**0.5 for account in accounts))
    found: list[tuple[datetime, _Account]] = []
    while len(found) < count:
        at = _moment(rng, now)
        known = bisect_right(joined, at)
        if not known:
            continue
        place = bisect_right(weights, rng.random() * weights[known - 1], 0, known - 1)
        churned_at = accounts[place].customer.churned_at
        if churned_at is None or at < churned_at:
            found.append((at, accounts[place]))
    return sorted(found, key=lambda arrival: arrival[0])


def _moment(rng: random.Random, now: datetime) -> datetime:
    if rng.random() < 0.3:
        age = timedelta(days=90) * math.pow(rng.random(), 1.2)
    else:
        age = HISTORY * (1 - math.pow(rng.random(), 0.6))
    hour = rng.choices(range(24), _HOURS)[0]
    at = (now - age).replace(
        hour=hour, minute=rng.randint(0, 59), second=rng.randint(0, 59), microsecond=0
    )
    if at.weekday() >= 5 and rng.random() < 0.65:
        at -= timedelta(days=2)
    # An hour that today has not had yet is yesterday's.
    return at - timedelta(days=1) if at > now else at


def _thread(
    rng: random.Random, script: Script, opened_at: datetime, sla_hours: int, now: datetime
) -> list[tuple[Turn, datetime]]:
    """The turns that have happened by ``now``, with their times."""
    turns = script.turns
    recent = now - opened_at < _PATIENCE
    if rng.random() < (0.55 if recent else 0.07):
        turns = turns[: rng.randint(0 if recent else 1, len(turns))]
    thread: list[tuple[Turn, datetime]] = []
    at = opened_at
    for number, turn in enumerate(turns):
        if number == 0:
            hours = sla_hours * 0.4 * rng.lognormvariate(0, 0.9)
        elif not turn.is_public:
            hours = rng.uniform(0.05, 0.6)
        else:
            hours = (4.0 if turn.author_kind == "agent" else 6.0) * rng.lognormvariate(0, 1.0)
        at += timedelta(seconds=60 + round(hours * 3600))
        if at > now:
            break
        thread.append((turn, at))
    return thread


def _ticket(
    rng: random.Random,
    ticket_id: int,
    requester: Requester,
    opened_at: datetime,
    script: Script,
    thread: list[tuple[Turn, datetime]],
    deflected: bool,
    now: datetime,
) -> Ticket:
    """The ticket in the state that its thread has brought it to."""
    answers = [at for turn, at in thread if turn.author_kind != "customer" and turn.is_public]
    last_at = thread[-1][1] if thread else opened_at
    ticket = Ticket(
        ticket_id=ticket_id,
        customer_id=requester.customer_id,
        requester_id=requester.user_id,
        product_area=script.product_area,
        subject=script.subject,
        description=script.description,
        status="open",
        priority=script.priority,
        channel=_channel(rng, script.product_area, deflected),
        assigned_to=script.agent if not deflected and (answers or rng.random() < 0.4) else None,
        is_deflected=deflected,
        csat_score=None,
        created_at=opened_at,
        first_response_at=answers[0] if answers else None,
        solved_at=None,
        updated_at=last_at,
    )
    complete = bool(thread) and (deflected or len(thread) == len(script.turns))
    solved_at = last_at if complete else last_at + _PATIENCE
    if solved_at > now:
        waiting = bool(thread) and thread[-1][0].author_kind == "agent"
        return ticket._replace(status="pending" if waiting else "open")
    closed_at = solved_at + AUTO_CLOSE if complete else solved_at
    ticket = ticket._replace(status="solved", solved_at=solved_at, updated_at=solved_at)
    if closed_at <= now:
        ticket = ticket._replace(status="closed", updated_at=closed_at)
    rated_at = solved_at + timedelta(minutes=rng.randint(20, 3000))
    if complete and rated_at <= now and rng.random() < (0.06 if deflected else 0.36):
        score = rng.choices((1, 2, 3, 4, 5), (5, 6, 12, 30, 47))[0]
        ticket = ticket._replace(csat_score=score, updated_at=max(ticket.updated_at, rated_at))
    return ticket


def _channel(rng: random.Random, product_area: str, deflected: bool) -> str:
    if deflected:
        return rng.choices(("chat", "web"), (6, 4))[0]
    by_api = 12 if product_area == "api" else 3
    return rng.choices(("email", "web", "chat", "api"), (48, 30, 16, by_api))[0]


def _comment(
    rng: random.Random, ticket_id: int, turn: Turn, at: datetime, now: datetime
) -> Comment:
    edited_at = at + timedelta(minutes=rng.randint(1, 50)) if rng.random() < 0.03 else at
    return Comment(
        comment_id=0,  # given once all are in order of time
        ticket_id=ticket_id,
        author_name=turn.author_name,
        author_kind=turn.author_kind,
        is_public=turn.is_public,
        body=turn.body,
        created_at=at,
        updated_at=min(edited_at, now),
    )
