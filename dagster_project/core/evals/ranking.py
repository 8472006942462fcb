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
    headrace: Headrace,
    generation: Generation,
    questions: Iterable[str],
    k: int,
    *,
    published: bool,
) -> list[list[Ranked]]:
    """The `k` best chunks for each question, of all that a generation's version holds.

    Args:
        headrace: whose index and models these are.
        generation: which generation.
        questions: what is asked.
        k: how many chunks each.
        published: the version that its readers see, or its newest.
    """
    # A gold set names no reader: it asks whether the answer is there, not who may have it.
    retriever = Retriever(headrace, Principals.admin(), generation=generation, published=published)
    return [
        [Ranked(hit.document_id, hit.chunk_id, hit.text) for hit in retriever.search(question, k)]
        for question in questions
    ]
