"""The one place where evals ask the search."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagster_project.core.index import Generation
from dagster_project.core.retrieval import Principals, Retriever

if TYPE_CHECKING:
    from dagster_project.core.build import Headrace


@dataclass(frozen=True)
class Ranked:
    """A chunk that a search found; `text` is its own, without the header."""

    document_id: str
    chunk_id: str
    text: str


def rankings(
    headrace: Headrace, generation: Generation, version: int, questions: Iterable[str], k: int
) -> list[list[Ranked]]:
    """The `k` best chunks of a version for each question, as a reader who sees all gets them."""
    retriever = Retriever(headrace, Principals.admin(), generation=generation, version=version)
    return [
        [Ranked(hit.document_id, hit.chunk_id, hit.text) for hit in retriever.search(question, k)]
        for question in questions
    ]
