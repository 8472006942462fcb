"""The state of the page, which is its address: what was asked, narrowed to what, seen how."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone
from urllib.parse import urlencode

from dagster_project.core.errors import ConfigurationError
from dagster_project.core.retrieval import Filters
from dagster_project.core.retrieval.filters import read_fact

HITS, CONTEXT = "hits", "context"
# What narrows a search, in the order in which the page shows it: the option of `headrace search` of
# the same name, and what a person reads.
FILTERS = {
    "doc_type": "type",
    "source": "source",
    "state": "state",
    "updated_after": "changed since",
    "updated_before": "changed before",
    "as_of": "in force on",
    "payload": "fact",
}
_NAMES = ("q", "view", "k", "words", "tokens", "plain", *FILTERS)
_FEW, _MOST = 10, 50
# Numbers of a budget or a count have fewer digits; Python refuses to read thousands of them.
_DIGITS = 9


@dataclass(frozen=True)
class Asked:
    """What an address asks for.

    Attributes:
        query: what to search for; empty where nothing is asked.
        filters: what to narrow it to.
        k: how many hits.
        words, tokens: the budget of the context.
        expand: whether the glossary is asked.
    """

    query: str
    filters: Filters
    k: int
    words: int | None
    tokens: int | None
    expand: bool


class Address:
    """The parameters of an address, as texts: what is wrong in them is still shown."""

    def __init__(self, values: Mapping[str, Iterable[str]]) -> None:
        """Take the values by name; empty ones and names that mean nothing here are left out."""
        self._values = {
            name: tuple(dict.fromkeys(text for text in values.get(name, ()) if text.strip()))
            for name in _NAMES
        }

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Address:
        """The address of pairs as a query string has them."""
        values: dict[str, list[str]] = {}
        for name, text in pairs:
            values.setdefault(name, []).append(text)
        return cls(values)

    def all(self, name: str) -> tuple[str, ...]:
        """All values of a parameter."""
        return self._values[name]

    def one(self, name: str) -> str:
        """The last value of a parameter, or an empty text."""
        return self._values[name][-1] if self._values[name] else ""

    @property
    def view(self) -> str:
        """What is shown: hits or context."""
        return CONTEXT if self.one("view") == CONTEXT else HITS

    @property
    def narrowed(self) -> list[tuple[str, str, str]]:
        """The filters in it: the parameter, what a person calls it, the value."""
        return [(name, FILTERS[name], text) for name in FILTERS for text in self._values[name]]

    def having(self, **values: str) -> Address:
        """The same with other values of some parameters; an empty text takes one out."""
        return Address({**self._values, **{name: (text,) for name, text in values.items()}})

    def adding(self, name: str, text: str) -> Address:
        """The same with one more value of a parameter."""
        return Address({**self._values, name: (*self._values[name], text)})

    def without(self, name: str, text: str) -> Address:
        """The same without one value of a parameter."""
        return Address({**self._values, name: [one for one in self._values[name] if one != text]})

    def bare(self) -> Address:
        """The same without what narrows it."""
        return Address({name: self._values[name] for name in _NAMES if name not in FILTERS})

    def url(self, path: str = "/", **more: str) -> str:
        """The address as a link, with `more` parameters of another path in front."""
        values = {**more, **{name: value for name, value in self._values.items() if value}}
        text = urlencode(values, doseq=True)
        return f"{path}?{text}" if text else path

    def read(self) -> Asked:
        """What it asks for.

        Raises:
            ConfigurationError: a value is not what its parameter takes.
        """
        return Asked(
            query=self.one("q"),
            filters=Filters(
                doc_types=self.all("doc_type"),
                source_names=self.all("source"),
                lifecycle_states=self.all("state"),
                updated_after=self._midnight("updated_after"),
                updated_before=self._midnight("updated_before"),
                as_of=self._day("as_of"),
                payload=dict(read_fact(text) for text in self.all("payload")),
            ),
            k=self._count("k", _MOST) or _FEW,
            words=self._count("words"),
            tokens=self._count("tokens"),
            expand=not self.one("plain"),
        )

    def _count(self, name: str, most: int | None = None) -> int | None:
        text = self.one(name).strip()
        if not text:
            return None
        is_number = text.isascii() and text.isdigit() and len(text) <= _DIGITS
        if not is_number or not 1 <= int(text) <= (most or int(text)):
            bound = f"from 1 to {most}" if most else "of 1 or more"
            raise ConfigurationError(f"{name} is {text!r:.80}: give a whole number {bound}.")
        return int(text)

    def _day(self, name: str) -> date | None:
        text = self.one(name).strip()
        if not text:
            return None
        try:
            return datetime.strptime(text, "%Y-%m-%d").date()
        except ValueError as error:
            raise ConfigurationError(
                f"{name} is {text!r:.80}: give a day, such as 2026-01-31."
            ) from error

    def _midnight(self, name: str) -> datetime | None:
        day = self._day(name)
        return None if day is None else datetime(day.year, day.month, day.day, tzinfo=timezone.utc)
