"""Connections to a Postgres warehouse, and locks in it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from importlib import resources
from typing import Any

import psycopg
from psycopg import sql

from dagster_project.core.errors import WarehouseError
from dagster_project.core.warehouse.contract import SqlAlchemyEngine

CONNECT_SECONDS = 10


class PostgresConnections:
    """A Postgres, and the schema that dbt writes in it.

    To open a connection takes longer than a small batch's queries, so those that are idle are kept;
    one that a restarted server has closed meanwhile is replaced.
    """

    def __init__(self, url: str, schema: str) -> None:
        """Take the connection URL and the schema of dbt's models; connects to nothing yet."""
        self._url = url
        self.schema = schema
        # Threads take from it and give back to it; each connection is one thread's at a time.
        self._idle: list[psycopg.Connection] = []

    @contextlib.contextmanager
    def connect(self) -> Iterator[psycopg.Connection]:
        """A connection that commits when the block ends well.

        Raises:
            WarehouseError: the server does not answer, or a table of dbt's is missing.
        """
        with _explained():
            connection = self._take()
            # Only a block that ended well leaves a connection that another can use.
            with contextlib.ExitStack() as stack:
                stack.callback(connection.close)
                with connection.transaction():
                    yield connection
                stack.pop_all()
            self._idle.append(connection)

    def _take(self) -> psycopg.Connection:
        """An idle connection that still answers, or a new one."""
        while self._idle:
            connection = self._idle.pop()
            try:
                connection.execute("select")
            except psycopg.OperationalError:
                connection.close()
            else:
                return connection
        return self._open()

    def _open(self) -> psycopg.Connection:
        # Transactions begin where they are asked for. A host that is gone is noticed by a kept
        # connection as soon as by a new one.
        return psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            tcp_user_timeout=CONNECT_SECONDS * 1_000,
        )

    @contextlib.contextmanager
    def lock(self, name: str, wait_seconds: float) -> Iterator[None]:
        """Hold a lock that one process at a time has, wherever it runs; it ends with the process.

        Raises:
            WarehouseError: another process held it all the time.
        """
        key = self._lock_key(name)
        until = time.monotonic() + wait_seconds
        # Not in a transaction: the block may take hours.
        with _explained(), self._open() as connection:
            while not scalar(connection, "select pg_try_advisory_lock(hashtext(%s))", key):
                if time.monotonic() >= until:
                    raise WarehouseError(
                        f"Another process has been running {name} on this warehouse for over "
                        f"{wait_seconds:.0f} s: wait until it is done, or end it. "
                        "HEADRACE_LOCK_WAIT sets how long to wait."
                    )
                time.sleep(0.1)
            yield

    @contextlib.contextmanager
    def presence(self, name: str) -> Iterator[None]:
        """Show that a process lives, to whoever asks `is_locked`; several may at once."""
        with _explained(), self._open() as connection:
            scalar(connection, "select pg_advisory_lock_shared(hashtext(%s))", self._lock_key(name))
            yield

    def _lock_key(self, name: str) -> str:
        return f"headrace {name} {self.schema}"

    def is_locked(self, name: str) -> bool:
        """Whether a process holds a lock."""
        with self.connect() as connection:
            held = scalar(
                connection,
                "select count(*) from pg_locks where locktype = 'advisory' and granted "
                "and database = (select oid from pg_database where datname = current_database()) "
                "and objsubid = 1 and objid::bigint = hashtext(%s)::bigint & 4294967295",
                self._lock_key(name),
            )
        return bool(held)

    def engine(self) -> SqlAlchemyEngine:
        """How SQLAlchemy opens the warehouse."""
        # The driver that the project itself uses, not the one that SQLAlchemy would choose.
        # Great Expectations takes what follows a dollar for the name of a variable.
        place = self._url.partition("://")[2].replace("$", "%24")
        return SqlAlchemyEngine(f"postgresql+psycopg://{place}")

    def ask(self, query: str, seconds: int) -> tuple[tuple[str, ...], tuple[tuple[Any, ...], ...]]:
        """The columns and rows of a query, which writes nothing and takes no longer than it may.

        Raises:
            WarehouseError: the server cannot answer it.
        """
        with self.connect() as connection:
            connection.execute("set transaction read only")
            connection.execute(f"set local statement_timeout = '{seconds}s'")
            try:
                cursor = connection.execute(query.encode())
            except psycopg.Error as error:
                raise WarehouseError(
                    f"The warehouse cannot answer ({_first_line(error)}): "
                    "run `headrace build`, or ask for less."
                ) from error
            columns = tuple(column.name for column in cursor.description or ())
            return columns, tuple(tuple(row) for row in cursor.fetchall())

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

    def _number(self, query: str) -> int | None:
        with self.connect() as connection:
            row = connection.execute(
                sql.SQL(query).format(
                    chunks=self.table("rag__chunks"), documents=self.table("rag__documents")
                )
            ).fetchone()
        return None if row is None else row[0]


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Errors of Postgres as errors that say what to do."""
    try:
        yield
    except psycopg.Error as error:
        raise explained(error, type(error)) from error


def scalar(connection: psycopg.Connection, query: str, parameter: object) -> object:
    """The first value of the first row, or None."""
    row = connection.execute(query, (parameter,)).fetchone()
    return None if row is None else row[0]


def explained(error: Exception, kind: type[psycopg.Error]) -> WarehouseError:
    """An error of Postgres as one that says what to do.

    Args:
        error: of whatever driver.
        kind: what psycopg calls such an error.
    """
    said = _first_line(error)
    if issubclass(kind, psycopg.errors.UndefinedTable):
        return WarehouseError(
            f"A table is missing in the warehouse ({said}): run `headrace build` first."
        )
    if issubclass(kind, psycopg.OperationalError):
        return WarehouseError(
            f"Postgres does not answer ({said}): check that it runs (`headrace up` starts the "
            "embedded one) and that HEADRACE_POSTGRES_URL is right."
        )
    return WarehouseError(
        f"Postgres refuses ({said}): the user of HEADRACE_POSTGRES_URL needs CREATE on the "
        "database and SELECT on the sources, and the tables are to be those of this version "
        "(`headrace build --full-refresh` makes dbt's anew)."
    )


def _first_line(error: Exception) -> str:
    """What an error says; what follows are hints, and the query."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
