"""What Headrace reads from and writes to a Postgres warehouse."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg
import pyarrow as pa
from psycopg import sql

from dagster_project.core.errors import WarehouseError

# The columns of rag__chunks that the index keeps, with their types there.
CHUNK_SCHEMA = pa.schema(
    [
        pa.field("chunk_id", pa.string(), nullable=False),
        pa.field("document_id", pa.string(), nullable=False),
        pa.field("source_name", pa.string(), nullable=False),
        pa.field("doc_type", pa.string(), nullable=False),
        pa.field("title", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("chunk_index", pa.int32(), nullable=False),
        pa.field("section_path", pa.string(), nullable=False),
        pa.field("chunk_text", pa.string(), nullable=False),
        pa.field("header_length", pa.int32(), nullable=False),
        pa.field("content_hash", pa.string(), nullable=False),
        pa.field("approx_tokens", pa.int32(), nullable=False),
        pa.field("payload", pa.string(), nullable=False),
        pa.field("access", pa.list_(pa.string()), nullable=False),
        pa.field("valid_from", pa.date32()),
        pa.field("valid_to", pa.date32()),
        pa.field("lifecycle_state", pa.string(), nullable=False),
        pa.field("source_updated_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("row_hash", pa.string(), nullable=False),
        pa.field("batch_id", pa.int64(), nullable=False),
        pa.field("dbt_invocation_id", pa.string(), nullable=False),
    ]
)
KEY_SCHEMA = pa.schema(
    [CHUNK_SCHEMA.field(name) for name in ("chunk_id", "content_hash", "row_hash")]
)

_OPS_TABLES = """
create schema if not exists headrace_ops;
create table if not exists headrace_ops.raw_documents (
    document_id text primary key,
    source_name text not null,
    doc_type text not null,
    title text not null,
    body text not null,
    url text,
    owner text,
    language text,
    valid_from date,
    valid_to date,
    version_family text,
    version_date date,
    review_by date,
    access text[] not null,
    payload text not null,
    source_updated_at timestamptz not null,
    is_deleted boolean not null default false
);
create table if not exists headrace_ops.quarantine (
    found_in text not null,
    document_id text not null,
    chunk_id text not null default '',
    reason text not null,
    model_id text not null default '',
    quarantined_at timestamptz not null default now(),
    primary key (found_in, document_id, chunk_id)
);
"""


@dataclass(frozen=True)
class Refusal:
    """Something set aside, and why.

    Attributes:
        document_id: the document, or the file's path.
        reason: what is wrong and what to do.
        chunk_id: the chunk, where only a chunk is refused.
    """

    document_id: str
    reason: str
    chunk_id: str = ""


class PostgresWarehouse:
    """A Postgres that dbt builds `rag__chunks` in.

    Each call opens a connection of its own and closes it, so that a server that was restarted in
    between is no error.
    """

    def __init__(self, url: str, schema: str) -> None:
        """Take the connection URL and the schema of dbt's models; connects to nothing yet."""
        self._url = url
        self.schema = schema

    @contextlib.contextmanager
    def connect(self) -> Iterator[psycopg.Connection]:
        """A connection that commits when the block ends well.

        Raises:
            WarehouseError: the server does not answer, or a table of dbt's is missing.
        """
        try:
            with psycopg.connect(self._url, connect_timeout=10) as connection:
                yield connection
        except psycopg.errors.UndefinedTable as error:
            raise WarehouseError(
                f"A table is missing in the warehouse ({str(error).splitlines()[0]}): "
                "run `headrace build` first."
            ) from error
        except psycopg.OperationalError as error:
            raise WarehouseError(
                f"Postgres does not answer ({str(error).strip().splitlines()[-1]}): check "
                "that it runs "
                "(`headrace up` starts the embedded one) and that HEADRACE_POSTGRES_URL is right."
            ) from error

    def prepare(self) -> None:
        """Create the tables that Headrace itself writes, where they are missing."""
        with self.connect() as connection:
            connection.execute(_OPS_TABLES)

    def table(self, name: str) -> sql.Identifier:
        """A model of dbt's, as an identifier."""
        return sql.Identifier(self.schema, name)

    def has_chunks(self) -> bool:
        """Whether dbt has built `rag__chunks`."""
        with self.connect() as connection:
            row = connection.execute(
                "select to_regclass(%s)", (f'"{self.schema}"."rag__chunks"',)
            ).fetchone()
        return row is not None and row[0] is not None

    def last_batch_id(self) -> int | None:
        """The newest batch in `rag__chunks`, or None where it has no row."""
        return self._scalar("select max(batch_id) from {chunks}")

    def count_documents(self) -> int:
        """Documents that are not deleted."""
        return self._scalar("select count(*) from {documents} where not is_deleted") or 0

    def count_chunks(self) -> int:
        """Chunks that are no tombstones: what the index should hold."""
        return self._scalar("select count(*) from {chunks} where not is_deleted") or 0

    def count_changes(self, after: int, upto: int) -> int:
        """Chunks of the batches in (after, upto] that are no tombstones."""
        return (
            self._scalar(
                "select count(*) from {chunks} "
                "where batch_id > %s and batch_id <= %s and not is_deleted",
                (after, upto),
            )
            or 0
        )

    def _scalar(self, query: str, parameters: tuple[object, ...] = ()) -> int | None:
        with self.connect() as connection:
            row = connection.execute(
                sql.SQL(query).format(
                    chunks=self.table("rag__chunks"), documents=self.table("rag__documents")
                ),
                parameters,
            ).fetchone()
        return None if row is None else row[0]

    def changed_chunks(self, after: int, upto: int, size: int) -> Iterator[pa.Table]:
        """Chunks of the batches in (after, upto] that are no tombstones, `size` rows at a time.

        Reads one snapshot, by document and place; the columns are CHUNK_SCHEMA's.
        """
        yield from self._stream(
            "select {columns} from {chunks} "
            "where batch_id > %s and batch_id <= %s and not is_deleted "
            "order by document_id, chunk_index",
            (after, upto),
            CHUNK_SCHEMA,
            size,
        )

    def tombstones(self, after: int, upto: int, size: int) -> Iterator[list[str]]:
        """Ids of chunks that went in the batches in (after, upto], `size` at a time."""
        schema = pa.schema([CHUNK_SCHEMA.field("chunk_id")])
        for table in self._stream(
            "select {columns} from {chunks} where batch_id > %s and batch_id <= %s and is_deleted",
            (after, upto),
            schema,
            size,
        ):
            yield table["chunk_id"].to_pylist()

    def chunks_by_id(self, chunk_ids: Sequence[str], size: int) -> Iterator[pa.Table]:
        """The chunks of some ids that are no tombstones, `size` rows at a time."""
        yield from self._stream(
            "select {columns} from {chunks} where chunk_id = any(%s) and not is_deleted",
            (list(chunk_ids),),
            CHUNK_SCHEMA,
            size,
        )

    def chunk_keys(self) -> pa.Table:
        """chunk_id, content_hash and row_hash of every chunk that is no tombstone."""
        tables = list(
            self._stream(
                "select {columns} from {chunks} where not is_deleted", (), KEY_SCHEMA, 50_000
            )
        )
        return pa.concat_tables(tables) if tables else KEY_SCHEMA.empty_table()

    def _stream(
        self, query: str, parameters: tuple[object, ...], schema: pa.Schema, size: int
    ) -> Iterator[pa.Table]:
        columns = sql.SQL(", ").join(map(sql.Identifier, schema.names))
        statement = sql.SQL(query).format(columns=columns, chunks=self.table("rag__chunks"))
        with self.connect() as connection, connection.cursor(name="headrace_stream") as cursor:
            cursor.itersize = size
            cursor.execute(statement, parameters)
            while rows := cursor.fetchmany(size):
                yield pa.table(
                    [
                        pa.array(column, field.type)
                        for column, field in zip(zip(*rows, strict=True), schema, strict=True)
                    ],
                    schema=schema,
                )

    def set_aside(self, found_in: str, refusals: Sequence[Refusal], model_id: str = "") -> None:
        """Write refusals to the quarantine; one that is there already keeps its place."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.executemany(
                "insert into headrace_ops.quarantine "
                "(found_in, document_id, chunk_id, reason, model_id) "
                "values (%s, %s, %s, %s, %s) on conflict (found_in, document_id, chunk_id) "
                "do update set reason = excluded.reason, model_id = excluded.model_id",
                [(found_in, r.document_id, r.chunk_id, r.reason, model_id) for r in refusals],
            )

    def release(self, chunk_ids: Sequence[str], model_id: str) -> None:
        """Take chunks out of the quarantine that `model_id` embeds after all."""
        with self.connect() as connection:
            connection.execute(
                "delete from headrace_ops.quarantine where found_in = 'embedding' "
                "and model_id = %s and chunk_id = any(%s)",
                (model_id, list(chunk_ids)),
            )

    def quarantined_chunks(self, model_id: str) -> set[str]:
        """Active chunks that `model_id` could not embed."""
        with self.connect() as connection:
            rows = connection.execute(
                sql.SQL(
                    "select quarantine.chunk_id from headrace_ops.quarantine as quarantine "
                    "inner join {} as chunks on chunks.chunk_id = quarantine.chunk_id "
                    "where quarantine.found_in = 'embedding' and quarantine.model_id = %s "
                    "and not chunks.is_deleted"
                ).format(self.table("rag__chunks")),
                (model_id,),
            ).fetchall()
        return {row[0] for row in rows}
