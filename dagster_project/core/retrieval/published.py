"""What a reader can read: which version of the index, and how new each of its sources is in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

SOURCE_COLUMNS = ("source_name", "document_id", "source_updated_at")


@dataclass(frozen=True)
class SourceState:
    """A source, as far as a reader may read it.

    Attributes:
        source_name: its name.
        documents: documents of it that the reader may read.
        newest_change: when the newest of those changed, UTC.
    """

    source_name: str
    documents: int
    newest_change: datetime


@dataclass(frozen=True)
class Published:
    """The version that readers see, and what one of them may read of it.

    Attributes:
        generation: the index's table.
        version: its version.
        model_id: the embedding model.
        sources: by name; those of which the reader may read nothing are left out.
    """

    generation: str
    version: int
    model_id: str
    sources: tuple[SourceState, ...]


def sources_of(rows: pa.Table) -> tuple[SourceState, ...]:
    """The sources of rows with `SOURCE_COLUMNS`, by name."""
    found = rows.group_by("source_name").aggregate(
        [("document_id", "count_distinct"), ("source_updated_at", "max")]
    )
    states = [
        SourceState(
            row["source_name"], row["document_id_count_distinct"], row["source_updated_at_max"]
        )
        for row in found.to_pylist()
    ]
    return tuple(sorted(states, key=lambda state: state.source_name))
