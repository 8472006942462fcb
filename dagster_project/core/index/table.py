"""One generation of the index: a LanceDB table, read through the tag `live`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import lancedb
import pyarrow as pa
import pyarrow.compute as pc

from dagster_project.core.errors import VectorStoreError
from dagster_project.core.index import indices
from dagster_project.core.index.filters import is_one_of
from dagster_project.core.index.indices import Maintenance, VectorIndexing
from dagster_project.core.index.lock import is_local, writer_lock
from dagster_project.core.index.opening import open_table
from dagster_project.core.index.schema import VECTOR_COLUMNS, index_schema
from dagster_project.core.warehouse import KEY_SCHEMA

LIVE = "live"
# The version that was live before, so that a torn manifest of the live one is no loss.
PREVIOUS = "previous"
# A version that did not answer the gold sets: what follows it must, before readers see it.
REFUSED = "refused"
_MARK = "batch-"
# Rows outside an index are scanned at every search and every commit leaves a fragment: past these,
# it is worth tidying. Few rows are scanned faster than an index is extended.
_UNINDEXED_SHARE = 0.1
_UNINDEXED_ROWS = 5_000
_SMALL_FRAGMENTS = 50
# Tries to list tags that a writer moves meanwhile; each try is a new listing.
_LISTINGS = 100
_NEVER = timedelta(days=3_650)


class VectorIndex:
    """The chunks of one generation in LanceDB.

    Writers work on the newest version of the table; readers open the version tagged `live`. How far
    a version follows the warehouse is a tag too, `batch-<batch_id>`, set when all of a batch is
    written, so that a crash between two writes is seen and written again.
    """

    def __init__(
        self, uri: str, name: str, model_id: str, indexing: VectorIndexing | None = None
    ) -> None:
        """Take the store's directory or URI and the table; nothing is opened or made yet."""
        self.uri = uri
        self.name = name
        self.model_id = model_id
        self._indexing = indexing or VectorIndexing()
        self._table: Any = None

    @property
    def exists(self) -> bool:
        """Whether the table is there."""
        return open_table(self.uri, self.name) is not None

    def create(self, dimension: int) -> None:
        """Make the empty table, where it is missing."""
        if not self.exists:
            self._table = lancedb.connect(self.uri).create_table(
                self.name, schema=index_schema(dimension)
            )

    @contextmanager
    def writer(self, wait_seconds: float = 0.0) -> Iterator[None]:
        """Hold the table's write lock: concurrent merges could write a row twice.

        Raises:
            VectorStoreError: another process writes.
        """
        with writer_lock(self.uri, self.name, wait_seconds):
            yield

    def _head(self) -> Any:  # noqa: ANN401 - LanceDB's tables are untyped
        """The newest version, for writers."""
        if self._table is not None:
            try:
                self._table.checkout_latest()
            except (OSError, RuntimeError):
                # Opening it anew finds the way back to a version that can be read.
                self._table = None
        if self._table is None:
            self._table = self._open()
        return self._table

    def live(self, session: lancedb.Session | None = None) -> Any:  # noqa: ANN401
        """The published version, for readers.

        Args:
            session: keeps what is read of the indices from one version to the next.

        Raises:
            VectorStoreError: nothing was published yet.
        """
        table = self._open(session)
        version = _tagged(table, LIVE)
        if version is None:
            raise VectorStoreError(
                f"The index in {self.uri} was never published: run `headrace build`."
            )
        table.checkout(version)
        return table

    def at(self, version: int) -> Any:  # noqa: ANN401
        """A version, for those who judge it before readers see it.

        Raises:
            VectorStoreError: there is no such table.
        """
        table = self._open()
        table.checkout(version)
        return table

    def _open(self, session: lancedb.Session | None = None) -> Any:  # noqa: ANN401
        table = open_table(self.uri, self.name, session)
        if table is None:
            raise VectorStoreError(
                f"There is no index of the model {self.model_id} in {self.uri}: run "
                "`headrace build`."
            )
        return table

    @property
    def version(self) -> int:
        """The newest version's number."""
        return int(self._head().version)

    @property
    def live_version(self) -> int | None:
        """The published version's number."""
        # Whatever version is open, tags are read as they are now.
        table = self._table
        return _tagged(self._head() if table is None else table, LIVE)

    def _tags(self) -> dict[str, int]:
        tags = self._head().tags
        for _ in range(_LISTINGS):
            try:
                return {name: int(tag["version"]) for name, tag in tags.list().items()}
            except RuntimeError as error:
                # A writer took a tag away between its name and its content.
                if "Not found" not in str(error):
                    raise
        raise VectorStoreError(f"The tags of {self.name} in {self.uri} change too fast to be read.")

    def _marks(self) -> dict[int, int]:
        """The version that holds everything up to a batch, by batch."""
        return {
            int(name.removeprefix(_MARK)): version
            for name, version in self._tags().items()
            if name.startswith(_MARK)
        }

    def mark(self) -> int | None:
        """The batch up to which the index follows the warehouse, or None where it never did."""
        return max(self._marks(), default=None)

    def live_mark(self) -> int | None:
        """The batch up to which the version that readers see follows the warehouse."""
        live = self.live_version or 0
        marks = [batch_id for batch_id, version in self._marks().items() if version <= live]
        return max(marks, default=None)

    def set_mark(self, batch_id: int) -> None:
        """Say that the newest version holds everything up to `batch_id`."""
        self._tag(f"{_MARK}{batch_id}", self.version)

    def clear_marks(self) -> None:
        """Forget how far the index follows, so that the next sync compares everything."""
        for batch_id in self._marks():
            self._head().tags.delete(f"{_MARK}{batch_id}")

    def _tag(self, name: str, version: int) -> None:
        tags, known = self._head().tags, self._tags()
        if name not in known:
            tags.create(name, version)
        elif known[name] != version:
            tags.update(name, version)

    def publish(self) -> bool:
        """Let readers see the newest version; False where they do already."""
        version, live, mark = self.version, self.live_version, self.mark()
        if live == version:
            return False
        if live is not None:
            self._tag(PREVIOUS, live)
        self._tag(LIVE, version)
        self._forgive()
        for batch_id in self._marks():
            if batch_id != mark:
                self._head().tags.delete(f"{_MARK}{batch_id}")
        return True

    def refuse(self) -> None:
        """Say that the newest version may not be published, nor what follows it unasked."""
        self._tag(REFUSED, self.version)

    @property
    def is_refused(self) -> bool:
        """Whether a version since the last publication was refused."""
        return _tagged(self._head(), REFUSED) is not None

    def _forgive(self) -> None:
        if self.is_refused:
            self._head().tags.delete(REFUSED)

    def restore_live(self) -> None:
        """Make the published version the newest again; what came after it is forgotten.

        Raises:
            VectorStoreError: nothing was published yet.
        """
        table = self.live()
        self.clear_marks()
        self._forgive()
        table.restore()
        self._table = None
        self._tag(LIVE, self.version)

    def count(self) -> int:
        """Rows of the newest version."""
        return int(self._head().count_rows())

    def sample(self, rows: int) -> list[str]:
        """Some chunks of the newest version, as they were embedded."""
        found = self._head().search().select(["chunk_text"]).limit(rows).to_arrow()
        return [str(text) for text in found["chunk_text"].to_pylist()]

    def find(self, column: str, values: Sequence[str], columns: Sequence[str]) -> pa.Table:
        """Rows of the newest version whose `column` is one of `values`."""
        return _select(self._head(), columns, is_one_of(column, values))

    def where(self, condition: str, columns: Sequence[str], *, live: bool) -> pa.Table:
        """Rows of the live or the newest version for which a condition in LanceDB's SQL holds."""
        return _select(self.live() if live else self._head(), columns, condition)

    def rows(self, columns: Sequence[str] = tuple(KEY_SCHEMA.names), *, live: bool) -> pa.Table:
        """Some columns of every row of the live or the newest version: the keys, unless said."""
        return _select(self.live() if live else self._head(), columns, None)

    def stream(self, columns: Sequence[str], size: int, *, live: bool) -> Iterator[pa.Table]:
        """Some columns of every row of the live or the newest version, `size` rows at a time."""
        table = self.live() if live else self._head()
        query = table.search().select(list(columns)).limit(max(table.count_rows(), 1))
        for batch in query.to_batches(batch_size=size):
            yield pa.Table.from_batches([batch])

    def dump(self) -> list[dict[str, Any]]:
        """What readers see: id, document, text without header, hash, state; in reading order."""
        columns = [
            "chunk_id",
            "document_id",
            "chunk_text",
            "content_hash",
            "lifecycle_state",
            "header_length",
            "chunk_index",
        ]
        rows = _select(self.live(), columns, None).sort_by(
            [("document_id", "ascending"), ("chunk_index", "ascending")]
        )
        return [
            {
                "chunk_id": row["chunk_id"],
                "document_id": row["document_id"],
                "text": row["chunk_text"][row["header_length"] :],
                "content_hash": row["content_hash"],
                "lifecycle_state": row["lifecycle_state"],
            }
            for row in rows.to_pylist()
        ]

    def add(self, rows: pa.Table) -> None:
        """Write rows whose chunk_id the table does not have, in one commit."""
        self._head().add(rows)

    def describe(self, rows: pa.Table) -> None:
        """Rewrite the chunk's columns of rows that are there, in one commit; vectors stay.

        The rows are written whole. A merge of some columns would rewrite those of the whole
        fragment, and the search indices would lose all of its rows.
        """
        kept = self.find("chunk_id", rows["chunk_id"].to_pylist(), ["chunk_id", *VECTOR_COLUMNS])
        kept = kept.take(pc.index_in(rows["chunk_id"], value_set=kept["chunk_id"].combine_chunks()))
        for name in VECTOR_COLUMNS:
            rows = rows.append_column(kept.schema.field(name), kept[name])
        self._head().merge_insert("chunk_id").when_matched_update_all().execute(rows)

    def delete(self, chunk_ids: Sequence[str]) -> pa.Table:
        """Remove rows; chunk_id and document_id of those that were there."""
        found = self.find("chunk_id", chunk_ids, ["chunk_id", "document_id"])
        if found.num_rows:
            self._head().delete(is_one_of("chunk_id", found["chunk_id"].to_pylist()))
        return found

    def extend_indices(self) -> None:
        """Make the indices that are missing; extend them where many rows are outside.

        A vector index is made with the others at a first load, and by `maintain` after that.
        """
        table = self._head()
        if not table.count_rows():
            return
        made = indices.made(table)
        if not made and indices.small_fragments(table) > _SMALL_FRAGMENTS:
            # A first load leaves a fragment a commit. Compacting them once there are indices means
            # to rewrite those too: at a million rows 20 s, not 6, and some small batch would wait.
            table.optimize(cleanup_older_than=_NEVER)
        indices.make_missing(table, made)
        if not made:
            indices.make_vector_index(table, self._indexing)
        elif self.needs_maintenance():
            # Compacts and extends the indices; what is old stays, since readers may be on it.
            table.optimize(cleanup_older_than=_NEVER)

    def recall(self, samples: int = 50, k: int = 10, depth: int = 100) -> float | None:
        """The share of the `k` nearest rows that searches of the live version find.

        A search that a reader asks for looks at `depth` rows. None where there is no vector index,
        and every search compares all vectors.
        """
        return indices.recall(self.live(), samples, k, depth)

    def unindexed_rows(self) -> int:
        """Rows of the newest version that a full-text search has to scan."""
        return indices.unindexed_rows(self._head())

    def needs_maintenance(self) -> bool:
        """Whether rows outside the indices or small fragments are so many that tidying pays."""
        allowed = max(self.count() * _UNINDEXED_SHARE, _UNINDEXED_ROWS)
        small = indices.small_fragments(self._head())
        return small > _SMALL_FRAGMENTS or self.unindexed_rows() > allowed

    def maintain(self, keep: timedelta) -> Maintenance:
        """Compact, make and extend the indices, drop versions older than `keep`; rows stay.

        A version that is not published yet is compacted only: readers are on an older one. Readers
        of the last `keep` finish on the version that they opened.
        """
        table = self._head()
        rows, published = self.count(), self.live_version == self.version
        fragments, unindexed = indices.fragments(table), self.unindexed_rows()
        versions = len(table.list_versions())
        mark = self.mark()
        compacted = -1
        while compacted != self.version:
            # One pass leaves what it made itself to the next.
            compacted = self.version
            table.optimize(cleanup_older_than=_NEVER)
        indices.make_missing(table, indices.made(table))
        indices.make_vector_index(table, self._indexing)
        if self.count() != rows:
            raise VectorStoreError(
                f"Compacting {self.name} in {self.uri} changed its rows from {rows} to "
                f"{self.count()}; readers keep the version before. Run `headrace verify --repair`."
            )
        if mark is not None:
            self.set_mark(mark)
        if published:
            self._tag(LIVE, self.version)
            # LanceDB refuses to clean while a tag names an old version; the others name the newest.
            if PREVIOUS in self._tags():
                table.tags.delete(PREVIOUS)
            # Under the write lock no other transaction is under way whose files these could be.
            table.optimize(cleanup_older_than=keep, delete_unverified=is_local(self.uri))
        return Maintenance(
            fragments_before=fragments,
            fragments_after=indices.fragments(table),
            unindexed_before=unindexed,
            versions_before=versions,
            versions_after=len(table.list_versions()),
            bytes=int(table.stats()["total_bytes"]),
        )

    def drop(self) -> None:
        """Remove the table with all its versions."""
        if self.exists:
            lancedb.connect(self.uri).drop_table(self.name)
        self._table = None


def _tagged(table: Any, name: str) -> int | None:  # noqa: ANN401 - LanceDB's tables are untyped
    """The version that a tag names, whatever becomes of the other tags meanwhile."""
    try:
        return int(table.tags.get_version(name))
    except RuntimeError as error:
        if "does not exist" not in str(error):
            raise
        return None


def _select(table: Any, columns: Sequence[str], where: str | None) -> pa.Table:  # noqa: ANN401
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        query = table.search().select(list(columns))
        if where is not None:
            query = query.where(where)
        return query.limit(max(table.count_rows(), 1)).to_arrow()
