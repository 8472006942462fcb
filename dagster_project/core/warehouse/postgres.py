"""A Postgres warehouse: chunks come out as Arrow."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import adbc_driver_postgresql.dbapi as adbc
import psycopg
import pyarrow as pa
from psycopg import sql
from psycopg.rows import dict_row

from dagster_project.core.warehouse.connections import CONNECT_SECONDS, explained, scalar
from dagster_project.core.warehouse.contract import (
    CHUNK_SCHEMA,
    ID_SCHEMA,
    KEY_SCHEMA,
    GoldQuestion,
    parts,
    slices,
)
from dagster_project.core.warehouse.operations import PostgresOperations

# Rows a query reads: each page is a query of its own, so that no transaction stays open while a
# model embeds for hours.
PAGE_ROWS = 20_000


class PostgresWarehouse(PostgresOperations):
    """A Postgres that dbt builds `rag__chunks` in."""

    def __init__(self, url: str, schema: str) -> None:
        """Take the connection URL and the schema of dbt's models; connects to nothing yet."""
        super().__init__(url, schema)
        self._arrow: adbc.Connection | None = None
        self._arrow_lock = threading.Lock()

    def has_chunks(self) -> bool:
        """Whether dbt has built `rag__chunks`."""
        return self._has("rag__chunks")

    def _has(self, model: str) -> bool:
        with self.connect() as connection:
            name = f'"{self.schema}"."{model}"'
            return scalar(connection, "select to_regclass(%s)", name) is not None

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

    def count_served_documents(self) -> int:
        """Documents that readers find."""
        return self._number("select count(*) from {documents} where serving <> 'none'") or 0

    def count_chunks(self) -> int:
        """Chunks that are no tombstones: what the index should hold."""
        return self._number("select count(*) from {chunks} where not is_deleted") or 0

    def document_issues(self, issue: str) -> list[dict[str, Any]]:
        """The rows of rag__document_issues of one kind, as dicts."""
        return self._rows(
            "select document_id, title, owner, reason from {issues} where issue = %s "
            "order by document_id",
            issue,
        )

    def conflicts(self) -> list[dict[str, Any]]:
        """The rows of rag__conflicts, as dicts; what disagrees first."""
        return self._rows(
            "select kind, document_id, other_document_id, passage, other_passage from {conflicts} "
            "order by kind, similarity desc, document_id, other_document_id, passage"
        )

    def document_states(self) -> list[dict[str, Any]]:
        """document_id, lifecycle_state, version_family, superseded_by and serving of all."""
        return self._rows(
            "select document_id, lifecycle_state, version_family, superseded_by, serving "
            "from {documents}"
        )

    def glossary(self) -> list[dict[str, Any]]:
        """The rows of rag__glossary, as dicts."""
        return self._rows("select * from {glossary}")

    def gold_questions(self) -> list[GoldQuestion]:
        """The questions of all gold sets, in the order of their ids; none where dbt built none."""
        if not self._has("rag__gold_questions"):
            return []
        rows = self._rows(
            "select gold_set, question_id, question, doc_type, answers, helps, facts, must_not "
            "from {questions} order by gold_set, question_id"
        )
        lists = ("answers", "helps", "facts", "must_not")
        return [GoldQuestion(**(row | {name: parts(row[name]) for name in lists})) for row in rows]

    def successors(self, document_ids: Sequence[str]) -> dict[str, str]:
        """Those of some documents that were superseded, and what is in force instead of each."""
        rows = self._rows(
            "select document_id, superseded_by from {documents} "
            "where document_id = any(%s) and superseded_by is not null",
            list(document_ids),
        )
        return {row["document_id"]: row["superseded_by"] for row in rows}

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

    def document_batch(self) -> tuple[int | None, int]:
        """The newest batch of `rag__documents`, and how many documents it wrote."""
        with self.connect() as connection:
            row = connection.execute(
                sql.SQL(
                    "select batch_id, count(*) from {documents} "
                    "where batch_id = (select max(batch_id) from {documents}) group by batch_id"
                ).format(documents=self.table("rag__documents"))
            ).fetchone()
        return (None, 0) if row is None else (row[0], row[1])

    def backlog(self) -> tuple[int, datetime | None]:
        """Documents that changed and wait to be cut, and the oldest change among them, UTC."""
        with self.connect() as connection:
            row = connection.execute(
                sql.SQL(
                    "select count(*), min(incoming.source_updated_at) from {incoming} as incoming "
                    "left join {documents} as stored using (document_id) "
                    "where incoming.refused_because is null and (stored.document_id is null "
                    "or incoming.source_updated_at > stored.source_updated_at)"
                ).format(
                    incoming=self.table("rag__incoming"), documents=self.table("rag__documents")
                )
            ).fetchone()
        return (0, None) if row is None else (row[0], row[1])

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
            ID_SCHEMA,
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

    def _rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        with self.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(
                sql.SQL(query).format(
                    documents=self.table("rag__documents"),
                    glossary=self.table("rag__glossary"),
                    issues=self.table("rag__document_issues"),
                    conflicts=self.table("rag__conflicts"),
                    questions=self.table("rag__gold_questions"),
                ),
                values,
            ).fetchall()

    def touched_after(self, batch_id: int) -> pa.Table:
        """chunk_id of every chunk and tombstone of the batches after one."""
        return self._read(
            "select {columns} from {chunks} where batch_id > {batch_id}",
            ID_SCHEMA,
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
        query_text = statement.as_string(None)
        with self._arrow_lock:
            # A connection costs more than a query of a micro-batch, so it is kept; one that a
            # restarted server has closed meanwhile is made anew.
            if self._arrow is not None:
                try:
                    return _arrow_table(self._arrow, query_text).cast(schema)
                except adbc.Error:
                    self._arrow = None
            try:
                mark = "&" if urlsplit(self._url).query else "?"
                url = f"{self._url}{mark}connect_timeout={CONNECT_SECONDS}"
                connection = adbc.connect(url, autocommit=True)
                found = _arrow_table(connection, query_text).cast(schema)
            except adbc.Error as error:
                raise explained(error, _kind(error)) from error
            self._arrow = connection
            return found


def _kind(error: adbc.Error) -> type[psycopg.Error]:
    """What psycopg calls an error of the other driver; without a state no server said it."""
    if not error.sqlstate:
        return psycopg.OperationalError
    try:
        return psycopg.errors.lookup(error.sqlstate)
    except KeyError:
        return psycopg.Error


def _arrow_table(connection: adbc.Connection, query: str) -> pa.Table:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetch_arrow_table()
