"""The one place where evals ask the search."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dagster_project.core.embedding import Embedder
from dagster_project.core.index import VectorIndex
from dagster_project.core.retrieval import search


@dataclass(frozen=True)
class Ranked:
    """A chunk that a search found; `text` is its own, without the header."""

    document_id: str
    chunk_id: str
    text: str


class _AtVersion(VectorIndex):
    """An index whose readers see a version that is not published, or no longer."""

    def __init__(self, index: VectorIndex, version: int) -> None:
        super().__init__(index.uri, index.name, index.model_id)
        self._seen = self._open()
        self._seen.checkout(version)

    def live(self) -> Any:  # noqa: ANN401 - LanceDB's tables are untyped
        return self._seen


def rankings(
    index: VectorIndex, version: int, embedder: Embedder, questions: Iterable[str], k: int
) -> list[list[Ranked]]:
    """The `k` best chunks of a version of an index for each question, as its readers get them."""
    seen = _AtVersion(index, version)
    return [
        [Ranked(hit.document_id, hit.chunk_id, hit.text) for hit in hits]
        for hits in (search(seen, embedder, question, k) for question in questions)
    ]
