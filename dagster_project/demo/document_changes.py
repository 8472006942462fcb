"""Changes to product documentation and policies."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from typing import Any

import psycopg

from dagster_project.demo.rewording import change_number, put_note
from dagster_project.demo.script import Requester, write_script
from dagster_project.demo.wording import frames, render

Cursor = psycopg.Cursor[Any]
# Nobody in particular: the edit of a document needs numbers and a version, not a person.
_EDITOR = Requester(0, "Docs Team", "docs@tidewise.example", 0, "Tidewise", "field services", 1)


def edit_product_doc(cursor: Cursor, rng: random.Random) -> str | None:
    """Change a number in a product document, or put a note at the end of a section."""
    ids = cursor.execute("select doc_id from saas.product_docs order by doc_id").fetchall()
    if not ids:
        return None
    doc_id = rng.choice(ids)[0]
    (body, at), *_ = cursor.execute(
        "select body, clock_timestamp() from saas.product_docs where doc_id = %s for update",
        (doc_id,),
    ).fetchall()
    edited = change_number(body, rng) if rng.random() < 0.4 else None
    what = "a number" if edited else "a note"
    edited = edited or put_note(body, _line("doc_edits", at, rng), rng)
    cursor.execute(
        "update saas.product_docs set body = %s, updated_at = clock_timestamp() where doc_id = %s",
        (edited, doc_id),
    )
    return f"product doc edited: {doc_id}, {what}"


def supersede_policy(cursor: Cursor, rng: random.Random) -> str | None:
    """Insert the next version of a policy; the version before stays as it is."""
    rows = cursor.execute(
        """
        select policy_id, policy_name, policy_family, version_date, owner, audience, body,
            clock_timestamp()
        from saas.policies
        order by policy_family, version_date
        """
    ).fetchall()
    if not rows:
        return None
    today = rows[0][-1].astimezone(timezone.utc).date()
    latest = {row[2]: row for row in rows}
    candidates = [row for row in latest.values() if row[3] < today]
    if not candidates:
        return None
    policy_id, name, family, _, owner, audience, body, at = rng.choice(candidates)
    next_id = f"{family}-{at.year}"
    if next_id in {row[0] for row in rows}:
        next_id = f"{family}-{today}"
    body = put_note(change_number(body, rng) or body, _line("policy_edits", at, rng), rng)
    cursor.execute(
        """
        insert into saas.policies (
            policy_id, policy_name, policy_family, version_date, owner, audience,
            effective_from, effective_to, review_by, body, updated_at
        )
        values (%s, %s, %s, %s, %s, %s, %s, null, %s, %s, clock_timestamp())
        """,
        (
            next_id,
            f"{name.rsplit(' ', 1)[0]} {at.year}",
            family,
            today,
            owner,
            audience,
            today,
            today + timedelta(days=730),
            body,
        ),
    )
    return f"policy superseded: {policy_id} by {next_id}"


def _line(kind: str, at: datetime, rng: random.Random) -> str:
    moment = at - timedelta(seconds=rng.randrange(10**6))
    return render(rng.choice(frames()[kind]), rng, write_script(_EDITOR, moment).facts)
