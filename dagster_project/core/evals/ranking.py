"""The one place where evals ask the search."""

from __future__ import annotations

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
        self._version = version

    def live(self) -> Any:  # noqa: ANN401 - LanceDB's tables are untyped
        table = self._open()
        table.checkout(self._version)
        return table


def rank(
    index: VectorIndex, version: int, embedder: Embedder, question: str, k: int
) -> list[Ranked]:
    """The `k` best chunks of a version of an index, best first, as readers of it would get them."""
    hits = search(_AtVersion(index, version), embedder, question, k)
    return [Ranked(hit.document_id, hit.chunk_id, hit.text) for hit in hits]
