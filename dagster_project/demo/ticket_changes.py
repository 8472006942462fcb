"""Changes to tickets and their comments.

The script of a ticket follows from who opened it and when (see ``script``), so the next turn of a
thread can be told from its rows alone.
"""

from __future__ import annotations

import random
from datetime import datetime
from typing import Any

import psycopg

from dagster_project.demo.picking import pick
from dagster_project.demo.rewording import change_number
from dagster_project.demo.script import Requester, Script, Turn, write_script
from dagster_project.demo.tickets import DEFLECTED_SHARE
from dagster_project.demo.wording import frames, render

Cursor = psycopg.Cursor[Any]

_REQUESTER = """
    select person.user_id, person.full_name, person.email, company.customer_id,
        company.company_name, company.industry,
        coalesce(
            (
                select sub.seats from saas.subscriptions as sub
                where sub.customer_id = company.customer_id
                order by sub.subscription_id desc
                limit 1
            ), 1
        )
    from saas.users as person
    join saas.customers as company on company.customer_id = person.customer_id
    where person.user_id = %s
"""


def open_ticket(cursor: Cursor, rng: random.Random) -> str | None:
    """Insert a ticket of a customer's, with the bot's answer or the first words of an agent."""
    customer_id = pick(cursor, rng, "customers", "customer_id", "churned_at is null")
    people = cursor.execute(
        "select user_id from saas.users where customer_id = %s order by user_id", (customer_id,)
    ).fetchall()
    if not people:
        return None
    requester = _requester(cursor, rng.choice(people)[0])
    (at,), *_ = cursor.execute("select clock_timestamp()").fetchall()
    script = write_script(requester, at)
    deflected = rng.random() < DEFLECTED_SHARE
    turns = [script.deflection] if deflected else list(script.turns[: rng.randint(1, 2)])
    waits_for_customer = turns[-1].author_kind == "agent"
    (ticket_id,), *_ = cursor.execute(
        """
        insert into saas.tickets (
            customer_id, requester_id, product_area, subject, description, status, priority,
            channel, assigned_to, is_deflected, created_at, first_response_at, solved_at, updated_at
        )
        values (
            %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,
            case when %s then clock_timestamp() end, case when %s then clock_timestamp() end,
            clock_timestamp()
        )
        returning ticket_id
        """,
        (
            requester.customer_id,
            requester.user_id,
            script.product_area,
            script.subject,
            script.description,
            "solved" if deflected else "pending" if waits_for_customer else "open",
            script.priority,
            "chat" if deflected else rng.choice(("email", "web")),
            None if deflected else script.agent,
            deflected,
            at,
            any(turn.is_public and turn.author_kind != "customer" for turn in turns),
            deflected,
        ),
    ).fetchall()
    for turn in turns:
        _say(cursor, ticket_id, turn)
    return f"ticket opened: {ticket_id}, {script.subject}"


def add_comment(cursor: Cursor, rng: random.Random) -> str | None:
    """Say the next thing in an open ticket, and move the ticket on accordingly."""
    ticket_id = pick(
        cursor, rng, "tickets", "ticket_id", "status in ('open', 'pending') and not is_deflected"
    )
    if ticket_id is None:
        return None
    script, requester, opened = _script_of(cursor, ticket_id)
    said = cursor.execute(
        "select count(*), max(comment_id) from saas.ticket_comments where ticket_id = %s",
        (ticket_id,),
    ).fetchall()[0][0]
    finished = False
    if said < len(script.turns):
        turn = script.turns[said]
        finished = said == len(script.turns) - 1
    else:
        turn = _reminder(script, requester, rng)
    _say(cursor, ticket_id, turn)
    status = "solved" if finished else "pending" if turn.author_kind == "agent" else "open"
    cursor.execute(
        """
        update saas.tickets
        set
            status = %(status)s,
            assigned_to = coalesce(assigned_to, %(agent)s),
            first_response_at = case
                when %(answers)s then coalesce(first_response_at, clock_timestamp())
                else first_response_at
            end,
            solved_at = case when %(finished)s then clock_timestamp() end,
            updated_at = clock_timestamp()
        where ticket_id = %(ticket_id)s
        """,
        {
            "status": status,
            "agent": script.agent,
            "answers": turn.author_kind == "agent" and turn.is_public,
            "finished": finished,
            "ticket_id": ticket_id,
        },
    )
    return f"comment added: ticket {ticket_id} of {opened:%d %B}, {turn.author_kind}, now {status}"


