"""What a reader narrows a search to: typed values, of which the filter is made."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from dagster_project.core.errors import ConfigurationError
from dagster_project.core.index import is_one_of, quoted
from dagster_project.core.retrieval.principals import is_text

PayloadValue = str | int | float | bool | None
# Bounds of a request: a filter is parsed at each search.
_MOST = 1_000
_LONGEST = 1_000
# Characters that every writer of JSON leaves as they are.
_PLAIN = re.compile(r"[A-Za-z0-9 _.,:@-]+")


@dataclass(frozen=True)
class Filters:
    """Conditions that all hold; one that is empty holds always.

    Attributes:
        doc_types, source_names, document_ids: a chunk is of one of them.
        lifecycle_states: its document is in one of them. The index has what is served: active and
            stale, and superseded or expired where the policy demotes that.
        updated_after: its document changed at this moment or later; with a time zone.
        updated_before: its document changed before this moment; with a time zone.
        as_of: a day on which its document is in force. What is no longer served is not in the
            index, so a day in the past finds less than was in force then.
        payload: facts of the document, by name: a text, a number (by its value), true, false, or
            None for null. A fact that is a list or an object equals none.
    """

    doc_types: Sequence[str] = ()
    source_names: Sequence[str] = ()
    document_ids: Sequence[str] = ()
    lifecycle_states: Sequence[str] = ()
    updated_after: datetime | None = None
    updated_before: datetime | None = None
    as_of: date | None = None
    payload: Mapping[str, PayloadValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse values of another type.

        Raises:
            ConfigurationError: a value is not what its filter compares with.
        """
        for name in ("doc_types", "source_names", "document_ids", "lifecycle_states"):
            _check_texts(name, getattr(self, name))
        for name in ("updated_after", "updated_before"):
            moment = getattr(self, name)
            if moment is not None and (type(moment) is not datetime or moment.utcoffset() is None):
                raise ConfigurationError(
                    f"The filter {name} is {moment!r:.80}: give a datetime with a time zone."
                )
        if self.as_of is not None and type(self.as_of) is not date:
            raise ConfigurationError(f"The filter as_of is {self.as_of!r:.80}: give a date.")
        if not isinstance(self.payload, Mapping) or len(self.payload) > _MOST:
            raise ConfigurationError("The filter payload is no mapping of names to values.")
        _check_texts("payload (a name in it)", list(self.payload))
        for name, value in self.payload.items():
            if type(value) is str:
                _check_texts(f"payload ({name})", [value])
            elif value is not None and type(value) not in (bool, int, float):
                raise ConfigurationError(
                    f"The filter payload has {name} = {value!r:.80}: give a text, a number, true, "
                    "false or null."
                )

    @property
    def conditions(self) -> list[str]:
        """Filters of the index that hold together; of the payload, what they can tell."""
        found = [
            is_one_of(column, values)
            for column, values in (
                ("doc_type", self.doc_types),
                ("source_name", self.source_names),
                ("document_id", self.document_ids),
                ("lifecycle_state", self.lifecycle_states),
            )
            if values
        ]
        if self.updated_after is not None:
            found.append(f"source_updated_at >= {quoted(self.updated_after)}")
        if self.updated_before is not None:
            found.append(f"source_updated_at < {quoted(self.updated_before)}")
        if self.as_of is not None:
            day = quoted(self.as_of)
            found.append(f"(valid_from IS NULL OR valid_from <= {day})")
            found.append(f"(valid_to IS NULL OR valid_to >= {day})")
        return found + [
            f"contains(payload, {quoted(json.dumps(text))})"
            for item in self.payload.items()
            for text in item
            if isinstance(text, str) and _PLAIN.fullmatch(text)
        ]

    def holds_for(self, payload: str) -> bool:
        """Whether the facts of a row, a JSON object as text, are those of the filter."""
        if not self.payload:
            return True
        facts = json.loads(payload)
        return isinstance(facts, dict) and all(
            name in facts and _is_equal(facts[name], value) for name, value in self.payload.items()
        )


def read_fact(text: str) -> tuple[str, PayloadValue]:
    """A fact of the payload from `name=value`, the value JSON, or else a text as it stands.

    Raises:
        ConfigurationError: there is no value.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigurationError(f"The fact {text!r:.80} has no value: give name=value.")
    try:
        read: PayloadValue = json.loads(value)
    except (ValueError, RecursionError):
        return name, value
    return name, read


def _check_texts(name: str, values: Sequence[str]) -> None:
    # A text is a sequence of texts too, and never what was meant.
    if not isinstance(values, (list, tuple, set, frozenset)) or len(values) > _MOST:
        raise ConfigurationError(f"The filter {name} is no list of at most {_MOST} texts.")
    for value in values:
        if type(value) is not str or len(value) > _LONGEST or not is_text(value):
            raise ConfigurationError(
                f"The filter {name} has {value!r:.80}: give a text of at most {_LONGEST} "
                "characters, without NUL."
            )


def _is_equal(fact: object, value: PayloadValue) -> bool:
    """Equal in JSON: true is not 1, and 1.0 is 1."""
    if isinstance(fact, bool) or isinstance(value, bool):
        return fact is value
    if isinstance(fact, (int, float)) and isinstance(value, (int, float)):
        return fact == value and math.isfinite(value)
    return type(fact) is type(value) and fact == value
