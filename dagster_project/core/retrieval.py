"""Search: vector and full text, fused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dagster_project.core.embedding import Embedder
from dagster_project.core.errors import ConfigurationError
from dagster_project.core.index import VectorIndex, is_one_of
from dagster_project.core.pages import pages_of

_COLUMNS = [
    "chunk_id",
    "document_id",
    "doc_type",
    "title",
    "section_path",
    "chunk_text",
    "header_length",
    "url",
    "lifecycle_state",
    "source_updated_at",
    "dbt_invocation_id",
    "chunk_index",
    "payload",
]
# Ranks that each leg gives to the fusion at least, and the constant of the paper that proposed it.
_DEPTH = 200
_RANK_CONSTANT = 60
# What a chunk of a demoted document keeps of its score: it stands behind what ranks as well.
_DEMOTED = 0.5


@dataclass(frozen=True)
class Hit:
    """A chunk that answers a query.

    Attributes:
        text: the chunk without its header.
        score: the fused score, higher is better; comparable within one search only.
        source_updated_at: when the newest row of the document changed, UTC.
        dbt_invocation_id: the dbt run that made the text.
        pages: the first and the last page that the text is on, where the document has pages.
    """

    chunk_id: str
    document_id: str
    doc_type: str
    title: str
    section_path: str
    text: str
    score: float
    url: str | None
    lifecycle_state: str
    source_updated_at: datetime
    dbt_invocation_id: str
    pages: tuple[int, int] | None = None


def search(
    index: VectorIndex, embedder: Embedder, query: str, k: int = 10, where: str | None = None
) -> list[Hit]:
    """The `k` best chunks of the live version.

    Vector and BM25 ranks are fused by reciprocal rank (Cormack, Clarke and Büttcher, SIGIR 2009).
    What is not in force is not in the index; what the lifecycle policy demotes has half its score.

    Args:
        index: the index; its tag `live` is read.
        embedder: the index's model.
        query: what is asked; not empty.
        k: how many, 1 or more.
        where: a filter in LanceDB's SQL over the columns of the index.

    Raises:
        ConfigurationError: the query is empty, or the filter cannot be read.
        VectorStoreError: nothing was published yet.
    """
    if not query.strip():
        raise ConfigurationError("The query is empty: say what to search for.")
    if k < 1:
        raise ConfigurationError(f"--k is {k}: ask for 1 chunk or more.")
    table = index.live()
    depth = max(_DEPTH, k)
    condition = f"({where})" if where else "true"
    vector = embedder.embed([query]).vectors[0]
    with _explained(where):
        by_meaning = (
            table.search(vector, vector_column_name="vector")
            .distance_type("cosine")
            .where(condition)
            .select(["chunk_id", "is_demoted", "_distance"])
            .limit(depth)
            .to_list()
        )
        by_words = (
            table.search(query, query_type="fts", fts_columns="chunk_text")
            .where(condition)
            .select(["chunk_id", "is_demoted", "_score"])
            .limit(depth)
            .to_list()
        )
        scores = reciprocal_ranks(
            [row["chunk_id"] for row in leg] for leg in (by_meaning, by_words)
        )
        for chunk_id in {row["chunk_id"] for row in by_meaning + by_words if row["is_demoted"]}:
            scores[chunk_id] *= _DEMOTED
        best = sorted(scores, key=lambda chunk_id: (-scores[chunk_id], chunk_id))[:k]
        rows = {
            row["chunk_id"]: row
            for row in table.search()
            .where(is_one_of("chunk_id", best))
            .select(_COLUMNS)
            .limit(k)
            .to_list()
        }
        pages = pages_of(table, list(rows.values()))
    return [_hit(rows[chunk_id], scores[chunk_id], pages.get(chunk_id)) for chunk_id in best]


def reciprocal_ranks(legs: Iterable[list[str]]) -> dict[str, float]:
    """The sum over the legs of 1 / (60 + rank), by id; ranks count from 1."""
    scores: dict[str, float] = {}
    for leg in legs:
        for rank, chunk_id in enumerate(leg, start=1):
            scores[chunk_id] = scores.get(chunk_id, 0.0) + 1 / (_RANK_CONSTANT + rank)
    return scores


def _hit(row: dict[str, Any], score: float, pages: tuple[int, int] | None) -> Hit:
    return Hit(
        chunk_id=row["chunk_id"],
        document_id=row["document_id"],
        doc_type=row["doc_type"],
        title=row["title"],
        section_path=row["section_path"],
        text=row["chunk_text"][row["header_length"] :],
        score=score,
        url=row["url"],
        lifecycle_state=row["lifecycle_state"],
        source_updated_at=row["source_updated_at"],
        dbt_invocation_id=row["dbt_invocation_id"],
        pages=pages,
    )


@contextmanager
def _explained(where: str | None) -> Iterator[None]:
    """LanceDB's complaint about a filter says which filter."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        if where is None:
            raise
        reason = str(error).splitlines()[0]
        raise ConfigurationError(
            f"--where {where!r} cannot be used: {reason}. It is SQL over the columns of "
            "rag__chunks, "
            "for example doc_type = 'policy'."
        ) from error
