"""From rag__chunks to the index: embed exactly what changed, write it, verify it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from typing import TypeVar

import numpy as np
import pyarrow as pa

from dagster_project.core.compare import compare
from dagster_project.core.embedding import Embedder, Embeddings
from dagster_project.core.errors import ModelError, VectorStoreError
from dagster_project.core.index import VectorIndex, index_schema
from dagster_project.core.warehouse import KEY_SCHEMA, LedgerRow, Refusal, Warehouse

# Rows looked up, embedded and written at a time: bounds memory, and what a crash can undo.
BATCH_ROWS = 4_096
# Texts embedded between two reports of progress.
_PROGRESS_TEXTS = 256
# What every model can embed.
PLAIN_TEXT = "plain"
Vector = tuple[np.ndarray, int]
T = TypeVar("T")


@dataclass
class SyncReport:
    """What a sync did, in rows unless said.

    Attributes:
        batch_id: the newest batch that the index now holds.
        after_batch_id: the newest that it held before; None where it held none or was compared.
        added: chunks of new text.
        changed: chunks whose text replaced another of the same document.
        payload_only: rows described anew; their vectors stayed.
        deleted: rows removed, the replaced ones left out.
        unchanged: rows that the index held already as they are.
        embedded: texts that the model read.
        reused: rows new under their id that took a vector the index had.
        quarantined: rows set aside.
        windowed: texts longer than the model reads, averaged over windows.
        seconds: time by phase.
        version: the newest version of the table.
    """

    batch_id: int | None = None
    after_batch_id: int | None = None
    added: int = 0
    changed: int = 0
    payload_only: int = 0
    deleted: int = 0
    unchanged: int = 0
    embedded: int = 0
    reused: int = 0
    quarantined: int = 0
    windowed: int = 0
    seconds: dict[str, float] = field(
        default_factory=lambda: {"read": 0.0, "embed": 0.0, "write": 0.0}
    )
    version: int | None = None

    @property
    def written(self) -> int:
        """Rows written or removed."""
        return self.added + self.changed + self.payload_only + self.deleted

    @property
    def is_empty(self) -> bool:
        """Whether nothing was written."""
        return not self.written


Progress = Callable[[int, int], None]


def sync(
    warehouse: Warehouse,
    index: VectorIndex,
    embedder: Embedder,
    progress: Progress = lambda done, total: None,
    *,
    donor: VectorIndex | None = None,
    wait_seconds: float = 0.0,
    everything: bool = False,
) -> SyncReport:
    """Bring the newest version of the index to the warehouse's newest batch; publishes nothing.

    Reads the batches after the index's mark only. Where the mark is missing, where the warehouse's
    table was built anew since, and where the newest version cannot be read, everything is compared.

    Args:
        warehouse: where `rag__chunks` is.
        index: the index of `embedder`'s model; made where it is missing.
        embedder: the model.
        progress: called with the rows handled and the rows to handle.
        donor: another index of the same model, whose vectors are taken for equal texts.
        wait_seconds: how long to wait for another writer.
        everything: compare all that every row says, whatever the mark, and mend it.

    Raises:
        WarehouseError: the warehouse cannot be read.
        VectorStoreError: the index cannot be written, or another process writes it.
    """
    with index.writer(wait_seconds):
        index.create(embedder.dimension)
        try:
            return _Sync(warehouse, index, embedder, progress, donor).run(everything)
        except RuntimeError as error:
            # LanceDB's word for a data file that cannot be read. What readers see is older, and
            # whole as far as they know: what came after it is written again.
            if index.live_version in (None, index.version) or not _is_unreadable(error):
                raise _unwritable(index, error) from error
            index.restore_live()
            try:
                return _Sync(warehouse, index, embedder, progress, donor).run(everything=True)
            except RuntimeError as again:
                raise _unwritable(index, again) from again


def _is_unreadable(error: RuntimeError) -> bool:
    return "No space left" not in str(error)


def _unwritable(index: VectorIndex, error: RuntimeError) -> VectorStoreError:
    return VectorStoreError(
        f"The index {index.name} in {index.uri} cannot be read or written: {error}. Readers keep "
        f"version {index.live_version}, and the next run does what this one did not. Check the "
        "disk's space; if its files are damaged, `headrace generations rebuild` makes a new one."
    )


class _Sync:
    def __init__(
        self,
        warehouse: Warehouse,
        index: VectorIndex,
        embedder: Embedder,
        progress: Progress,
        donor: VectorIndex | None,
    ) -> None:
        self.warehouse = warehouse
        self.index = index
        self.embedder = embedder
        self.progress = progress
        self.donor = donor
        self.report = SyncReport()
        self.done = self.total = 0
        self.new_by_document: Counter[str] = Counter()
        self.gone_by_document: Counter[str] = Counter()
        # An empty table has no row to look up, and texts come in the order of their hash.
        self.is_first = False
        self.last: dict[str, Vector] = {}
        self.quarantined: set[str] = set()

    def run(self, everything: bool) -> SyncReport:
        """Follow the batches after the mark, or compare; then set the mark."""
        started = datetime.now(timezone.utc)
        report, index = self.report, self.index
        oldest, newest = self.warehouse.batch_range()
        mark = index.mark()
        report.batch_id = newest
        if mark == newest and not everything:
            report.version = index.version
            return report
        self.quarantined = self.warehouse.quarantined_chunks(self.embedder.model_id)
        if mark is not None and newest is not None and mark > newest:
            index.clear_marks()
        if everything or newest is None or not self.can_follow(mark, oldest, newest):
            self.reconcile(newest, content=everything)
        else:
            report.after_batch_id = mark
            self.follow(-1 if mark is None else mark, newest)
        report.changed = (self.new_by_document & self.gone_by_document).total()
        report.added -= report.changed
        report.deleted -= report.changed
        if newest is not None and (not report.is_empty or index.mark() != newest):
            self.timed("write", index.extend_indices)
            index.set_mark(newest)
            self.write_ledger(newest, mark, started)
        report.version = index.version
        return report

    def can_follow(self, mark: int | None, oldest: int | None, newest: int) -> bool:
        """Whether the batches after the mark are all that changed since.

        They are not where a crash left rows and no mark, and where the table was built anew: then
        no row is as old as the mark, and what went left no tombstone.
        """
        if mark is None:
            return self.index.count() == 0
        return oldest is not None and oldest <= mark <= newest

    def follow(self, mark: int, newest: int) -> None:
        """Apply the batches after the mark: texts first, so that a moved one finds its vector."""
        before = self.index.count()
        self.is_first = before == 0
        self.total, tombstones = self.warehouse.count_changes(mark, newest)
        for rows in self.reading(self.warehouse.changed_chunks(mark, newest, BATCH_ROWS)):
            self.write(rows)
        if tombstones:
            self.delete(self.warehouse.tombstones(mark, newest)["chunk_id"].to_pylist())
        # Cheap proof that nothing was lost or written twice; a difference is mended at once.
        if self.index.count() != before + self.report.added - self.report.deleted:
            self.reconcile(newest, content=False)

    def reconcile(self, newest: int | None, *, content: bool) -> None:
        """Compare everything and mend what differs."""
        found = compare(self.warehouse, self.index, live=False, upto=newest, content=content)
        if not found.is_clean:
            # Between a row's going and its coming back the index holds less than its mark says.
            self.index.clear_marks()
        # A row that is there twice, or whose vector may be broken, goes and comes back once.
        self.delete([*found.duplicates, *(found.stale if content else [])])
        # What the model refused may have failed for another reason than its text.
        refused = self.quarantined if content else set()
        wanted = sorted({*found.missing, *found.stale, *found.duplicates, *refused})
        self.done, self.total = 0, len(wanted)
        for start in range(0, len(wanted), BATCH_ROWS):
            chunk_ids = wanted[start : start + BATCH_ROWS]
            self.write(self.timed("read", partial(self.warehouse.chunks_by_id, chunk_ids)))
        # Last, so that a text that moved finds its vector.
        self.delete(found.orphans)

    def write(self, rows: pa.Table) -> None:
        """Add the rows that the index lacks, describe anew those that say something else."""
        new = list(range(rows.num_rows))
        if not self.is_first:
            known = self.timed(
                "read",
                lambda: self.index.find("chunk_id", rows["chunk_id"].to_pylist(), KEY_SCHEMA.names),
            )
            hashes = dict(
                zip(known["chunk_id"].to_pylist(), known["row_hash"].to_pylist(), strict=True)
            )
            described: list[int] = []
            new = []
            # The text is part of the id, so a row that is there has its vector.
            keys = zip(rows["chunk_id"].to_pylist(), rows["row_hash"].to_pylist(), strict=True)
            for place, (chunk_id, row_hash) in enumerate(keys):
                if chunk_id not in hashes:
                    new.append(place)
                elif hashes[chunk_id] != row_hash:
                    described.append(place)
            if described:
                self.timed("write", lambda: self.index.describe(rows.take(described)))
            self.report.payload_only += len(described)
            self.report.unchanged += rows.num_rows - len(new) - len(described)
        if new:
            self.add(rows if self.is_first else rows.take(new))
        self.done += rows.num_rows
        self.progress(self.done, self.total)

    def add(self, rows: pa.Table) -> None:
        """Write rows with their vectors; what the model refuses goes to the quarantine."""
        hashes = rows["content_hash"].to_pylist()
        vectors = self.timed("read", lambda: self.known_vectors(hashes))
        texts = dict(zip(hashes, rows["chunk_text"].to_pylist(), strict=True))
        unknown = {key: text for key, text in texts.items() if key not in vectors}
        made, failed = self.timed("embed", lambda: self.embed(unknown))
        vectors |= made
        if failed:
            self.set_aside(rows, failed)
            embedded = [place for place, key in enumerate(hashes) if key not in failed]
            rows = rows.take(pa.array(embedded, pa.int64()))
            hashes = rows["content_hash"].to_pylist()
        if not hashes:
            return
        self.timed("write", lambda: self.index.add(self.with_vectors(rows, vectors)))
        self.last = {hashes[-1]: vectors[hashes[-1]]}
        # One that failed before and is embedded now is no orphan.
        self.release(rows["chunk_id"].to_pylist())
        self.new_by_document.update(rows["document_id"].to_pylist())
        self.report.added += len(hashes)
        self.report.reused += len(hashes) - len(made)

    def with_vectors(self, rows: pa.Table, vectors: dict[str, Vector]) -> pa.Table:
        """Rows of the index."""
        hashes = rows["content_hash"].to_pylist()
        dimension = self.embedder.dimension
        flat = np.concatenate([vectors[key][0] for key in hashes])
        now = datetime.now(timezone.utc)
        return pa.table(
            [
                *rows.columns,
                pa.FixedSizeListArray.from_arrays(pa.array(flat, pa.float32()), dimension),
                pa.array([vectors[key][1] for key in hashes], pa.int32()),
                pa.array([self.embedder.model_id] * len(hashes)),
                pa.array([now] * len(hashes), pa.timestamp("us", tz="UTC")),
            ],
            schema=index_schema(dimension),
        )

    def known_vectors(self, hashes: list[str]) -> dict[str, Vector]:
        """Vectors that this index or its donor has for these texts, under whatever id."""
        vectors = dict(self.last)
        indexes = [] if self.is_first else [self.index]
        for index in [*indexes, *([self.donor] if self.donor else [])]:
            wanted = sorted(set(hashes) - vectors.keys())
            found = index.find("content_hash", wanted, ["content_hash", "vector", "windows"])
            if found.num_rows:
                flat = found["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
                values = zip(
                    flat.reshape(found.num_rows, -1), found["windows"].to_pylist(), strict=True
                )
                vectors |= zip(found["content_hash"].to_pylist(), values, strict=True)
        return vectors

    def embed(self, texts: dict[str, str]) -> tuple[dict[str, Vector], dict[str, str]]:
        """Vectors by content hash, and the reasons of those that could not be embedded."""
        # Texts of a length go together, so that the model pads little.
        hashes = sorted(texts, key=lambda key: len(texts[key]))
        vectors: dict[str, Vector] = {}
        failed: dict[str, str] = {}
        for start in range(0, len(hashes), _PROGRESS_TEXTS):
            keys = hashes[start : start + _PROGRESS_TEXTS]
            self.embed_some(keys, texts, vectors, failed)
            self.progress(self.done + start + len(keys), self.total)
        return vectors, failed

    def embed_some(
        self,
        hashes: list[str],
        texts: dict[str, str],
        vectors: dict[str, Vector],
        failed: dict[str, str],
    ) -> None:
        """Embed together what can be, by halves down to the text that cannot."""
        try:
            result = _checked(self.embedder.embed([texts[key] for key in hashes]))
        except Exception as error:  # noqa: BLE001 - any failure of a model on one text concerns that text
            if len(hashes) == 1:
                self.check_model(error)
                failed[hashes[0]] = f"the model cannot embed it: {error}"
                return
            middle = len(hashes) // 2
            for half in (hashes[:middle], hashes[middle:]):
                self.embed_some(half, texts, vectors, failed)
            return
        self.report.embedded += len(hashes)
        self.report.windowed += int((result.windows > 1).sum())
        vectors |= zip(
            hashes, zip(result.vectors, result.windows.tolist(), strict=True), strict=True
        )

    def check_model(self, failure: Exception) -> None:
        """Refuse to go on where it is not a text that fails but the model.

        Raises:
            ModelError: the model embeds nothing at all.
        """
        try:
            _checked(self.embedder.embed([PLAIN_TEXT]))
        except Exception as error:
            raise ModelError(
                f"The model {self.embedder.model_id} embeds no text any more: {failure}. Readers "
                "keep what they have, and the next run does what this one did not: check the "
                "memory and the device that the model runs on."
            ) from error

    def set_aside(self, rows: pa.Table, reasons: dict[str, str]) -> None:
        """Write what the model refused to the quarantine."""
        refusals = [
            Refusal(row["document_id"], reasons[row["content_hash"]], row["chunk_id"])
            for row in rows.select(["document_id", "content_hash", "chunk_id"]).to_pylist()
            if row["content_hash"] in reasons
        ]
        self.warehouse.set_aside("embedding", refusals, self.embedder.model_id)
        self.report.quarantined += len(refusals)

    def release(self, chunk_ids: list[str]) -> None:
        """Take chunks out of the quarantine that are embedded after all, or gone."""
        if freed := self.quarantined.intersection(chunk_ids):
            self.warehouse.release(sorted(freed), self.embedder.model_id)

    def delete(self, chunk_ids: list[str]) -> None:
        """Remove rows, where they are."""
        for start in range(0, len(chunk_ids), BATCH_ROWS):
            some = chunk_ids[start : start + BATCH_ROWS]
            removed = self.timed("write", partial(self.index.delete, some))
            self.gone_by_document.update(removed["document_id"].to_pylist())
            self.report.deleted += removed.num_rows
            self.release(some)

    def write_ledger(self, newest: int, mark: int | None, started: datetime) -> None:
        """Account for the sync in the warehouse."""
        report = self.report
        run, watermark = self.warehouse.batch_facts(-1 if mark is None else mark, newest)
        self.warehouse.write_ledger(
            LedgerRow(
                generation=self.index.name,
                batch_id=newest,
                after_batch_id=mark,
                dbt_invocation_id=run,
                model_id=self.embedder.model_id,
                source_watermark=watermark,
                rows_added=report.added,
                rows_changed=report.changed,
                rows_payload_only=report.payload_only,
                rows_deleted=report.deleted,
                rows_unchanged=report.unchanged,
                rows_embedded=report.embedded,
                rows_reused=report.reused,
                rows_quarantined=report.quarantined,
                read_seconds=report.seconds["read"],
                embed_seconds=report.seconds["embed"],
                write_seconds=report.seconds["write"],
                started_at=started,
                finished_at=datetime.now(timezone.utc),
            )
        )

    def reading(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """The same tables; the time that they take to come is reading."""
        waiting = iter(tables)
        while (rows := self.timed("read", lambda: next(waiting, None))) is not None:
            yield rows

    def timed(self, phase: str, work: Callable[[], T]) -> T:
        """What some work gives; its time counts to a phase."""
        started = time.perf_counter()
        try:
            return work()
        finally:
            self.report.seconds[phase] += time.perf_counter() - started


def _checked(result: Embeddings) -> Embeddings:
    """The same, where every vector is a direction.

    Raises:
        ValueError: a vector is not finite or has no length.
    """
    lengths = np.linalg.norm(result.vectors, axis=1)
    if not np.all(np.isfinite(lengths)) or np.any(lengths < 0.5):
        raise ValueError("the vector is not finite or has no length")
    return result
