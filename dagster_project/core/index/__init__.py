"""The vector store: generations of the index in LanceDB, one of them live."""

from dagster_project.core.index.filters import is_one_of, quoted
from dagster_project.core.index.generations import Generation, GenerationState, VectorStore
from dagster_project.core.index.table import (
    CUT,
    LIVE,
    OUT_OF_FORCE,
    VECTOR_COLUMNS,
    Maintenance,
    VectorIndex,
    index_schema,
)

__all__ = [
    "CUT",
    "LIVE",
    "OUT_OF_FORCE",
    "VECTOR_COLUMNS",
    "Generation",
    "GenerationState",
    "Maintenance",
    "VectorIndex",
    "VectorStore",
    "index_schema",
    "is_one_of",
    "quoted",
]
