"""The peer: pgvector's HNSW and Postgres's full-text search on the same rows, fused in SQL.

The server is the embedded one with more memory than the pipeline gives it. Rows are kept whole on
their pages, so that neither a vector nor the words of a row have to be fetched from elsewhere.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import psycopg
import pyarrow as pa
from numpy.typing import NDArray
from retrieval_data import vectors_of
from retrieval_load import Ask

from dagster_project.core.postgres import EmbeddedPostgres, launch
from dagster_project.core.retrieval import Filters, Principals

_SERVER = {
    "shared_buffers": "3GB",
    "effective_cache_size": "8GB",
    "maintenance_work_mem": "4GB",
    "work_mem": "64MB",
    "max_wal_size": "8GB",
    "random_page_cost": "1.1",
    "max_parallel_maintenance_workers": "1",
    # A parallel build shares its graph; a container's /dev/shm is too small for that.
    "dynamic_shared_memory_type": "mmap",
}
_TABLE = """
create extension if not exists vector;
create table chunks (
    chunk_id text not null,
    document_id text not null,
    doc_type text not null,
    title text not null,
    chunk_text text not null,
    payload text not null,
    access text[] not null,
    embedding vector(384) not null,
    words tsvector generated always as (to_tsvector('english', chunk_text)) stored
) with (toast_tuple_target = 8160);
alter table chunks alter column embedding set storage plain;
"""
_COLUMNS = ("chunk_id", "document_id", "doc_type", "title", "chunk_text", "payload")
# Built in this order; m and ef_construction are pgvector's defaults.
_INDEXES = {
    "hnsw": "create index on chunks using hnsw (embedding vector_cosine_ops)",
    "gin": "create index on chunks using gin (words)",
    "keys": "create unique index on chunks (chunk_id); create index on chunks (doc_type)",
    "vacuum": "vacuum (analyze) chunks",
}
_MEANING = """
    select chunk_id, row_number() over (order by distance) as place from (
        select chunk_id, embedding <=> %(vector)s::vector as distance from chunks
        where access && %(readers)s{conditions}
        order by embedding <=> %(vector)s::vector limit {depth}
    ) as near
"""
_WORDS = """
    select chunk_id, row_number() over (order by score desc) as place from (
        select chunk_id, {score} as score from chunks cross join (select {query} as query) as asked
        where words @@ query and access && %(readers)s{conditions}
        order by score desc limit {depth}
    ) as said
"""
_HYBRID = """
with meaning as ({meaning}), words as ({words}), fused as (
    select chunk_id, sum(1.0 / (60 + place)) as score
    from (select * from meaning union all select * from words) as ranks
    group by chunk_id order by score desc limit %(k)s
)
select chunks.chunk_id, document_id, doc_type, title, chunk_text, payload, score
from fused inner join chunks using (chunk_id) order by score desc
"""
_ANY = "replace(plainto_tsquery('english', %(question)s)::text, ' & ', ' | ')::tsquery"
_ALL = "plainto_tsquery('english', %(question)s)"
# What a table of so many rows is asked with, until one finds enough: the beam of the search.
BEAMS = (40, 80, 120, 200, 400, 800)


@dataclass(frozen=True)
class Way:
    """How the peer is asked.

    Attributes:
        name: in tables.
        depth: ranks that each search gives to the fusion.
        any_word: whether a row needs one of the question's words only, as in ours; else all of
            them, as in pgvector's own example of a hybrid search.
    """

    name: str
    depth: int
    any_word: bool


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """The embedded Postgres with the peer's settings; its URL."""
    with mock.patch.dict(launch.SETTINGS, _SERVER):
        postgres = EmbeddedPostgres(folder)
        try:
            yield postgres.start()
        finally:
            postgres.stop()


