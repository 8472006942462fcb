"""What every contender shares: the documents, the fake embedder, the check of what is left."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import psycopg
from numpy.typing import NDArray

DIMENSION = 384
TABLE = "app.documents"


@dataclass(frozen=True)
class SourceDocument:
    """A row of the source table, without the time of its change.

    No peer stores that time: it would make some of them embed a whole document at every edit.
    """

    document_id: str
    title: str
    body: str
    status: str
    priority: str

    def texts(self) -> list[str]:
        """What is embedded of it: a text a paragraph, the title in front."""
        return [f"{self.title}\n\n{paragraph}" for paragraph in self.body.split("\n\n")]


@dataclass(frozen=True)
class StoredRow:
    """A row that a contender left in LanceDB, as all of them can be compared."""

    document_id: str
    text: str
    status: str
    priority: str
    vector: NDArray[np.float32]


@dataclass
class Counted:
    """How often the embedder was called, and with how many texts."""

    calls: int = 0
    texts: int = 0


COUNTED = Counted()


class Contender(Protocol):
    """A way of bringing the source table to LanceDB; its set-up is not timed."""

    def prepare(self) -> None:
        """What stands before a run and is not timed."""

    def run(self) -> dict[str, float]:
        """Bring LanceDB up to date; seconds by phase, where it tells them."""

    def rows(self) -> Iterable[StoredRow]:
        """What readers see."""


def vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """A pseudo-random unit vector a text, as Headrace's fake model makes it."""
    made = np.empty((len(texts), DIMENSION), dtype=np.float32)
    for row, text in enumerate(texts):
        digest = hashlib.shake_256(f"fake-{DIMENSION}\n{text}".encode()).digest(DIMENSION)
        made[row] = np.frombuffer(digest, dtype=np.uint8).astype(np.float32) - 127.5
    unit: NDArray[np.float32] = made / np.linalg.norm(made, axis=1, keepdims=True)
    return unit


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """The same, counted."""
    COUNTED.calls += 1
    COUNTED.texts += len(texts)
    return vectors(texts)


def read_documents(
    connection: psycopg.Connection, where: str = "true", value: object = None
) -> list[SourceDocument]:
    """Documents of the source table."""
    query = (
        "select document_id, title, body, status, priority "
        f"from {TABLE} where {where} order by document_id"
    )
    parameters = None if value is None else (value,)
    found = connection.execute(query.encode(), parameters).fetchall()
    return [SourceDocument(*row) for row in found]


def check(url: str, rows: Iterable[StoredRow]) -> dict[str, int]:
    """Compare what is left with the source: rows, and those that are wrong, by kind."""
    with psycopg.connect(url) as connection:
        documents = read_documents(connection)
    expected = {
        (document.document_id, text): (document.status, document.priority)
        for document in documents
        for text in document.texts()
    }
    found = list(rows)
    times = Counter((row.document_id, row.text) for row in found)
    stale = wrong = 0
    for start in range(0, len(found), 1_000):
        some = found[start : start + 1_000]
        right = vectors([row.text for row in some])
        stored = np.array([row.vector for row in some])
        wrong += int((np.abs(right - stored).max(axis=1) > 1e-5).sum())
        stale += sum(
            expected.get((row.document_id, row.text), (row.status, row.priority))
            != (row.status, row.priority)
            for row in some
        )
    return {
        "rows": len(found),
        "missing": sum(key not in times for key in expected),
        "orphans": sum(number for key, number in times.items() if key not in expected),
        "duplicates": sum(number - 1 for number in times.values()),
        "stale": stale,
        "wrong_vectors": wrong,
    }
