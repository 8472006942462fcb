"""The indices of a table: for its keys and filters, for its words, for its vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lancedb.index import FTS, Bitmap, BTree, HnswSq, IvfRq, LabelList

from dagster_project.core.errors import VectorStoreError
from dagster_project.core.index.search import nearest, probes_among

# What rows are looked up by, and what searches are narrowed by: few values, or lists of few.
_SCALAR = {
    "chunk_id": BTree,
    "content_hash": BTree,
    "document_id": BTree,
    "doc_type": Bitmap,
    "lifecycle_state": Bitmap,
    "access": LabelList,
}
_WORDS = "chunk_text"
_VECTORS = "vector"
_KINDS = {"IvfRq": "ivf_rq", "IvfHnswSq": "ivf_hnsw_sq"}


@dataclass(frozen=True)
class VectorIndexing:
    """Which index vectors have.

    Attributes:
        kind: `exact` for none, `ivf_rq`, `ivf_hnsw_sq`, or `auto`, which is `ivf_rq` where the
            dimension allows: it is built in a thirtieth of the time of HNSW.
        rows: from how many on; below, a search compares all vectors.
    """

    kind: str = "auto"
    rows: int = 50_000

    def fitting(self, rows: int, dimension: int) -> str | None:
        """The kind of index that so many vectors of a dimension are to have, or None.

        Raises:
            VectorStoreError: the kind is not for this dimension.
        """
        if self.kind == "exact" or rows < self.rows:
            return None
        is_for_rq = dimension % 8 == 0
        if self.kind == "ivf_rq" and not is_for_rq:
            raise VectorStoreError(
                f"HEADRACE_VECTOR_INDEX is ivf_rq, which is for dimensions that 8 divides, and the "
                f"model's is {dimension}: set it to ivf_hnsw_sq, auto or exact."
            )
        return self.kind if self.kind != "auto" else "ivf_rq" if is_for_rq else "ivf_hnsw_sq"


@dataclass(frozen=True)
class Maintenance:
    """What tidying did to a table.

    Attributes:
        fragments_before, fragments_after: data files that a scan reads.
        unindexed_before: rows that searches had to scan.
        versions_before, versions_after: versions kept.
        bytes: what the live rows take, without old versions and indices.
    """

    fragments_before: int
    fragments_after: int
    unindexed_before: int
    versions_before: int
    versions_after: int
    bytes: int


def made(table: Any) -> dict[str, Any]:  # noqa: ANN401 - LanceDB's tables are untyped
    """The indices that a table has, by the column that they are of."""
    return {index.columns[0]: index for index in table.list_indices()}


def make_missing(table: Any, known: Mapping[str, Any]) -> None:  # noqa: ANN401
    """Make the indices of keys, filters and words that are not among those that a table has."""
    for column, config in _SCALAR.items():
        if column not in known:
            table.create_index(column, config=config())
    if _WORDS not in known:
        # Words are stemmed and stop words left out, which is LanceDB's default for English.
        table.create_index(_WORDS, config=FTS(with_position=False))


def make_vector_index(table: Any, indexing: VectorIndexing) -> None:  # noqa: ANN401
    """Give a table the vector index that its size asks for, or take it away."""
    known = made(table).get(_VECTORS)
    has = None if known is None else _KINDS.get(known.index_type, known.index_type)
    dimension = table.schema.field(_VECTORS).type.list_size
    wanted = indexing.fitting(table.count_rows(), dimension)
    if wanted == has:
        return
    if known is not None and wanted is None:
        table.drop_index(known.name)
        return
    make = HnswSq if wanted == "ivf_hnsw_sq" else IvfRq
    table.create_index(_VECTORS, config=make(distance_type="cosine"))


def unindexed_rows(table: Any) -> int:  # noqa: ANN401
    """Rows that a search for words has to scan."""
    words = made(table).get(_WORDS)
    return int(table.count_rows() if words is None else words.num_unindexed_rows)


def recall(table: Any, samples: int, k: int, depth: int) -> float | None:  # noqa: ANN401
    """The share of the `k` nearest rows that searches of a depth find, or None: all are exact.

    Args:
        table: the version to look at.
        samples: rows whose nearest are looked for, spread over the table.
        k: how many of the nearest count.
        depth: how many a search asks for, as searches of readers do.
    """
    rows = table.count_rows()
    if not rows or _VECTORS not in made(table):
        return None
    offsets = sorted({number * rows // samples for number in range(samples)})
    vectors = table.take_offsets(offsets).select([_VECTORS]).to_arrow()[_VECTORS].to_pylist()
    found = wanted = 0
    probes = probes_among(rows, rows)
    for vector in vectors:
        query = nearest(table, vector, depth, ["chunk_id"], probes)
        near = query.to_arrow()["chunk_id"].to_pylist()[:k]
        query = nearest(table, vector, k, ["chunk_id"], None)
        exact = query.to_arrow()["chunk_id"].to_pylist()
        found += len(set(near) & set(exact))
        wanted += len(exact)
    return found / max(wanted, 1)


def small_fragments(table: Any) -> int:  # noqa: ANN401
    """Data files that compacting would merge; those of full size stay."""
    return int(table.stats()["fragment_stats"]["num_small_fragments"])


def fragments(table: Any) -> int:  # noqa: ANN401
    """Data files."""
    return int(table.stats()["fragment_stats"]["num_fragments"])
