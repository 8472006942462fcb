"""Filters in LanceDB's SQL, made of values and never of text."""

from __future__ import annotations

from collections.abc import Sequence


def is_one_of(column: str, values: Sequence[str]) -> str:
    """A filter on a text column; the values are quoted."""
    return f"{column} IN ({', '.join(quoted(value) for value in values)})" if values else "false"


def quoted(value: str) -> str:
    """A text as a literal of LanceDB's filters."""
    return "'" + value.replace("'", "''") + "'"
