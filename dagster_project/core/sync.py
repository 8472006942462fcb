"""From rag__chunks to the index: embed exactly what changed, write it, verify it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone

import numpy as np
import pyarrow as pa

from dagster_project.core.embedding import Embedder, Embeddings
from dagster_project.core.index import VectorIndex, index_schema
from dagster_project.core.warehouse import KEY_SCHEMA, PostgresWarehouse, Refusal

# Rows read, embedded and merged at a time: bounds memory, and what a crash can undo.
BATCH_ROWS = 1024


@dataclass
class SyncReport:
    """What a sync did, in rows unless said.

    Attributes:
        batch_id: the newest batch that the index now holds.
        added: rows new in the index.
        updated: rows whose description changed; their vectors stayed.
        deleted: rows removed.
        embedded: texts that the model read.
        reused: texts new under their id that took a vector the index had.
        quarantined: rows set aside.
        windowed: texts longer than the model reads, averaged over windows.
        seconds: time by phase.
        version: the newest version of the table.
    """

    batch_id: int | None = None
    added: int = 0
    updated: int = 0
    deleted: int = 0
    embedded: int = 0
    reused: int = 0
    quarantined: int = 0
    windowed: int = 0
    seconds: dict[str, float] = field(
        default_factory=lambda: {"read": 0.0, "embed": 0.0, "write": 0.0}
    )
    version: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was written."""
        return not (self.added or self.updated or self.deleted)


Progress = Callable[[int, int], None]


def sync(
    warehouse: PostgresWarehouse,
    index: VectorIndex,
    embedder: Embedder,
    progress: Progress = lambda done, total: None,
) -> SyncReport:
    """Bring the newest version of the index to the warehouse's newest batch; publishes nothing.

    Reads the batches after the index's mark only. Where the mark is missing or ahead of the
    warehouse (a table that was rebuilt), and where the counts differ in the end, everything is
    compared by key.

    Args:
        warehouse: where `rag__chunks` is.
        index: the index of `embedder`'s model; made where it is missing.
        embedder: the model.
        progress: called with the rows handled and the rows to handle.

    Raises:
        WarehouseError: the warehouse cannot be read.
        VectorStoreError: the index cannot be written, or another process writes it.
    """
    with index.writer():
        index.create(embedder.dimension)
        run = _Sync(warehouse, index, embedder, progress)
        newest = warehouse.last_batch_id()
        mark = index.mark()
        if mark is None and newest is not None and index.count() == 0:
            run.follow(-1, newest)
        elif mark is None or newest is None or mark > newest:
            run.reconcile()
        elif mark < newest:
            run.follow(mark, newest)
        if newest is not None and mark != newest:
            index.extend_indices()
            index.set_mark(newest)
        run.report.batch_id = newest
        run.report.version = index.version
        return run.report


@dataclass
class Difference:
    """How the index differs from the warehouse, as sorted chunk ids."""

    missing: list[str]
    orphans: list[str]
    duplicates: list[str]
    stale: list[str]

    @property
    def is_clean(self) -> bool:
        """Whether both hold the same."""
        return not (self.missing or self.orphans or self.duplicates or self.stale)


def compare(warehouse: PostgresWarehouse, index: VectorIndex, *, live: bool = True) -> Difference:
    """Compare every chunk of the warehouse with every row of the index by id, text and description.

    Chunks that the model could not embed are in the quarantine and count as neither.
    """
    expected = {row["chunk_id"]: row for row in warehouse.chunk_keys().to_pylist()}
    for chunk_id in warehouse.quarantined_chunks(index.model_id):
        expected.pop(chunk_id, None)
    found: dict[str, dict[str, str]] = {}
    duplicates: set[str] = set()
    for row in index.keys(live=live).to_pylist():
        if row["chunk_id"] in found:
            duplicates.add(row["chunk_id"])
        found[row["chunk_id"]] = row
    return Difference(
        missing=sorted(expected.keys() - found.keys()),
        orphans=sorted(found.keys() - expected.keys()),
        duplicates=sorted(duplicates),
        stale=sorted(key for key in expected.keys() & found.keys() if expected[key] != found[key]),
    )


