"""The life cycle of a Postgres server whose every file lies in one folder of the home.

What is believed, and what is not:

* Whether the server lives is told by a lock, not by a pid file. The server inherits an exclusive
  ``flock`` on its password file, and the kernel frees that when the last of its processes is gone,
  however it went. A pid is used again, a container has pids of its own, and people delete lock
  files that look stale; they do not delete passwords.
* Where it listens is read from ``postmaster.pid``, and believed after a SCRAM log-in, in which the
  server proves that it knows the password too, and after it has named this folder
  (``cluster_name`` is a hash of the path).
* Its working directory is its data folder, and on Linux it is told to look for its data in
  ``/proc/self/cwd``. So the parents of the home need not be open to the account that root hands the
  server to, no permission of theirs is touched, and a path may be of any length.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import psycopg

from dagster_project.core.errors import WarehouseError
from dagster_project.core.postgres.account import Account
from dagster_project.core.postgres.launch import (
    MAX_CONNECTIONS,
    ROLE,
    failure,
    launch,
    make_data,
    remedy,
)

DATABASE = "headrace"
START_SECONDS = 120.0
ORPHAN_SECONDS = 5.0
TURN_SECONDS = 300.0
POLL_SECONDS = 0.05
LAUNCHES = 3
LOG_LIMIT = 10 * 1024 * 1024
LOG_TAIL = 8192
PORT_TAKEN = "Address already in use"
# A fast shutdown; an immediate one, after which the next start replays the WAL; the kernel's.
ENDINGS = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))


class EmbeddedPostgres:
    """A Postgres server of our own, found again by every process that knows its home.

    It outlives the process that started it and ends by ``stop`` alone. A home has one at most.
    """

    def __init__(self, home: Path) -> None:
        """Name the server of ``home``; nothing is read or written yet.

        Args:
            home: directory of all local state; the server keeps to ``home / "postgres"``.
        """
        self.folder = home.expanduser().resolve() / "postgres"
        self._data = self.folder / "data"
        self._password = self.folder / "password"
        self._log = self.folder / "server.log"
        path = os.fsencode(self._data)
        self._cluster = f"headrace-{hashlib.sha256(path).hexdigest()[:16]}"

    def start(self) -> str:
        """Start the server unless it runs; make the data and the database on first use.

        Returns:
            ``postgresql://headrace:<password>@127.0.0.1:<port>/headrace``; the port changes from
            start to start.

        Raises:
            WarehouseError: it cannot be started; the message says why, as far as the server does.
        """
        with self._warehouse_errors():
            self._settle()
            account = Account.owning(self.folder)
            with self._turn(), self._started(account) as connection:
                _ensure_database(connection)
                return _url(connection)

    def url(self) -> str | None:
        """The URL of the running server, verified by logging in; None where none answers.

        Raises:
            WarehouseError: the server has no free connection, or its files are another user's.
        """
        with self._warehouse_errors():
            if not self.folder.is_dir():
                return None
            Account.owning(self.folder)
            connection = self._connect()
            if connection is None:
                return None
            with connection:
                return _url(connection)

    def stop(self) -> bool:
        """Stop the server; clients are cut off and their open transactions rolled back.

        Returns:
            True when one was running.

        Raises:
            WarehouseError: it runs where it cannot be stopped from here.
        """
        with self._warehouse_errors():
            if not self.folder.is_dir():
                return False
            account = Account.owning(self.folder)
            with self._turn():
                if self._is_gone(account):
                    return False
                for kind, patience in ENDINGS:
                    postmaster = self._postmaster(account)
                    if postmaster is None:
                        _send(signal.SIGKILL, self._processes(account))
                    else:
                        _send(kind, [postmaster])
                    if _within(patience, lambda: self._is_gone(account)):
                        return True
            raise self._out_of_reach()

    def _settle(self) -> None:
        """Make the folder, complete with its password, by one rename: two may do so at once."""
        if self.folder.is_dir():
            return
        home = self.folder.parent
        home.mkdir(parents=True, exist_ok=True)
        account = Account.for_new_server()
        nursery = Path(tempfile.mkdtemp(prefix="postgres-", dir=home))
        try:
            password = nursery / self._password.name
            password.touch(mode=0o600)
            password.write_text(secrets.token_urlsafe(24))
            account.give(password, nursery)
            nursery.rename(self.folder)
        except OSError:
            if not self.folder.is_dir():  # else another process was first
                raise
        finally:
            shutil.rmtree(nursery, ignore_errors=True)

    def _started(self, account: Account) -> psycopg.Connection[Any]:
        """Find the server or launch it, and log in. The caller holds the turn."""
        launches, offset = 0, 0
        since = healthy = time.monotonic()
        while time.monotonic() - since < START_SECONDS:
            claim = self._claim(account)
            if claim is None:
                connection = self._connect()
                if connection is not None:
                    return connection
                if self._postmaster(account):
                    healthy = time.monotonic()
                elif time.monotonic() - healthy > ORPHAN_SECONDS:
                    # The postmaster is dead; a backend too busy to notice uses its shared memory.
                    _send(signal.SIGKILL, self._processes(account))
            else:
                try:
                    said = self._said(offset)
                    if launches and (launches == LAUNCHES or PORT_TAKEN not in said):
                        raise failure(self.folder, said)
                    offset = self._launch(account, claim)
                finally:
                    os.close(claim)  # the server keeps the lock by the descriptor it inherited
                launches, since = launches + 1, time.monotonic()
            time.sleep(POLL_SECONDS)
        if not self._processes(account):
            raise self._out_of_reach()
        raise WarehouseError(
            f"The embedded Postgres in {self.folder} lives, and has not answered for "
            f"{START_SECONDS:.0f} seconds. If {self._log} says that it is recovering from a crash, "
            "wait; else stop it and start it again."
        )

    def _launch(self, account: Account, claim: int) -> int:
        """Launch the server, with data; return where in the log its words begin."""
        if not self._data.exists():
            make_data(self._data, account, claim)
        log = self._open(self._log)
        try:
            if os.fstat(log).st_size > LOG_LIMIT:
                os.ftruncate(log, 0)
            offset = os.fstat(log).st_size
            launch(self._data, self._cluster, log, account, claim)
        finally:
            os.close(log)
        return offset

    def _connect(self) -> psycopg.Connection[Any] | None:
        """Log in to the server that the pid file names, if it is there and is this folder's."""
        lines = self._pid_file()
        if len(lines) < 4 or not lines[3].isdigit():  # none, or not written to its end yet
            return None
        try:
            # Each argument also keeps a PG* variable of the user's environment out.
            connection = psycopg.connect(
                host="127.0.0.1",
                hostaddr="127.0.0.1",
                port=int(lines[3]),
                dbname="postgres",
                user=ROLE,
                password=self._password.read_text(),
                require_auth="scram-sha-256",
                sslmode="disable",
                gssencmode="disable",
                client_encoding="utf8",
                options="",
                connect_timeout=5,
                autocommit=True,
            )
            if connection.execute("show cluster_name").fetchone() == (self._cluster,):
                return connection
            connection.close()
        except psycopg.OperationalError as error:
            if "too many clients" in str(error):
                raise WarehouseError(
                    f"All {MAX_CONNECTIONS} connections of the Postgres in {self.folder} are "
                    "taken: close some clients, or stop it and start it again."
                ) from None
        return None

    def _pid_file(self) -> list[str]:
        """The lines of the server's pid file: pid, folder, start time, port, and more."""
        try:
            return (self._data / "postmaster.pid").read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return []

    def _processes(self, account: Account) -> list[psutil.Process]:
        """The server's processes that can be seen from here, told by their command lines."""
        asked, titled = f" cluster_name={self._cluster} ", f"postgres: {self._cluster}: "
        found = []
        for process in psutil.process_iter(["name", "cmdline", "uids"]):
            command = " ".join(process.info["cmdline"] or ()) + " "
            if asked in command or command.startswith(titled):
                name, uids = process.info["name"], process.info["uids"]
                if name == "postgres" and uids and uids.real == account.uid:
                    found.append(process)
        return found

    def _postmaster(self, account: Account) -> psutil.Process | None:
        """The process that the pid file names, if it is one of this server's."""
        pid = next(iter(self._pid_file()), "")
        return next((found for found in self._processes(account) if str(found.pid) == pid), None)

    def _claim(self, account: Account) -> int | None:
        """Lock the password file; None while a process of the server lives.

        Closing the descriptor frees the lock, unless a process has inherited it.
        """
        try:
            descriptor = os.open(self._password, os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise WarehouseError(
                f"{self._password} is gone, and the data cannot be opened without it: put it back, "
                f"or end the server's processes and delete {self.folder} to begin anew."
            ) from None
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, descriptor)
            # The processes count too: an editor may have put a new file in the locked one's place.
            if _lock(descriptor) and not self._processes(account):
                stack.pop_all()
                return descriptor
        return None

    def _is_gone(self, account: Account) -> bool:
        """Whether no process of the server lives."""
        claim = self._claim(account)
        if claim is not None:
            os.close(claim)
        return claim is not None

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Hold the right to start and to stop this server, among all processes."""
        path = self.folder / "lock"
        descriptor = self._open(path)
        try:
            if not _within(TURN_SECONDS, lambda: _lock(descriptor)):
                raise WarehouseError(
                    f"Another process has been starting or stopping the Postgres in {self.folder} "
                    f"for {TURN_SECONDS:.0f} seconds: end it (it has {path} open), and try again."
                )
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def _open(self, path: Path) -> int:
        """Open a file of the folder's to append; it is made for the folder's owner alone."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        if os.geteuid() == 0:
            owner = self.folder.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        return descriptor

    def _said(self, offset: int) -> str:
        """The end of what the log holds from ``offset`` on."""
        try:
            with self._log.open("rb") as log:
                log.seek(max(offset, self._log.stat().st_size - LOG_TAIL))
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def _out_of_reach(self) -> WarehouseError:
        return WarehouseError(
            f"The Postgres of {self.folder} runs where it can be neither reached nor stopped from "
            "here: in another container, on another machine, or from before the folder was moved. "
            "Stop it there."
        )

    @contextlib.contextmanager
    def _warehouse_errors(self) -> Iterator[None]:
        """Give what the system or the server refuses a name, a place and a remedy."""
        try:
            yield
        except OSError as error:
            advice = remedy(str(error)) or "Set HEADRACE_HOME to a folder of yours on a local disk."
            raise WarehouseError(
                f"The embedded Postgres cannot use its folder {self.folder} ({error}). {advice}"
            ) from error
        except psycopg.Error as error:
            raise WarehouseError(
                f"The embedded Postgres in {self.folder} failed ({error}): see {self._log}."
            ) from error


def _lock(descriptor: int) -> bool:
    """Lock an open file, unless somebody holds its lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def _within(patience: float, condition: Callable[[], bool]) -> bool:
    """Wait up to ``patience`` seconds for a condition; return whether it came true."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _ensure_database(connection: psycopg.Connection[Any]) -> None:
    found = connection.execute("select 1 from pg_database where datname = %s", (DATABASE,))
    if found.fetchone() is None:
        connection.execute(f"create database {DATABASE}")


def _url(connection: psycopg.Connection[Any]) -> str:
    # The password is made of characters that need no quoting in a URL.
    info = connection.info
    return f"postgresql://{ROLE}:{info.password}@127.0.0.1:{info.port}/{DATABASE}"


def _send(kind: signal.Signals, processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(kind)
