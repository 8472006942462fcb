"""A Postgres warehouse: chunks come out as Arrow, what Headrace itself keeps goes in."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import astuple, fields
from datetime import datetime
from importlib import resources
from urllib.parse import urlsplit

import adbc_driver_postgresql.dbapi as adbc
import psycopg
import pyarrow as pa
from psycopg import sql

from dagster_project.core.errors import WarehouseError
from dagster_project.core.warehouse.contract import CHUNK_SCHEMA, KEY_SCHEMA, LedgerRow, Refusal

# Rows a query reads: each page is a query of its own, so that no transaction stays open while a
# model embeds for hours.
PAGE_ROWS = 20_000
_CONNECT_SECONDS = 10
_ID_SCHEMA = pa.schema([CHUNK_SCHEMA.field("chunk_id")])


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
            with psycopg.connect(self._url, connect_timeout=_CONNECT_SECONDS) as connection:
                yield connection
        except psycopg.errors.UndefinedTable as error:
            raise _missing(error) from error
        except psycopg.OperationalError as error:
            raise _silent(error) from error

    @contextlib.contextmanager
    def lock(self, name: str, wait_seconds: float) -> Iterator[None]:
        """Hold a lock that one process at a time has, wherever it runs; it ends with the process.

        Raises:
            WarehouseError: another process held it all the time.
        """
        key = f"headrace {name} {self.schema}"
        until = time.monotonic() + wait_seconds
        with self.connect() as connection:
            # Not in a transaction: the block may take hours.
            connection.autocommit = True
            while not _scalar(connection, "select pg_try_advisory_lock(hashtext(%s))", key):
                if time.monotonic() >= until:
                    raise WarehouseError(
                        f"Another process has been running {name} on this warehouse for over "
                        f"{wait_seconds:.0f} s: wait until it is done, or end it. "
                        "HEADRACE_LOCK_WAIT sets how long to wait."
                    )
                time.sleep(0.1)
            yield

    def prepare(self) -> None:
        """Create the tables that Headrace itself writes, where they are missing."""
        statements = resources.files(__package__).joinpath("tables.sql").read_text()
        with self.connect() as connection:
            # Two processes that start at once would both find them missing.
            connection.execute("select pg_advisory_xact_lock(hashtext('headrace tables'))")
            connection.execute(statements)

    def table(self, name: str) -> sql.Identifier:
        """A model of dbt's, as an identifier."""
        return sql.Identifier(self.schema, name)

    def has_chunks(self) -> bool:
        """Whether dbt has built `rag__chunks`."""
        with self.connect() as connection:
            name = f'"{self.schema}"."rag__chunks"'
            return _scalar(connection, "select to_regclass(%s)", name) is not None

    def batch_range(self) -> tuple[int | None, int | None]:
        """The oldest and the newest batch in `rag__chunks`; None where it has no row."""
        with self.connect() as connection:
            row = connection.execute(
                sql.SQL("select min(batch_id), max(batch_id) from {}").format(
                    self.table("rag__chunks")
                )
            ).fetchone()
        return (None, None) if row is None else (row[0], row[1])

    def chunking_policy(self) -> str | None:
        """How the chunks were cut: the same for all of them; None where there is none."""
        if not self.has_chunks():
            return None
        with self.connect() as connection:
            row = connection.execute(
                sql.SQL("select chunking_policy from {} where not is_deleted limit 1").format(
                    self.table("rag__chunks")
                )
            ).fetchone()
        return None if row is None else str(row[0])

    def count_documents(self) -> int:
        """Documents that are not deleted."""
        return self._number("select count(*) from {documents} where not is_deleted") or 0

    def count_chunks(self) -> int:
        """Chunks that are no tombstones: what the index should hold."""
        return self._number("select count(*) from {chunks} where not is_deleted") or 0

    def count_changes(self, after: int, upto: int) -> tuple[int, int]:
        """Chunks, and tombstones, of the batches in (after, upto]."""
        with self.connect() as connection:
            row = connection.execute(
                sql.SQL(
                    "select count(*) filter (where not is_deleted), count(*) filter (where "
                    "is_deleted) from {} where batch_id > %s and batch_id <= %s"
                ).format(self.table("rag__chunks")),
                (after, upto),
            ).fetchone()
        return (0, 0) if row is None else (row[0], row[1])

    def _number(self, query: str) -> int | None:
        with self.connect() as connection:
            row = connection.execute(
                sql.SQL(query).format(
                    chunks=self.table("rag__chunks"), documents=self.table("rag__documents")
                )
            ).fetchone()
        return None if row is None else row[0]

    def changed_chunks(self, after: int, upto: int, size: int) -> Iterator[pa.Table]:
        """Chunks of the batches in (after, upto] that are no tombstones, `size` rows at a time.

        In the order of content_hash, so that equal texts come together; the columns are
        CHUNK_SCHEMA's. A row that a later batch takes up meanwhile is left to that batch.
        """
        last_hash, last_id = "", ""
        while True:
            page = self._read(
                "select {columns} from {chunks} where not is_deleted "
                "and batch_id > {after} and batch_id <= {upto} "
                "and (content_hash, chunk_id) > ({last_hash}, {last_id}) "
                "order by content_hash, chunk_id limit {limit}",
                CHUNK_SCHEMA,
                after=after,
                upto=upto,
                last_hash=last_hash,
                last_id=last_id,
                limit=PAGE_ROWS,
            )
            yield from slices(page, size)
            if page.num_rows < PAGE_ROWS:
                return
            last_hash, last_id = (page[name][-1].as_py() for name in ("content_hash", "chunk_id"))

    def tombstones(self, after: int, upto: int) -> pa.Table:
        """chunk_id of the chunks that went in the batches in (after, upto]."""
        return self._read(
            "select {columns} from {chunks} "
            "where is_deleted and batch_id > {after} and batch_id <= {upto}",
            _ID_SCHEMA,
            after=after,
            upto=upto,
        )

    def chunks_by_id(self, chunk_ids: Sequence[str]) -> pa.Table:
        """The chunks of some ids that are no tombstones."""
        return self._read(
            "select {columns} from {chunks} where not is_deleted and chunk_id = any({chunk_ids})",
            CHUNK_SCHEMA,
            chunk_ids=list(chunk_ids),
        )

    def chunks(self, columns: Sequence[str]) -> pa.Table:
        """Some columns of every chunk that is no tombstone."""
        return self._read(
            "select {columns} from {chunks} where not is_deleted",
            pa.schema([CHUNK_SCHEMA.field(name) for name in columns]),
        )

    def changed_keys(self, after: int, upto: int) -> pa.Table:
        """The keys of the chunks of the batches in (after, upto] that are no tombstones."""
        return self._read(
            "select {columns} from {chunks} "
            "where not is_deleted and batch_id > {after} and batch_id <= {upto}",
            KEY_SCHEMA,
            after=after,
            upto=upto,
        )

    def touched_after(self, batch_id: int) -> pa.Table:
        """chunk_id of every chunk and tombstone of the batches after one."""
        return self._read(
            "select {columns} from {chunks} where batch_id > {batch_id}",
            _ID_SCHEMA,
            batch_id=batch_id,
        )

    def batch_facts(self, after: int, upto: int) -> tuple[str | None, datetime | None]:
        """The dbt run that made the batch `upto`, and the newest change in (after, upto]."""
        with self.connect() as connection:
            row = connection.execute(
                sql.SQL(
                    "select (select dbt_invocation_id from {documents} where batch_id = %(upto)s "
                    "limit 1), (select max(source_updated_at) from {chunks} "
                    "where batch_id > %(after)s and batch_id <= %(upto)s)"
                ).format(documents=self.table("rag__documents"), chunks=self.table("rag__chunks")),
                {"after": after, "upto": upto},
            ).fetchone()
        return (None, None) if row is None else (row[0], row[1])

    def _read(self, query: str, schema: pa.Schema, **values: object) -> pa.Table:
        """The rows of a query as Arrow, with the columns of `schema`."""
        statement = sql.SQL(query).format(
            columns=sql.SQL(", ").join(map(sql.Identifier, schema.names)),
            chunks=self.table("rag__chunks"),
            **{name: sql.Literal(value) for name, value in values.items()},
        )
        mark = "&" if urlsplit(self._url).query else "?"
        try:
            with (
                adbc.connect(f"{self._url}{mark}connect_timeout={_CONNECT_SECONDS}") as connection,
                connection.cursor() as cursor,
            ):
                cursor.execute(statement.as_string(None))
                return cursor.fetch_arrow_table().cast(schema)
        except adbc.Error as error:
            raise _missing(error) if "42P01" in str(error) else _silent(error) from error

    def set_aside(self, found_in: str, refusals: Sequence[Refusal], model_id: str = "") -> None:
        """Write refusals to the quarantine; one that is there already keeps its place."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.executemany(
                "insert into headrace_ops.quarantine "
                "(found_in, document_id, chunk_id, reason, model_id) "
                "values (%s, %s, %s, %s, %s) on conflict (found_in, document_id, chunk_id, "
                "model_id) do update set reason = excluded.reason",
                [(found_in, r.document_id, r.chunk_id, r.reason, model_id) for r in refusals],
            )

    def release(self, chunk_ids: Sequence[str], model_id: str) -> None:
        """Take chunks out of the quarantine: `model_id` embeds them after all, or they went."""
        with self.connect() as connection:
            connection.execute(
                "delete from headrace_ops.quarantine where found_in = 'embedding' "
                "and model_id = %s and chunk_id = any(%s)",
                (model_id, list(chunk_ids)),
            )

    def quarantined_chunks(self, model_id: str) -> set[str]:
        """Chunks that `model_id` could not embed; they go out when their chunk is deleted."""
        with self.connect() as connection:
            rows = connection.execute(
                "select chunk_id from headrace_ops.quarantine "
                "where found_in = 'embedding' and model_id = %s",
                (model_id,),
            ).fetchall()
        return {row[0] for row in rows}

    def write_ledger(self, row: LedgerRow) -> None:
        """Keep what a sync did; what mends a batch later is added to its row."""
        names = [field.name for field in fields(LedgerRow)]
        add_up = [name for name in names if name.startswith("rows_") or name.endswith("_seconds")]
        again = [
            sql.SQL("{0} = ledger.{0} + excluded.{0}").format(sql.Identifier(name))
            for name in add_up
        ]
        with self.connect() as connection:
            connection.execute(
                sql.SQL(
                    "insert into headrace_ops.sync_ledger as ledger ({columns}) values ({values}) "
                    "on conflict (generation, batch_id) do update set {again}, "
                    "finished_at = excluded.finished_at, published_version = null"
                ).format(
                    columns=sql.SQL(", ").join(map(sql.Identifier, names)),
                    values=sql.SQL(", ").join([sql.Placeholder()] * len(names)),
                    again=sql.SQL(", ").join(again),
                ),
                astuple(row),
            )

    def ledger_published(
        self, generation: str, version: int, check_seconds: float, publish_seconds: float
    ) -> None:
        """Note on every row that readers did not see yet which version shows it to them."""
        with self.connect() as connection:
            connection.execute(
                "update headrace_ops.sync_ledger set published_version = %s, published_at = now(), "
                "check_seconds = %s, publish_seconds = %s "
                "where generation = %s and published_version is null",
                (version, check_seconds, publish_seconds, generation),
            )


def slices(table: pa.Table, size: int) -> Iterator[pa.Table]:
    """A table in slices of at most `size` rows."""
    for start in range(0, table.num_rows, size):
        yield table.slice(start, size)


def _scalar(connection: psycopg.Connection, query: str, parameter: object) -> object:
    row = connection.execute(query, (parameter,)).fetchone()
    return None if row is None else row[0]


def _missing(error: Exception) -> WarehouseError:
    return WarehouseError(
        f"A table is missing in the warehouse ({str(error).splitlines()[0]}): "
        "run `headrace build` first."
    )


def _silent(error: Exception) -> WarehouseError:
    return WarehouseError(
        f"Postgres does not answer ({str(error).strip().splitlines()[-1]}): check that it runs "
        "(`headrace up` starts the embedded one) and that HEADRACE_POSTGRES_URL is right."
    )