class _Sync:
    def __init__(
        self,
        warehouse: PostgresWarehouse,
        index: VectorIndex,
        embedder: Embedder,
        progress: Progress,
    ) -> None:
        self.warehouse = warehouse
        self.index = index
        self.embedder = embedder
        self.progress = progress
        self.report = SyncReport()

    def follow(self, mark: int, newest: int) -> None:
        """Apply the batches after the mark: texts first, so that a moved one finds its vector."""
        total = self.warehouse.count_changes(mark, newest)
        done = 0
        for rows in self._reading(self.warehouse.changed_chunks(mark, newest, BATCH_ROWS)):
            self._write(rows)
            done += rows.num_rows
            self.progress(done, total)
        for chunk_ids in self.warehouse.tombstones(mark, newest, BATCH_ROWS):
            self._delete(chunk_ids)
        # Cheap proof that nothing was lost or written twice; a difference is mended at once.
        set_aside = len(self.warehouse.quarantined_chunks(self.index.model_id))
        if self.index.count() != self.warehouse.count_chunks() - set_aside:
            self.reconcile()

    def reconcile(self) -> None:
        """Compare everything by key and mend what differs."""
        difference = compare(self.warehouse, self.index, live=False)
        wanted = sorted({*difference.missing, *difference.stale, *difference.duplicates})
        # A row that is there twice goes altogether and comes back once.
        for chunk_ids in _slices(difference.duplicates):
            self._delete(chunk_ids)
        done = 0
        for chunk_ids in _slices(wanted):
            for rows in self._reading(self.warehouse.chunks_by_id(chunk_ids, BATCH_ROWS)):
                self._write(rows)
                done += rows.num_rows
                self.progress(done, len(wanted))
        for chunk_ids in _slices(difference.orphans):
            self._delete(chunk_ids)

    def _write(self, rows: pa.Table) -> None:
        started = time.perf_counter()
        known = {
            row["chunk_id"]: row
            for row in self.index.find(
                "chunk_id", rows["chunk_id"].to_pylist(), KEY_SCHEMA.names
            ).to_pylist()
        }
        new: list[int] = []
        described: list[int] = []
        keys = rows.select(KEY_SCHEMA.names).to_pylist()
        for place, row in enumerate(keys):
            present = known.get(row["chunk_id"])
            if present is None or present["content_hash"] != row["content_hash"]:
                new.append(place)
            elif present["row_hash"] != row["row_hash"]:
                described.append(place)
        self.report.seconds["read"] += time.perf_counter() - started
        if described:
            # Without the vector's columns: the merge keeps what they hold.
            self._merge(rows.take(described))
            self.report.updated += len(described)
        if new:
            self._add(rows.take(new))

    def _add(self, rows: pa.Table) -> None:
        started = time.perf_counter()
        hashes = rows["content_hash"].to_pylist()
        vectors = self._known_vectors(hashes)
        texts = dict(zip(hashes, rows["chunk_text"].to_pylist(), strict=True))
        unknown = [content_hash for content_hash in texts if content_hash not in vectors]
        self.report.seconds["read"] += time.perf_counter() - started

        started = time.perf_counter()
        embedded, failed = self._embed(
            {content_hash: texts[content_hash] for content_hash in unknown}
        )
        vectors |= embedded
        self.report.seconds["embed"] += time.perf_counter() - started
        if failed:
            refused = [place for place, content_hash in enumerate(hashes) if content_hash in failed]
            self._set_aside(rows.take(refused), failed)
            rows = rows.take([place for place in range(len(hashes)) if hashes[place] not in failed])
            hashes = rows["content_hash"].to_pylist()
            if not hashes:
                return
        dimension = self.embedder.dimension
        flat = np.concatenate([vectors[content_hash][0] for content_hash in hashes])
        now = datetime.now(timezone.utc)
        self._merge(
            pa.table(
                [
                    *rows.columns,
                    pa.FixedSizeListArray.from_arrays(pa.array(flat, pa.float32()), dimension),
                    pa.array([vectors[content_hash][1] for content_hash in hashes], pa.int32()),
                    pa.array([self.embedder.model_id] * len(hashes)),
                    pa.array([now] * len(hashes), pa.timestamp("us", tz="UTC")),
                ],
                schema=index_schema(dimension),
            )
        )
        # One that failed before and is embedded now is no orphan.
        self.warehouse.release(rows["chunk_id"].to_pylist(), self.embedder.model_id)
        self.report.added += len(hashes)
        self.report.reused += len(hashes) - len(embedded)

    def _known_vectors(self, hashes: list[str]) -> dict[str, tuple[np.ndarray, int]]:
        """Vectors that the index has for these texts, under whatever id."""
        found = self.index.find(
            "content_hash", sorted(set(hashes)), ["content_hash", "vector", "windows"]
        )
        if not found.num_rows:
            return {}
        flat = found["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        vectors = flat.reshape(found.num_rows, self.embedder.dimension)
        return dict(
            zip(
                found["content_hash"].to_pylist(),
                zip(vectors, found["windows"].to_pylist(), strict=True),
                strict=True,
            )
        )

    def _embed(
        self, texts: dict[str, str]
    ) -> tuple[dict[str, tuple[np.ndarray, int]], dict[str, str]]:
        """Vectors by content hash, and the reasons of those that could not be embedded."""
        if not texts:
            return {}, {}
        hashes = list(texts)
        try:
            result = _checked(self.embedder.embed(list(texts.values())))
        except Exception as error:  # noqa: BLE001 - any failure of a model on one text concerns that text
            if len(hashes) == 1:
                return {}, {hashes[0]: f"the model cannot embed it: {error}"}
            middle = len(hashes) // 2
            vectors: dict[str, tuple[np.ndarray, int]] = {}
            failed: dict[str, str] = {}
            for half in (hashes[:middle], hashes[middle:]):
                done, refused = self._embed(
                    {content_hash: texts[content_hash] for content_hash in half}
                )
                vectors |= done
                failed |= refused
            return vectors, failed
        self.report.embedded += len(hashes)
        self.report.windowed += int((result.windows > 1).sum())
        return dict(
            zip(hashes, zip(result.vectors, result.windows.tolist(), strict=True), strict=True)
        ), {}

    def _set_aside(self, rows: pa.Table, reasons: dict[str, str]) -> None:
        refusals = [
            Refusal(row["document_id"], reasons[row["content_hash"]], row["chunk_id"])
            for row in rows.select(["document_id", "content_hash", "chunk_id"]).to_pylist()
        ]
        self.warehouse.set_aside("embedding", refusals, self.embedder.model_id)
        self.report.quarantined += len(refusals)

    def _merge(self, rows: pa.Table) -> None:
        started = time.perf_counter()
        self.index.merge(rows)
        self.report.seconds["write"] += time.perf_counter() - started

    def _delete(self, chunk_ids: list[str]) -> None:
        started = time.perf_counter()
        self.report.deleted += self.index.delete(chunk_ids)
        self.report.seconds["write"] += time.perf_counter() - started

    def _reading(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        while True:
            started = time.perf_counter()
            rows = next(tables, None)
            self.report.seconds["read"] += time.perf_counter() - started
            if rows is None:
                return
            yield rows


def _slices(values: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(values), BATCH_ROWS):
        yield values[start : start + BATCH_ROWS]


def _checked(result: Embeddings) -> Embeddings:
    """The same, where every vector is a direction.

    Raises:
        ValueError: a vector is not finite or has no length.
    """
    lengths = np.linalg.norm(result.vectors, axis=1)
    if not np.all(np.isfinite(lengths)) or np.any(lengths < 0.5):
        raise ValueError("the vector is not finite or has no length")
    return result
