"""The version that readers see, opened once and kept until another one is published."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import lancedb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dagster_project.core.index import (
    EVERY,
    Generation,
    VectorIndex,
    is_one_of,
    nearest,
    probes_among,
    with_words,
)
from dagster_project.core.retrieval.glossary import Glossary, read_terms

if TYPE_CHECKING:
    from dagster_project.core.build import Headrace

# Conditions of which a version remembers how many rows they leave.
_CONDITIONS = 1_000


@dataclass(frozen=True)
class Snapshot:
    """A version of a generation's table, which no writer changes."""

    generation: Generation
    version: int
    table: Any

    @cached_property
    def _all(self) -> int:
        return max(self._fitting(""), 1)

    @cached_property
    def _fitting(self) -> Callable[[str], int]:
        """How many rows a condition leaves, all where it is empty; the filters' indices know."""
        table = self.table
        return lru_cache(_CONDITIONS)(lambda condition: int(table.count_rows(condition or None)))

    @cached_property
    def glossary(self) -> Glossary:
        """The terms of this version, read once, for whoever may read them."""
        return Glossary(read_terms(self))

    def by_meaning(
        self,
        vector: NDArray[np.float32],
        conditions: Iterable[str],
        columns: Sequence[str],
        limit: int,
    ) -> list[dict[str, Any]]:
        """The rows whose vectors are nearest to one, nearest first, with their `_rowid`."""
        condition = _all_of(conditions)
        fitting = self._fitting(condition)

        def find(probes: int | None) -> list[dict[str, Any]]:
            query = nearest(self.table, vector, limit, columns, probes).with_row_id(True)
            return _where(query, condition).to_list()  # type: ignore[no-any-return]

        found = find(probes_among(self._all, fitting))
        # Too few in the partitions that are near: the others have the rest.
        return found if len(found) >= min(limit, fitting) else find(EVERY)

    def by_words(
        self,
        text: str,
        also: Sequence[str],
        weight: float,
        conditions: Iterable[str],
        columns: Sequence[str],
        limit: int,
    ) -> list[dict[str, Any]]:
        """The rows with words of a text, the best by BM25 first; see `with_words`."""
        query = with_words(self.table, text, also, weight, limit, columns).with_row_id(True)
        return _where(query, _all_of(conditions)).to_list()  # type: ignore[no-any-return]

    def rows(self, conditions: Iterable[str], columns: Sequence[str]) -> list[dict[str, Any]]:
        """All rows for which the conditions hold, with their `_rowid`."""
        return self.arrow(conditions, columns).to_pylist()  # type: ignore[no-any-return]

    def arrow(self, conditions: Iterable[str], columns: Sequence[str]) -> pa.Table:
        """The same as an Arrow table."""
        # Without a limit a query ends after a few rows.
        query = self.table.search().select(list(columns)).limit(self._all).with_row_id(True)
        return _where(query, _all_of(conditions)).to_arrow()

    def taken(self, rows: Sequence[int], columns: Sequence[str]) -> dict[int, dict[str, Any]]:
        """Some rows, by their `_rowid`: no index is asked for them."""
        found = self.table.take_row_ids(list(rows)).select(list(columns)).with_row_id().to_list()
        return {row["_rowid"]: row for row in found}

    def row_of(self, chunk_id: str, conditions: Iterable[str]) -> int | None:
        """The `_rowid` of a chunk for which the conditions hold, or None."""
        found = self.rows([is_one_of("chunk_id", [chunk_id]), *conditions], ["chunk_id"])
        return found[0]["_rowid"] if found else None

    @cached_property
    def demoted(self) -> frozenset[int]:
        """The rows whose documents are demoted, by `_rowid`; read once."""
        return frozenset(row["_rowid"] for row in self.rows(["is_demoted"], ["chunk_id"]))


def _all_of(conditions: Iterable[str]) -> str:
    return " AND ".join(f"({condition})" for condition in conditions)


def _where(query: Any, condition: str) -> Any:  # noqa: ANN401
    return query.where(condition) if condition else query


class Opened:
    """Opens a generation's table where what is to be read moved on, and not otherwise."""

    def __init__(
        self, headrace: Headrace, generation: Generation | None, version: int | None
    ) -> None:
        """Take what to read: the published version of the live generation, unless said otherwise.

        Nothing is opened yet.
        """
        self._headrace = headrace
        self._generation = generation
        self._version = version
        self._lock = threading.Lock()
        self._index: VectorIndex | None = None
        self._session = lancedb.Session()
        self._snapshot: Snapshot | None = None

    def current(self) -> Snapshot:
        """What there is to read now.

        Raises:
            VectorStoreError: nothing was published yet.
        """
        with self._lock:
            generation = self._generation or self._headrace.live_generation
            index = self._index
            if index is None or index.name != generation.name:
                index = self._index = self._headrace.store.index(generation)
            version = index.live_version if self._version is None else self._version
            old = self._snapshot
            if old is None or (old.generation.name, old.version) != (generation.name, version):
                if (
                    old is None
                    or old.generation.name != generation.name
                    or old.version > (version or 0)
                ):
                    # A number that was given back may come to name another version.
                    self._session = lancedb.Session()
                table = (
                    index.live(self._session) if self._version is None else index.at(self._version)
                )
                self._snapshot = Snapshot(generation, int(table.version), table)
            assert self._snapshot is not None
            return self._snapshot
