"""The vector store: one LanceDB table a model, read through the tag `live`."""

from __future__ import annotations

import fcntl
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lancedb
import pyarrow as pa
from lancedb.index import FTS, BTree

from dagster_project.core.errors import VectorStoreError
from dagster_project.core.warehouse import CHUNK_SCHEMA, KEY_SCHEMA

LIVE = "live"
_MARK = "batch-"
# Rows outside an index are scanned at every search; past this share it is worth extending it.
_UNINDEXED_SHARE = 0.1


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


class VectorIndex:
    """The chunks of one model in LanceDB.

    Writers work on the newest version of the table; readers open the version tagged `live`. How far
    the newest complete version follows the warehouse is a tag too, `batch-<batch_id>`, set when
    all of a batch is written, so that a crash between two writes is seen and written again.
    """

    def __init__(self, uri: str, model_id: str) -> None:
        """Take the store's directory or URI; nothing is opened or made yet."""
        self.uri = uri
        self.model_id = model_id
        self.name = "chunks__" + re.sub(r"[^a-z0-9]+", "_", model_id.lower()).strip("_")
        self._table: Any = None

    @property
    def exists(self) -> bool:
        """Whether the table is there."""
        if "://" not in self.uri and not (Path(self.uri) / f"{self.name}.lance").is_dir():
            return False
        try:
            self._head()
        except VectorStoreError:
            return False
        return True

    def create(self, dimension: int) -> None:
        """Make the empty table, where it is missing."""
        if self.exists:
            return
        self._table = lancedb.connect(self.uri).create_table(
            self.name, schema=index_schema(dimension)
        )
        for column in ("chunk_id", "content_hash", "document_id"):
            self._table.create_index(column, config=BTree())

    @contextmanager
    def writer(self) -> Iterator[None]:
        """Hold the store's write lock: concurrent merges could write a row twice.

        Raises:
            VectorStoreError: another process writes.
        """
        if "://" in self.uri:
            yield
            return
        Path(self.uri).mkdir(parents=True, exist_ok=True)
        path = Path(self.uri) / f"{self.name}.lock"
        with path.open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise VectorStoreError(
                    f"Another process writes the index {self.uri} (it holds {path}): wait until "
                    "it is done."
                ) from error
            yield

    def _head(self) -> Any:  # noqa: ANN401 - LanceDB's tables are untyped
        """The newest version, for writers."""
        if self._table is None:
            self._table = self._open()
        self._table.checkout_latest()
        return self._table

    def live(self) -> Any:  # noqa: ANN401
        """The published version, for readers.

        Raises:
            VectorStoreError: nothing was published yet.
        """
        table = self._open()
        if LIVE not in table.tags.list():
            raise VectorStoreError(
                f"The index in {self.uri} was never published: run `headrace build`."
            )
        table.checkout(LIVE)
        return table

    def _open(self) -> Any:  # noqa: ANN401
        try:
            return lancedb.connect(self.uri).open_table(self.name)
        except (ValueError, FileNotFoundError, OSError) as error:
            raise VectorStoreError(
                f"There is no index of the model {self.model_id} in {self.uri}: run "
                "`headrace build`."
            ) from error

    @property
    def version(self) -> int:
        """The newest version's number."""
        return int(self._head().version)

    @property
    def live_version(self) -> int | None:
        """The published version's number."""
        tag = self._head().tags.list().get(LIVE)
        return None if tag is None else int(tag["version"])

    def mark(self) -> int | None:
        """The batch up to which the index follows the warehouse, or None where it never did."""
        marks = [
            int(tag.removeprefix(_MARK))
            for tag in self._head().tags.list()
            if tag.startswith(_MARK)
        ]
        return max(marks, default=None)

    def set_mark(self, batch_id: int) -> None:
        """Say that the newest version holds everything up to `batch_id`."""
        table = self._head()
        tag = f"{_MARK}{batch_id}"
        known = table.tags.list()
        if tag in known:
            if int(known[tag]["version"]) != table.version:
                table.tags.update(tag, table.version)
        else:
            table.tags.create(tag, table.version)
        for other in known:
            if other.startswith(_MARK) and other != tag:
                table.tags.delete(other)

    def clear_mark(self) -> None:
        """Forget how far the index follows, so that the next sync compares everything."""
        table = self._head()
        for tag in table.tags.list():
            if tag.startswith(_MARK):
                table.tags.delete(tag)

    def publish(self) -> bool:
        """Let readers see the newest version; False where they do already."""
        table = self._head()
        known = table.tags.list()
        if LIVE not in known:
            table.tags.create(LIVE, table.version)
        elif int(known[LIVE]["version"]) != table.version:
            table.tags.update(LIVE, table.version)
        else:
            return False
        return True

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

    def keys(self, *, live: bool) -> pa.Table:
        """chunk_id, content_hash and row_hash of every row, of the live or the newest version."""
        return _select(self.live() if live else self._head(), KEY_SCHEMA.names, None)

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

    def merge(self, rows: pa.Table) -> None:
        """Write rows by chunk_id in one commit; columns that `rows` lacks keep their value."""
        merge = self._head().merge_insert("chunk_id").when_matched_update_all()
        if "vector" in rows.column_names:
            merge = merge.when_not_matched_insert_all()
        merge.execute(rows)

    def delete(self, chunk_ids: Sequence[str]) -> int:
        """Remove rows; the number that were there."""
        present = self.find("chunk_id", chunk_ids, ["chunk_id"])["chunk_id"].to_pylist()
        if present:
            self._head().delete(is_one_of("chunk_id", present))
        return len(present)

    def extend_indices(self) -> None:
        """Bring in the rows outside the search index, where they are many; make it if missing."""
        table = self._head()
        rows = table.count_rows()
        if not rows:
            return
        names = {index.name: index for index in table.list_indices()}
        if "chunk_text_idx" not in names:
            table.create_index("chunk_text", config=FTS(with_position=False))
            return
        if names["chunk_text_idx"].num_unindexed_rows > rows * _UNINDEXED_SHARE:
            table.optimize()


def is_one_of(column: str, values: Sequence[str]) -> str:
    """A filter on a text column; the values are quoted."""
    return f"{column} IN ({', '.join(quoted(value) for value in values)})" if values else "false"


def quoted(value: str) -> str:
    """A text as a literal of LanceDB's filters."""
    return "'" + value.replace("'", "''") + "'"


def _select(table: Any, columns: Sequence[str], where: str | None) -> pa.Table:  # noqa: ANN401
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        query = table.search().select(list(columns))
        if where is not None:
            query = query.where(where)
        return query.limit(max(table.count_rows(), 1)).to_arrow()
