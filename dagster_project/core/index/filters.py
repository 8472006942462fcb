"""Filters in LanceDB's SQL, made of values and never of text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime


def is_one_of(column: str, values: Sequence[str]) -> str:
    """A filter on a text column; the values are quoted."""
    return f"{column} IN ({', '.join(quoted(value) for value in values)})" if values else "false"


def holds_one_of(column: str, values: Sequence[str]) -> str:
    """A filter on a column of lists of texts; the values are quoted."""
    listed = ", ".join(quoted(value) for value in values)
    return f"array_has_any({column}, [{listed}])" if values else "false"


def quoted(value: str | date) -> str:
    """A text, a day or a moment as a literal of LanceDB's filters.

    A text needs nothing but its quotes doubled: LanceDB's SQL knows no other escape in them.
    """
    if isinstance(value, datetime):
        return f"timestamp '{value.isoformat()}'"
    if isinstance(value, date):
        return f"date '{value.isoformat()}'"
    return "'" + value.replace("'", "''") + "'"
