"""Drawing rows at random without reading the whole table."""

from __future__ import annotations

import random
from typing import Any

import psycopg
from psycopg import sql


def pick(
    cursor: psycopg.Cursor[Any], rng: random.Random, table: str, key: str, where: str = "true"
) -> int | None:
    """The key of a row for which ``where`` holds, or None if there is none.

    Looks at the first few that match from a random key on, or from the lowest key if there are
    none, so it reads few rows of a large table. Rows after a gap come up more often than others,
    which does not matter here.

    Args:
        cursor: where to look.
        rng: decides the point.
        table: a table of the schema ``saas``.
        key: its key, whole numbers.
        where: an SQL condition, written by this package and never by a user.
    """
    names = {"table": sql.Identifier("saas", table), "key": sql.Identifier(key)}
    cursor.execute(sql.SQL("select min({key}), max({key}) from {table}").format(**names))
    (low, high), *_ = cursor.fetchall()
    if low is None:
        return None
    query = sql.SQL(
        "select {key} from {table} where {key} >= %s and ({where}) order by {key} limit 40"
    ).format(**names, where=sql.SQL(where))
    for start in (rng.randint(low, high), low):
        if rows := cursor.execute(query, (start,)).fetchall():
            return int(rng.choice(rows)[0])
    return None
