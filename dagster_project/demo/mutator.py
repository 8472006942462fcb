"""Keeps the example database moving: one realistic change at a time, each in a transaction.

Every change sets ``updated_at`` to ``clock_timestamp()``, the wall clock, and not to ``now()``,
which stands still within a transaction.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg

from dagster_project.core.errors import ConfigurationError, WarehouseError
from dagster_project.demo import business_changes, document_changes, ticket_changes

Cursor = psycopg.Cursor[Any]
Change = Callable[[Cursor, random.Random], str | None]

# What happens how often. Each returns None where the data offers nothing to do it to.
CHANGES: dict[Change, int] = {
    ticket_changes.open_ticket: 28,
    ticket_changes.add_comment: 30,
    ticket_changes.edit_text: 8,
    ticket_changes.change_status: 14,
    ticket_changes.delete_ticket: 3,
    business_changes.change_subscription: 5,
    business_changes.settle_invoice: 6,
    document_changes.edit_product_doc: 4,
    document_changes.supersede_policy: 2,
}


def mutate(connection: psycopg.Connection[Any], rng: random.Random) -> str:
    """Make one change, drawn by weight, and commit it.

    Args:
        connection: to a database that ``generate`` has filled; not inside a transaction.
        rng: decides what changes.

    Returns:
        One line that says what was done.

    Raises:
        WarehouseError: the schema ``saas`` is missing, or so empty that nothing can change.
    """
    waiting = dict(CHANGES)
    try:
        while waiting:
            change = rng.choices(list(waiting), list(waiting.values()))[0]
            with connection.transaction(), connection.cursor() as cursor:
                if done := change(cursor, rng):
                    return done
            del waiting[change]
    except psycopg.errors.UndefinedTable as error:
        raise WarehouseError(
            "The schema saas is not in this database: fill it with `headrace demo` first."
        ) from error
    raise WarehouseError("The schema saas is empty: fill it anew with `headrace demo`.")


def live(
    connection: psycopg.Connection[Any], *, per_second: float, seconds: float | None, seed: int
) -> Iterator[str]:
    """Make changes at a steady pace and yield what each did, after its commit.

    Args:
        connection: as for ``mutate``.
        per_second: changes a second; a change that is late does not move those after it.
        seconds: how long, in seconds; None for ever.
        seed: decides what changes.

    Raises:
        ConfigurationError: a pace of nought or less.
        WarehouseError: as for ``mutate``.
    """
    if not per_second > 0:
        raise ConfigurationError(f"Changes a second must be more than 0, not {per_second}.")
    rng = random.Random(seed)
    began = time.monotonic()
    number = 0
    while seconds is None or number / per_second < seconds:
        time.sleep(max(0.0, began + number / per_second - time.monotonic()))
        yield mutate(connection, rng)
        number += 1
