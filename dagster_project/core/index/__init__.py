"""The vector store: generations of the index in LanceDB, one of them live."""

from dagster_project.core.index.filters import holds_one_of, is_one_of, quoted
from dagster_project.core.index.generations import Generation, GenerationState, VectorStore
from dagster_project.core.index.indices import Maintenance, VectorIndexing
from dagster_project.core.index.schema import CUT, OUT_OF_FORCE, VECTOR_COLUMNS, index_schema
from dagster_project.core.index.search import EVERY, nearest, probes_among, with_words
from dagster_project.core.index.table import LIVE, VectorIndex

__all__ = [
    "CUT",
    "EVERY",
    "LIVE",
    "OUT_OF_FORCE",
    "VECTOR_COLUMNS",
    "Generation",
    "GenerationState",
    "Maintenance",
    "VectorIndex",
    "VectorIndexing",
    "VectorStore",
    "holds_one_of",
    "index_schema",
    "is_one_of",
    "nearest",
    "probes_among",
    "quoted",
    "with_words",
]