def edit_text(cursor: Cursor, rng: random.Random) -> str | None:
    """Correct a number in a comment or a description, or add a line to it."""
    if rng.random() < 0.4:
        ticket_id = pick(cursor, rng, "tickets", "ticket_id")
        if ticket_id is None:
            return None
        (body,), *_ = cursor.execute(
            "select description from saas.tickets where ticket_id = %s", (ticket_id,)
        ).fetchall()
        cursor.execute(
            """
            update saas.tickets set description = %s, updated_at = clock_timestamp()
            where ticket_id = %s
            """,
            (_edited(cursor, ticket_id, body, "customer", rng), ticket_id),
        )
        return f"text edited: description of ticket {ticket_id}"
    comment_id = pick(cursor, rng, "ticket_comments", "comment_id")
    if comment_id is None:
        return None
    (ticket_id, body, kind), *_ = cursor.execute(
        "select ticket_id, body, author_kind from saas.ticket_comments where comment_id = %s",
        (comment_id,),
    ).fetchall()
    cursor.execute(
        """
        update saas.ticket_comments set body = %s, updated_at = clock_timestamp()
        where comment_id = %s
        """,
        (_edited(cursor, ticket_id, body, kind, rng), comment_id),
    )
    return f"text edited: comment {comment_id} of ticket {ticket_id}"


def change_status(cursor: Cursor, rng: random.Random) -> str | None:
    """Change what a ticket carries beside its text: status, priority or rating."""
    kind = rng.choice(("status", "status", "priority", "rating"))
    if kind == "rating":
        where = "status in ('solved', 'closed') and csat_score is null"
    elif kind == "priority":
        where = "status in ('open', 'pending')"
    else:
        where = "status <> 'closed'"
    ticket_id = pick(cursor, rng, "tickets", "ticket_id", where)
    if ticket_id is None:
        return None
    (status, priority), *_ = cursor.execute(
        "select status, priority from saas.tickets where ticket_id = %s", (ticket_id,)
    ).fetchall()
    score = rng.choice((2, 3, 4, 4, 5, 5, 5)) if kind == "rating" else None
    if kind == "status":
        status = rng.choice(
            {
                "open": ("pending", "solved"),
                "pending": ("open", "solved"),
                "solved": ("closed", "closed", "open"),
            }[status]
        )
    elif kind == "priority":
        priority = rng.choice([p for p in ("low", "normal", "high", "urgent") if p != priority])
    cursor.execute(
        """
        update saas.tickets
        set
            status = %(status)s,
            priority = %(priority)s,
            csat_score = coalesce(%(score)s, csat_score),
            solved_at = case
                when %(status)s in ('solved', 'closed') then coalesce(solved_at, clock_timestamp())
            end,
            updated_at = clock_timestamp()
        where ticket_id = %(ticket_id)s
        """,
        {"status": status, "priority": priority, "score": score, "ticket_id": ticket_id},
    )
    now = {"status": status, "priority": priority, "rating": score}[kind]
    return f"status changed: ticket {ticket_id}, {kind} {now}"


def delete_ticket(cursor: Cursor, rng: random.Random) -> str | None:
    """Delete a ticket for good, and its comments with it."""
    ticket_id = pick(cursor, rng, "tickets", "ticket_id")
    if ticket_id is None:
        return None
    cursor.execute("delete from saas.tickets where ticket_id = %s", (ticket_id,))
    return f"ticket deleted: {ticket_id}"


def _requester(cursor: Cursor, user_id: int) -> Requester:
    row = cursor.execute(_REQUESTER, (user_id,)).fetchone()
    assert row is not None, f"user {user_id} was there a moment ago, in this transaction"
    return Requester(*row)


def _script_of(cursor: Cursor, ticket_id: int) -> tuple[Script, Requester, datetime]:
    (requester_id, created_at), *_ = cursor.execute(
        "select requester_id, created_at from saas.tickets where ticket_id = %s", (ticket_id,)
    ).fetchall()
    requester = _requester(cursor, requester_id)
    return write_script(requester, created_at), requester, created_at


def _say(cursor: Cursor, ticket_id: int, turn: Turn) -> None:
    cursor.execute(
        """
        insert into saas.ticket_comments (
            ticket_id, author_name, author_kind, is_public, body, created_at, updated_at
        )
        values (%s, %s, %s, %s, %s, clock_timestamp(), clock_timestamp())
        """,
        (ticket_id, turn.author_name, turn.author_kind, turn.is_public, turn.body),
    )


def _reminder(script: Script, requester: Requester, rng: random.Random) -> Turn:
    """What is said when the script is at its end and the ticket is open again."""
    if rng.random() < 0.5:
        body = render(rng.choice(frames()["nudges"]), rng, script.facts)
        return Turn("agent", script.agent, True, body)
    body = render(rng.choice(frames()["pings"]), rng, script.facts)
    return Turn("customer", requester.full_name, True, body)


def _edited(cursor: Cursor, ticket_id: int, body: str, kind: str, rng: random.Random) -> str:
    if rng.random() < 0.4 and (changed := change_number(body, rng)):
        return changed
    script, _, _ = _script_of(cursor, ticket_id)
    return f"{body}\n\n{render(rng.choice(frames()['edits'][kind]), rng, script.facts)}"
