"""A document as readers have it: its chunks in their order."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from dagster_project.core.retrieval.context import joined
from dagster_project.core.retrieval.hit import COLUMNS

DOCUMENT_COLUMNS = (*COLUMNS, "valid_from", "valid_to", "batch_id", "access")


@dataclass(frozen=True)
class Document:
    """A document in the index.

    Attributes:
        text: its chunks' texts, without headers.
        access: the principals who may read it.
        valid_from, valid_to: the days in force; None has no bound.
        source_updated_at: when the newest row joined into it changed, UTC.
        batch_id: the newest batch of its chunks.
        dbt_invocation_ids: the dbt runs that made its text.
        chunk_ids: in its order.
        payload: its facts.
    """

    document_id: str
    doc_type: str
    source_name: str
    title: str
    text: str
    url: str | None
    access: tuple[str, ...]
    lifecycle_state: str
    is_demoted: bool
    valid_from: date | None
    valid_to: date | None
    source_updated_at: datetime
    batch_id: int
    dbt_invocation_ids: tuple[str, ...]
    chunk_ids: tuple[str, ...]
    payload: Mapping[str, Any]

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]]) -> Document:
        """The document of its rows, one or more, with `DOCUMENT_COLUMNS`."""
        rows = sorted(rows, key=lambda row: int(row["chunk_index"]))
        first = rows[0]
        payload = json.loads(first["payload"])
        return cls(
            document_id=first["document_id"],
            doc_type=first["doc_type"],
            source_name=first["source_name"],
            title=first["title"],
            text=joined(row["chunk_text"][row["header_length"] :] for row in rows),
            url=first["url"],
            access=tuple(first["access"]),
            lifecycle_state=first["lifecycle_state"],
            is_demoted=first["is_demoted"],
            valid_from=first["valid_from"],
            valid_to=first["valid_to"],
            source_updated_at=first["source_updated_at"],
            batch_id=max(row["batch_id"] for row in rows),
            dbt_invocation_ids=tuple(dict.fromkeys(row["dbt_invocation_id"] for row in rows)),
            chunk_ids=tuple(row["chunk_id"] for row in rows),
            payload=payload if isinstance(payload, dict) else {},
        )