class Peer:
    """A table of pgvector's with the rows of an index."""

    def __init__(self, url: str) -> None:
        """Make the table in an empty database."""
        self._url = url
        self._beams: dict[bool, int] = {}
        with psycopg.connect(url) as connection:
            connection.execute(_TABLE.encode())

    def add(self, rows: pa.Table) -> None:
        """Copy rows in."""
        texts = [rows[name].to_pylist() for name in _COLUMNS]
        access = rows["access"].to_pylist()
        vectors = vectors_of(rows).astype(">f4")
        head = struct.pack("!hh", vectors.shape[1], 0)
        columns = ", ".join((*_COLUMNS, "access", "embedding"))
        with psycopg.connect(self._url) as connection, connection.cursor() as cursor:
            into = f"copy chunks ({columns}) from stdin (format binary)".encode()
            with cursor.copy(into) as copy:
                copy.write(b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0))
                for number, values in enumerate(zip(*texts, strict=True)):
                    fields = [value.encode() for value in values]
                    fields += [_array(access[number]), head + vectors[number].tobytes()]
                    copy.write(
                        struct.pack("!h", len(fields))
                        + b"".join(struct.pack("!i", len(field)) + field for field in fields)
                    )
                copy.write(struct.pack("!h", -1))

    def index(self) -> dict[str, float]:
        """Make the indexes; the seconds of each."""
        seconds = {}
        with psycopg.connect(self._url, autocommit=True) as connection:
            for name, statements in _INDEXES.items():
                started = time.perf_counter()
                for statement in statements.split(";"):
                    connection.execute(statement.encode())
                seconds[name] = round(time.perf_counter() - started, 1)
        return seconds

    def set_beam(self, beam: int, filters: Filters) -> None:
        """How many neighbours a search keeps in sight, with a filter or without."""
        self._beams[bool(filters.doc_types)] = beam

    def connect(self, filters: Filters) -> psycopg.Connection[Any]:
        """A connection that searches as wide as was found to be needed."""
        connection = psycopg.connect(self._url, autocommit=True)
        for name, value in {
            "hnsw.ef_search": self._beams[bool(filters.doc_types)],
            # Goes on until a filter has left as many rows as are asked for.
            "hnsw.iterative_scan": "relaxed_order",
            "hnsw.max_scan_tuples": 200_000,
            "jit": "off",
            # A plan for the values at hand: a filter's share of the rows decides which index is
            # read.
            "plan_cache_mode": "force_custom_plan",
        }.items():
            connection.execute("select set_config(%s, %s, false)", (name, str(value)))
        return connection

    def near(
        self,
        vector: str,
        readers: Principals,
        filters: Filters,
        depth: int,
        connection: psycopg.Connection[Any],
    ) -> list[str]:
        """The ids that the search for meaning gives to the fusion, nearest first."""
        statement = _MEANING.format(conditions=_conditions(filters), depth=depth)
        rows = connection.execute(
            f"select chunk_id from ({statement}) as found order by place".encode(),
            _values("", vector, readers, filters, 0),
        )
        return [chunk_id for (chunk_id,) in rows]

    def asks(
        self,
        way: Way,
        questions: Sequence[str],
        vectors: Sequence[str],
        readers: Principals,
        filters: Filters,
        k: int = 10,
    ) -> Ask:
        """What one thread asks with, on a connection of its own: the rows of the best."""
        connection = self.connect(filters)
        statement = hybrid(way, filters).encode()

        def ask(turn: int) -> list[tuple[Any, ...]]:
            at = turn % len(questions)
            values = _values(questions[at], vectors[at], readers, filters, k)
            return connection.execute(statement, values, prepare=True).fetchall()

        return ask


def hybrid(way: Way, filters: Filters) -> str:
    """The statement of a way to ask."""
    conditions = _conditions(filters)
    words = _WORDS.format(
        score="ts_rank_cd(words, query)",
        query=_ANY if way.any_word else _ALL,
        conditions=conditions,
        depth=way.depth,
    )
    return _HYBRID.format(
        meaning=_MEANING.format(conditions=conditions, depth=way.depth), words=words
    )


def as_text(vectors: NDArray[np.float32]) -> list[str]:
    """Vectors as pgvector reads them."""
    return ["[" + ",".join(map(repr, vector)) + "]" for vector in vectors.tolist()]


def _conditions(filters: Filters) -> str:
    return " and doc_type = any(%(kinds)s)" if filters.doc_types else ""


def _values(
    question: str, vector: str, readers: Principals, filters: Filters, k: int
) -> dict[str, Any]:
    return {
        "question": question,
        "vector": vector,
        "readers": sorted(readers.names),
        "kinds": list(filters.doc_types),
        "k": k,
    }


def _array(texts: Sequence[str]) -> bytes:
    """A text[] of one dimension, as COPY reads it."""
    parts = [struct.pack("!iiIii", 1, 0, 25, len(texts), 1)]
    for text in texts:
        encoded = text.encode()
        parts.append(struct.pack("!i", len(encoded)) + encoded)
    return b"".join(parts)
