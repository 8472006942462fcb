"""Changes to readers through a real Dagster: daemon, code server and runs as processes.

These tests follow one another on one home; each fault is a kill.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import psycopg
import pytest

from dagster_project.core.build import Headrace
from dagster_project.core.postgres import EmbeddedPostgres
from dagster_project.core.settings import Settings

RUN_SECONDS = "40"


class Stack:
    """`headrace dev` on a home with some notes."""

    def __init__(self, home: Path, port: int) -> None:
        self.home = home
        self.port = port
        self.environment = os.environ | {
            "HEADRACE_HOME": str(home),
            "HEADRACE_MODEL": "fake",
            "HEADRACE_LIVE_RUN_SECONDS": RUN_SECONDS,
        }
        self.log = (home.parent / "dev.log").open("a")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def headrace(self) -> Headrace:
        return Headrace(replace(Settings.load(self.home), model="fake"))

    def start(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "dagster_project.cli", "dev", "--port", str(self.port)]
        self.process = subprocess.Popen(
            [*command, *arguments],
            env=self.environment,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def stop(self) -> None:
        if self.process is not None:
            for process in self.processes(""):
                process.kill()
            self.process.wait()
            self.process = None

    def processes(self, word: str) -> list[psutil.Process]:
        """The processes of the stack whose command line has a word."""
        assert self.process is not None
        family = psutil.Process(self.process.pid).children(recursive=True)
        found = []
        for process in [psutil.Process(self.process.pid), *family]:
            try:
                if word in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def write(self, number: int, text: str) -> None:
        with psycopg.connect(self.headrace.postgres_url) as connection:
            connection.execute(
                "insert into headrace_ops.raw_documents (document_id, source_name, doc_type, "
                "title, body, access, payload, source_updated_at) values "
                "(%s, 'app', 'note', %s, %s, '{everyone}', '{}', now()) on conflict (document_id) "
                "do update set body = excluded.body, source_updated_at = now()",
                (f"n:{number}", f"Note {number}", text),
            )

    def shows(self, number: int, text: str) -> bool:
        rows = self.headrace.live_index.dump()
        return {row["document_id"]: row["text"] for row in rows}.get(f"n:{number}") == text


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.2)
    return condition()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("flow") / "home"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    stack = Stack(home, port)
    stack.headrace.warehouse.prepare()
    for number in range(20):
        stack.write(number, f"Note {number} at first.")
    stack.headrace.build()
    yield stack
    stack.stop()
    EmbeddedPostgres(home).stop()


def test_a_sensor_brings_a_change_to_readers(stack: Stack) -> None:
    stack.start()
    stack.write(1, "By the sensor.")
    assert _within(180, lambda: stack.shows(1, "By the sensor.")), _tail(stack)


def test_a_change_while_nothing_ran_is_found_after_a_restart(stack: Stack) -> None:
    stack.stop()
    stack.write(2, "While all was down.")
    stack.start()
    assert _within(180, lambda: stack.shows(2, "While all was down.")), _tail(stack)


def test_a_daemon_and_a_code_server_that_are_killed_are_no_loss(stack: Stack) -> None:
    for word in ("api grpc", "dagster._daemon"):
        for process in stack.processes(word):
            process.kill()
    stack.write(3, "After the kill.")
    # `dagster dev` ends when one of its services is gone: a supervisor would start it again.
    stack.stop()
    stack.start()
    assert _within(180, lambda: stack.shows(3, "After the kill.")), _tail(stack)


def test_a_transaction_that_commits_late_reaches_readers(stack: Stack) -> None:
    late = psycopg.connect(stack.headrace.postgres_url)
    late.execute(
        "update headrace_ops.raw_documents set body = 'Committed late.', "
        "source_updated_at = now() where document_id = 'n:4'"
    )
    stack.write(5, "Committed at once.")
    assert _within(180, lambda: stack.shows(5, "Committed at once.")), _tail(stack)
    time.sleep(30)
    assert stack.shows(4, "Note 4 at first.")
    late.commit()
    late.close()
    assert _within(180, lambda: stack.shows(4, "Committed late.")), _tail(stack)


def test_a_postgres_that_stops_for_a_minute_is_waited_for(stack: Stack) -> None:
    server = EmbeddedPostgres(stack.home)
    with psycopg.connect(stack.headrace.postgres_url) as connection:
        postmaster = psutil.Process(connection.info.backend_pid).parent()
    assert postmaster is not None
    # It answers nobody for a minute, and nobody can start another one beside it.
    for process in [postmaster, *postmaster.children()]:
        process.suspend()
    time.sleep(60)
    for process in [postmaster, *postmaster.children()]:
        process.resume()
    assert server.start()
    stack.write(6, "After the minute.")
    assert _within(180, lambda: stack.shows(6, "After the minute.")), _tail(stack)


def test_the_live_run_follows_and_is_replaced_when_it_is_killed(stack: Stack) -> None:
    stack.stop()
    stack.start("--live")
    assert _within(180, lambda: stack.headrace.warehouse.is_locked("live")), _tail(stack)
    stack.write(7, "By the live run.")
    assert _within(30, lambda: stack.shows(7, "By the live run.")), _tail(stack)
    with psycopg.connect(stack.headrace.postgres_url) as connection:
        row = connection.execute(
            "select client_port from pg_stat_activity join pg_locks using (pid) "
            "where locktype = 'advisory' and granted and objid::bigint = "
            "hashtext('headrace live headrace')::bigint & 4294967295"
        ).fetchone()
    assert row is not None
    holder = next(
        connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.laddr.port == row[0] and connection.pid
    )
    stack.write(8, "While it was killed.")
    os.kill(holder, signal.SIGKILL)
    # The sensor sees to it until the keeper has started another run.
    assert _within(180, lambda: stack.shows(8, "While it was killed.")), _tail(stack)
    assert _within(180, lambda: stack.headrace.warehouse.is_locked("live")), _tail(stack)
    stack.write(9, "By its successor.")
    assert _within(60, lambda: stack.shows(9, "By its successor.")), _tail(stack)


def test_a_warm_worker_takes_the_runs_and_is_replaced_when_it_is_killed(stack: Stack) -> None:
    stack.stop()
    stack.start("--warm")
    stack.write(10, "By the worker.")
    assert _within(180, lambda: stack.shows(10, "By the worker.")), _tail(stack)
    workers = stack.processes("dagster_project.warm")
    assert workers
    for worker in workers:
        worker.kill()
    stack.write(11, "By its successor.")
    assert _within(180, lambda: stack.shows(11, "By its successor.")), _tail(stack)
    assert worker.pid not in {other.pid for other in stack.processes("dagster_project.warm")}


def test_sigterm_ends_every_process(stack: Stack) -> None:
    assert stack.process is not None
    family = stack.processes("")
    stack.process.terminate()
    # A sensor's look, and a run that is under way, may be at work for most of a minute.
    _, alive = psutil.wait_procs(family, timeout=120)
    assert len(family) > 4 and not alive
    stack.process = None


def test_nothing_was_lost(stack: Stack) -> None:
    stack.stop()
    headrace = stack.headrace
    # The last batch may have been killed after readers saw it and before that was noted.
    if sources := headrace.watch.changed():
        assert headrace.micro_batch(sources).sync.is_empty
    assert headrace.watch.changed() == []
    assert headrace.verify(content=True).is_clean


def _tail(stack: Stack) -> str:
    return (stack.home.parent / "dev.log").read_text()[-3000:]
