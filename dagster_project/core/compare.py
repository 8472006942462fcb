"""What differs between the warehouse's chunks and the index's rows."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dagster_project.core.index import VectorIndex
from dagster_project.core.warehouse import CHUNK_SCHEMA, KEY_SCHEMA, Warehouse

# Rows handled at a time: bounds memory.
_ROWS = 10_000
# Ids that one filter names.
_IDS = 4_096
_EVERY_BATCH = 2**62
_DIGESTS = pa.schema({"chunk_id": pa.string(), "digest": pa.binary()})
# A row keeps the batch and the dbt run that last touched it; a rebuilt table renews both, and
# nothing that is read or embedded.
_CONTENT = [
    name for name in CHUNK_SCHEMA.names if name not in {"chunk_id", "batch_id", "dbt_invocation_id"}
]


@dataclass(frozen=True)
class Difference:
    """How the index differs from the warehouse, as sorted chunk ids.

    Attributes:
        missing: chunks that the index lacks.
        orphans: rows whose chunk is gone.
        duplicates: rows that are there more than once.
        stale: rows that say something else than their chunk.
    """

    missing: list[str]
    orphans: list[str]
    duplicates: list[str]
    stale: list[str]

    @property
    def is_clean(self) -> bool:
        """Whether both hold the same."""
        return not (self.missing or self.orphans or self.duplicates or self.stale)

    def __str__(self) -> str:
        """The difference in a line."""
        return (
            f"{len(self.missing)} chunks missing, {len(self.orphans)} orphans, "
            f"{len(self.duplicates)} duplicates, {len(self.stale)} stale"
        )


def compare(
    warehouse: Warehouse,
    index: VectorIndex,
    *,
    live: bool = True,
    upto: int | None = None,
    content: bool = False,
) -> Difference:
    """Compare every chunk of the warehouse with every row of the index.

    Chunks that the model could not embed are in the quarantine and count as neither.

    Args:
        warehouse: what should be.
        index: what is.
        live: whether to read the version that readers see, or the newest one.
        upto: leave out what batches after this one touched: they are not the index's yet.
        content: whether to compare all that a row says, and that its vector is one, instead of the
            hashes that it carries.

    Raises:
        WarehouseError: the warehouse cannot be read.
        VectorStoreError: the index cannot be read, or was never published.
    """
    if content:
        expected = _digests(warehouse.changed_chunks(-1, _EVERY_BATCH, _ROWS))
        found = _digests(
            index.stream([*_CONTENT, "chunk_id", "vector", "model_id"], _ROWS, live=live),
            index.model_id,
        )
    else:
        expected = warehouse.chunks(KEY_SCHEMA.names)
        found = index.rows(live=live)
    if upto is not None:
        touched = warehouse.touched_after(upto)["chunk_id"]
        expected, found = (_without(table, touched) for table in (expected, found))
    return _difference_without_refused(warehouse, index, expected, found)


def compare_batches(warehouse: Warehouse, index: VectorIndex, after: int, upto: int) -> Difference:
    """Compare what the batches in (after, upto] touched: costs what changed, not what exists.

    Reads the newest version of the index.
    """
    expected = warehouse.changed_keys(after, upto)
    gone = warehouse.tombstones(after, upto)["chunk_id"]
    chunk_ids = [*expected["chunk_id"].to_pylist(), *gone.to_pylist()]
    found = pa.concat_tables(
        [
            KEY_SCHEMA.empty_table(),
            *(
                index.find("chunk_id", chunk_ids[start : start + _IDS], KEY_SCHEMA.names)
                for start in range(0, len(chunk_ids), _IDS)
            ),
        ]
    )
    return _difference_without_refused(warehouse, index, expected, found)


def _difference_without_refused(
    warehouse: Warehouse, index: VectorIndex, expected: pa.Table, found: pa.Table
) -> Difference:
    """The difference, where chunks that the model refused are not missed."""
    refused = pa.array(warehouse.quarantined_chunks(index.model_id), pa.string())
    return difference(_without(expected, refused), found)


def difference(expected: pa.Table, found: pa.Table) -> Difference:
    """Two tables with chunk_id and columns that must be equal, compared as sets of rows."""
    counted = found.group_by("chunk_id").aggregate([([], "count_all")])
    duplicates = counted.filter(pc.greater(counted["count_all"], 1))["chunk_id"]
    values = [name for name in expected.column_names if name != "chunk_id"]
    joined = expected.join(
        found, "chunk_id", join_type="inner", left_suffix="", right_suffix="_found"
    )
    stale: list[str] = []
    if joined.num_rows:
        unequal = [pc.not_equal(joined[name], joined[f"{name}_found"]) for name in values]
        stale = pc.unique(joined.filter(functools.reduce(pc.or_, unequal))["chunk_id"]).to_pylist()
    return Difference(
        missing=sorted(_without(expected, found["chunk_id"])["chunk_id"].to_pylist()),
        orphans=sorted(set(_without(found, expected["chunk_id"])["chunk_id"].to_pylist())),
        duplicates=sorted(duplicates.to_pylist()),
        stale=sorted(stale),
    )


def _without(table: pa.Table, chunk_ids: pa.Array | pa.ChunkedArray) -> pa.Table:
    if not len(chunk_ids):
        return table
    return table.filter(pc.invert(pc.is_in(table["chunk_id"], value_set=_whole(chunk_ids))))


def _whole(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _digests(tables: Iterable[pa.Table], model_id: str | None = None) -> pa.Table:
    """chunk_id and one hash of all that each row says; of a broken vector, one unlike any other."""
    chunk_ids = [pa.array([], pa.string())]
    digests: list[bytes] = []
    for rows in tables:
        start = len(digests)
        columns = [rows[name].to_pylist() for name in _CONTENT]
        digests.extend(
            hashlib.blake2b(repr(row).encode("utf-8", "surrogatepass"), digest_size=16).digest()
            for row in zip(*columns, strict=True)
        )
        chunk_ids.extend(rows["chunk_id"].chunks)
        if model_id is not None and rows.num_rows:
            for place in np.flatnonzero(_broken_vectors(rows, model_id)):
                digests[start + place] = b"broken"
    return pa.table(
        {"chunk_id": pa.chunked_array(chunk_ids), "digest": pa.array(digests, pa.binary())}
    )


def _broken_vectors(rows: pa.Table, model_id: str) -> np.ndarray:
    """Which rows carry no direction, or another model's."""
    foreign = pc.not_equal(rows["model_id"], model_id).to_numpy(zero_copy_only=False)
    flat = rows["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    lengths = np.linalg.norm(flat.reshape(rows.num_rows, -1), axis=1)
    return np.asarray(foreign | ~(np.abs(lengths - 1) < 0.01))
