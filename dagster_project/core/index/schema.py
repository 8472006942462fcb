"""What a row of the index is, and which rows readers are not to find."""

from __future__ import annotations

import pyarrow as pa

from dagster_project.core.warehouse import CHUNK_SCHEMA

VECTOR_COLUMNS = ("vector", "windows", "model_id", "indexed_at")
# Rows of documents that no reader is to find, and rows whose text the model could not read whole.
OUT_OF_FORCE = "lifecycle_state NOT IN ('active', 'stale') AND NOT is_demoted"
CUT = "windows > 1"


def index_schema(dimension: int) -> pa.Schema:
    """The columns of an index row: the chunk's, then the vector's."""
    return pa.schema(
        [
            *CHUNK_SCHEMA,
            pa.field("vector", pa.list_(pa.float32(), dimension), nullable=False),
            pa.field("windows", pa.int32(), nullable=False),
            pa.field("model_id", pa.string(), nullable=False),
            pa.field("indexed_at", pa.timestamp("us", tz="UTC"), nullable=False),
        ]
    )
