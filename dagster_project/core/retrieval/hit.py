"""A chunk that answers a query."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

# The columns of the index that a hit is made of.
COLUMNS = (
    "chunk_id",
    "document_id",
    "doc_type",
    "source_name",
    "title",
    "section_path",
    "chunk_text",
    "header_length",
    "chunk_index",
    "url",
    "lifecycle_state",
    "is_demoted",
    "source_updated_at",
    "dbt_invocation_id",
    "payload",
)


@dataclass(frozen=True)
class Hit:
    """A chunk that answers a query.

    Attributes:
        text: the chunk without its header.
        chunk_index: its place in the document, from 0.
        score: the fused score, or that of the reranker, higher is better; comparable within one
            search only.
        vector_rank, text_rank: its best ranks by meaning and by words, from 1; None where it is in
            none of those.
        source_updated_at: when the newest row of the document changed, UTC.
        dbt_invocation_id: the dbt run that made the text.
        payload: the document's facts.
        pages: the first and the last page that the text is on, where the document has pages.
        also_in: documents that say nearly the same, each left out of the hits once.
    """

    chunk_id: str
    document_id: str
    doc_type: str
    source_name: str
    title: str
    section_path: str
    text: str
    chunk_index: int
    score: float
    vector_rank: int | None
    text_rank: int | None
    url: str | None
    lifecycle_state: str
    source_updated_at: datetime
    dbt_invocation_id: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    pages: tuple[int, int] | None = None
    also_in: tuple[str, ...] = ()

    @property
    def section(self) -> str:
        """The headings above the text, without the document's title."""
        return self.section_path.removeprefix(self.title).lstrip(" >")

    @classmethod
    def of(cls, row: Mapping[str, Any], **more: Any) -> Hit:  # noqa: ANN401
        """The hit of a row with `COLUMNS`; `more` has what the index does not know."""
        payload = json.loads(row["payload"])
        return cls(
            chunk_id=row["chunk_id"],
            document_id=row["document_id"],
            doc_type=row["doc_type"],
            source_name=row["source_name"],
            title=row["title"],
            section_path=row["section_path"],
            text=row["chunk_text"][row["header_length"] :],
            chunk_index=row["chunk_index"],
            url=row["url"],
            lifecycle_state=row["lifecycle_state"],
            source_updated_at=row["source_updated_at"],
            dbt_invocation_id=row["dbt_invocation_id"],
            payload=payload if isinstance(payload, dict) else {},
            **more,
        )
