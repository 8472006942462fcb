"""What of the published version a reader may read: how much, of which kinds, how new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from dagster_project.core.index import Generation

_OF_A_DOCUMENT = ("document_id", "doc_type", "source_name", "lifecycle_state")
OVERVIEW_COLUMNS = (*_OF_A_DOCUMENT, "source_updated_at")


@dataclass(frozen=True)
class Overview:
    """The version that readers see, as far as one of them may read it.

    Attributes:
        generation: the index's table.
        version: its version.
        model_id: the embedding model.
        chunks, documents: how many the reader may read.
        newest_change: when the newest row of those documents changed, UTC; None where there is
            none.
        doc_types, source_names, lifecycle_states: documents by each, most first.
    """

    generation: str
    version: int
    model_id: str
    chunks: int
    documents: int
    newest_change: datetime | None
    doc_types: Mapping[str, int]
    source_names: Mapping[str, int]
    lifecycle_states: Mapping[str, int]

    @classmethod
    def of(cls, generation: Generation, version: int, rows: pa.Table) -> Overview:
        """The overview of a version and of the rows in it that the reader may read."""
        documents = rows.group_by(list(_OF_A_DOCUMENT)).aggregate([])
        return cls(
            generation=generation.name,
            version=version,
            model_id=generation.model_id,
            chunks=rows.num_rows,
            documents=documents.num_rows,
            newest_change=pc.max(rows["source_updated_at"]).as_py(),
            doc_types=_counted(documents["doc_type"]),
            source_names=_counted(documents["source_name"]),
            lifecycle_states=_counted(documents["lifecycle_state"]),
        )


def _counted(values: pa.ChunkedArray) -> dict[str, int]:
    found = {pair["values"]: pair["counts"] for pair in values.value_counts().to_pylist()}
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))
