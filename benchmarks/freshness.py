"""From a committed row to a reader who finds it: the sensor path, the live path, stock Dagster.

A writer inserts, edits and deletes tickets of the example company at a steady pace; a reader looks
at the published index until it shows each change. Real processes, as `headrace dev` starts them, on
one home and one warehouse, one path after the other, with the real model. Then a burst, against the
time that embedding its chunks takes by itself. After each part everything is compared. Prints a
table, writes JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import psycopg
from rich.console import Console
from rich.table import Table

from dagster_project.core.build import Headrace
from dagster_project.core.index.filters import is_one_of
from dagster_project.core.index.table import _select
from dagster_project.core.postgres import EmbeddedPostgres
from dagster_project.core.retrieval import Principals, Retriever
from dagster_project.core.settings import Settings
from dagster_project.defs.flow.sensors import LIVE_LOCK
from dagster_project.demo.run import prepare

PATHS = {
    "live": "Live path",
    "sensor": "Sensor path",
    "warm": "Sensor path, warm worker",
    "stock": "Stock Dagster and dagster-dbt",
}
# The medians by document; the first counts from the change to the end of dbt, with all waiting.
PHASES = ("until chunked", "embedded and written", "checked and published")
LOOK_SECONDS = 0.1
# What is not there by then counts as lost.
PATIENCE = 300.0
# Of so many changes that were seen, one is asked for by a hybrid search too.
SEARCH_EVERY = 20
HERE = Path(__file__).parent
STOCK_INSTANCE = "telemetry:\n  enabled: false\n"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--paths", type=lambda text: text.split(","), default=list(PATHS))
    parser.add_argument("--rates", type=_numbers, default=[1, 10], help="changes a second")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--burst", type=_numbers, default=[5_000], help="tickets changed at once")
    arguments = parser.parse_args()
    console = Console()
    found = _Found()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        os.environ["HEADRACE_HOME"] = str(home)
        headrace = Headrace(Settings.load(home))
        try:
            headrace = prepare(headrace, scale=1, seed=1, console=console)
            headrace.build()
            for path in arguments.paths:
                with Stack(home, path) as stack:
                    stack.is_ready(headrace)
                    for rate in arguments.rates:
                        row = _changes(headrace, path, rate, arguments.seconds)
                        found.add("changes", row, ("path", "changes_per_second"))
                        console.log(row)
            for size in arguments.burst:
                row = _burst(home, headrace, size)
                found.add("bursts", row, ("documents", "model"))
                console.log(row)
        finally:
            EmbeddedPostgres(home).stop()
    console.print(_table(found.rows.get("changes", [])))


class _Found:
    """The rows of this run and, where it leaves some out, of those before; written as they come."""

    def __init__(self) -> None:
        self.path = Path(__file__).with_suffix(".json")
        self.rows: dict[str, Any] = json.loads(self.path.read_text()) if self.path.is_file() else {}

    def add(self, part: str, row: dict[str, Any], key: Sequence[str]) -> None:
        others = [
            other
            for other in self.rows.setdefault(part, [])
            if any(other[name] != row[name] for name in key)
        ]
        self.rows[part] = [*others, row]
        self.rows["machine"] = {
            "cores": os.cpu_count(),
            "system": platform.system(),
            "arch": platform.machine(),
        }
        self.path.write_text(json.dumps(self.rows, indent=2) + "\n")


class Stack:
    """The daemon, the code server and the UI, in processes of their own."""

    def __init__(self, home: Path, path: str) -> None:
        """Start them on a home, the way that a path says."""
        self.home = home
        self.path = path
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        environment = os.environ | {"HEADRACE_HOME": str(home)}
        command = [sys.executable, "-m", "dagster_project.cli", "dev", "--port", port]
        # What starts runs is in this file, and the path before may have had another.
        (home / "dagster" / "dagster.yaml").unlink(missing_ok=True)
        if path in {"live", "warm"}:
            command.append(f"--{path}")
        if path == "stock":
            instance = home / "stock"
            instance.mkdir(exist_ok=True)
            (instance / "dagster.yaml").write_text(STOCK_INSTANCE)
            environment |= {"DAGSTER_HOME": str(instance)}
            module = str(HERE / "freshness_stock.py")
            program = str(Path(sys.executable).with_name("dagster"))
            command = [program, "dev", "-f", module, "-h", "127.0.0.1", "-p", port]
        self.log = (home / f"{path}.log").open("a")
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self) -> Stack:
        """The stack; it is not ready yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ask all of them to end, and end those that do not."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGINT)
        psutil.wait_procs(family, timeout=30)
        for process in family:
            if process.is_running():
                process.kill()
        self.process.wait()
        self.log.close()

    def is_ready(self, headrace: Headrace) -> None:
        """Wait until a first change came through; what starting takes is not measured."""
        writer = Writer(headrace.postgres_url, rate=0.5, seconds=2)
        writer.run()
        reader = Reader(headrace, writer)
        reader.follow()
        if reader.pending():
            raise SystemExit((self.home / f"{self.path}.log").read_text()[-3000:])
        time.sleep(5)


@dataclass
class Change:
    """A committed change: what it did, when, and when a reader saw it."""

    document_id: str
    kind: str
    word: str
    committed_at: float
    seen_at: float | None = None


class Writer(threading.Thread):
    """Inserts, edits and deletes tickets at a steady pace, each in a transaction."""

    def __init__(self, url: str, rate: float, seconds: float) -> None:
        """Take the pace, in changes a second, and how long to keep it, in seconds."""
        super().__init__()
        self.rate, self.seconds = rate, seconds
        self.changes: list[Change] = []
        self._rng = random.Random(1)
        self._connection = psycopg.connect(url, autocommit=True)
        rows = self._connection.execute("select ticket_id from saas.tickets").fetchall()
        self._idle = [ticket for (ticket,) in rows]
        self._rng.shuffle(self._idle)
        self.done = False

    def run(self) -> None:
        """Change what nobody waits for, until the time is over."""
        try:
            self._write()
        finally:
            self._connection.close()
            self.done = True

    def free(self, change: Change) -> None:
        """Let a ticket whose change was seen be changed again."""
        if change.kind != "delete":
            self._idle.append(int(change.document_id.removeprefix("ticket:")))

    def _write(self) -> None:
        began, number = time.monotonic(), 0
        while number / self.rate < self.seconds:
            time.sleep(max(0.0, began + number / self.rate - time.monotonic()))
            # A made-up word, so that each change can be told from every other.
            word = f"zq{os.urandom(5).hex()}"
            kind = self._rng.choices(["insert", "edit", "delete"], [4, 4, 2])[0]
            if not self._idle:
                kind = "insert"
            ticket = self._change(kind, word)
            self.changes.append(Change(f"ticket:{ticket}", kind, word, time.time()))
            number += 1

    def _change(self, kind: str, word: str) -> int:
        if kind == "insert":
            row = self._connection.execute(
                "insert into saas.tickets (customer_id, requester_id, product_area, subject, "
                "description, status, priority, channel, is_deflected, created_at, updated_at) "
                "select customer_id, requester_id, product_area, subject, %s || ' ' || description,"
                " 'open', priority, channel, false, clock_timestamp(), clock_timestamp() "
                "from saas.tickets order by random() limit 1 returning ticket_id",
                (word,),
            ).fetchone()
            assert row is not None
            return int(row[0])
        ticket: int = self._idle.pop(0)
        if kind == "edit":
            self._connection.execute(
                "update saas.tickets set description = %s || ' ' || description, "
                "updated_at = clock_timestamp() where ticket_id = %s",
                (word, ticket),
            )
        else:
            self._connection.execute("delete from saas.tickets where ticket_id = %s", (ticket,))
        return ticket


@dataclass
class Reader:
    """Looks at the published index for the changes that it does not show yet."""

    headrace: Headrace
    writer: Writer
    searched: int = 0
    found: int = 0
    _seen: int = field(default=0, init=False)
    _read: tuple[str, int | None] | None = field(default=None, init=False)

    def pending(self) -> list[Change]:
        """Changes that were not seen."""
        return [change for change in list(self.writer.changes) if change.seen_at is None]

    def follow(self) -> None:
        """Look until the writer is done and everything was seen, or patience ends."""
        quiet_since = time.monotonic()
        while True:
            pending = self.pending()
            if self.writer.done and not pending:
                return
            if not self.writer.done:
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > PATIENCE:
                return
            if pending:
                self._look(pending)
            time.sleep(LOOK_SECONDS)

    def _look(self, pending: Sequence[Change]) -> None:
        index = self.headrace.live_index
        # What was committed since a version was read is not in it. The reader leaves the cores to
        # what is measured.
        version = (index.name, index.live_version)
        if version == self._read:
            return
        self._read = version
        where = is_one_of("document_id", [change.document_id for change in pending])
        rows = _select(index.live(), ["document_id", "chunk_text"], where)
        now = time.time()
        texts: dict[str, str] = {}
        for row in rows.to_pylist():
            texts[row["document_id"]] = texts.get(row["document_id"], "") + row["chunk_text"]
        for change in pending:
            text = texts.get(change.document_id)
            if (
                text is None
                if change.kind == "delete"
                else text is not None and change.word in text
            ):
                change.seen_at = now
                self.writer.free(change)
                self._seen += 1
                if self._seen % SEARCH_EVERY == 0:
                    self._search(change)

    def _search(self, change: Change) -> None:
        """Ask as a user does; the change must be among the hits, or be gone."""
        hits = Retriever(self.headrace, Principals.admin()).search(change.word, 10)
        shown = change.document_id in {hit.document_id for hit in hits}
        self.searched += 1
        self.found += shown == (change.kind != "delete")


def _changes(headrace: Headrace, path: str, rate: int, seconds: float) -> dict[str, Any]:
    """One path at one pace."""
    began = time.time()
    writer = Writer(headrace.postgres_url, rate, seconds)
    writer.start()
    reader = Reader(headrace, writer)
    reader.follow()
    lags = [change.seen_at - change.committed_at for change in writer.changes if change.seen_at]
    row = {
        "path": path,
        "changes_per_second": rate,
        "seconds": seconds,
        "changes": len(writer.changes),
        "lost": len(reader.pending()),
        "p50": float(np.percentile(lags, 50)),
        "p95": float(np.percentile(lags, 95)),
        "max": max(lags),
        "searches_right": f"{reader.found}/{reader.searched}",
    }
    return row | _accounts(headrace, writer.changes, began)


def _accounts(headrace: Headrace, changes: Sequence[Change], began: float) -> dict[str, Any]:
    """What the ledger says of the changes, and what a full comparison finds when all is quiet."""
    time.sleep(1)
    with psycopg.connect(headrace.postgres_url) as connection:
        noted = connection.execute(
            "select distinct document_id from headrace_ops.published_documents "
            "where published_at >= to_timestamp(%s)",
            (began,),
        ).fetchall()
        phases = connection.execute(
            "select percentile_disc(0.5) within group (order by chunked_at - source_updated_at), "
            "percentile_disc(0.5) within group (order by embedded_at - chunked_at), "
            "percentile_disc(0.5) within group (order by published_at - embedded_at) "
            "from headrace_ops.published_documents where published_at >= to_timestamp(%s) "
            "and source_updated_at >= to_timestamp(%s)",
            (began, began),
        ).fetchone()
        batches = connection.execute(
            "select count(*), sum(rows_added + rows_changed + rows_payload_only + rows_deleted) "
            "from headrace_ops.sync_ledger where published_at >= to_timestamp(%s)",
            (began,),
        ).fetchone()
    assert batches is not None and phases is not None
    difference = headrace.verify()
    return {
        "not_in_the_ledger": len(
            {change.document_id for change in changes} - {i for (i,) in noted}
        ),
        "phases_p50": {
            name: spent and spent.total_seconds()
            for name, spent in zip(PHASES, phases, strict=True)
        },
        "batches": batches[0],
        "rows_changed": int(batches[1] or 0),
        "verify": "clean" if difference.is_clean else str(difference),
    }


def _burst(home: Path, headrace: Headrace, size: int) -> dict[str, Any]:
    """Many tickets at once through the live path, beside embedding their chunks alone."""
    before = headrace.live_index.count()
    with Stack(home, "live") as stack:
        while not headrace.warehouse.is_locked(LIVE_LOCK):
            time.sleep(0.2)
            if stack.process.poll() is not None:
                raise SystemExit((home / "live.log").read_text()[-3000:])
        time.sleep(5)
        began = time.time()
        with psycopg.connect(headrace.postgres_url) as connection:
            connection.execute(
                "insert into saas.tickets (customer_id, requester_id, product_area, subject, "
                "description, status, priority, channel, is_deflected, created_at, updated_at) "
                "select customer_id, requester_id, product_area, subject, md5(random()::text) "
                "|| ' ' || description, 'open', priority, channel, false, clock_timestamp(), "
                "clock_timestamp() from saas.tickets cross join generate_series(1, %s) limit %s",
                (size // 500 + 1, size),
            )
        while headrace.watch.changed():
            time.sleep(0.2)
        seconds = time.time() - began
    with psycopg.connect(headrace.postgres_url) as connection:
        ledger = connection.execute(
            "select count(*), sum(rows_embedded) from headrace_ops.sync_ledger "
            "where published_at >= to_timestamp(%s)",
            (began,),
        ).fetchone()
        texts = connection.execute(
            "select chunk_text from headrace.rag__chunks where not is_deleted "
            "and document_id in (select 'ticket:' || ticket_id from saas.tickets "
            "order by ticket_id desc limit %s)",
            (size,),
        ).fetchall()
    assert ledger is not None
    embedder = headrace.model(headrace.live_generation.model)
    embedder.embed(["warm"])
    started = time.perf_counter()
    embedder.embed([text for (text,) in texts])
    alone = time.perf_counter() - started
    difference = headrace.verify()
    return {
        "documents": size,
        "model": headrace.live_generation.model_id,
        "rows_before": before,
        "chunks": len(texts),
        "batches": ledger[0],
        "embedded": int(ledger[1] or 0),
        "seconds_to_drain": seconds,
        "seconds_to_embed_alone": alone,
        "ratio": seconds / alone,
        "verify": "clean" if difference.is_clean else str(difference),
    }


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="Seconds from commit to reader")
    for name in ("path", "changes/s", "p50", "p95", "max", "lost", "batches", "verify"):
        table.add_column(name, justify="left" if name in {"path", "verify"} else "right")
    for row in rows:
        table.add_row(
            PATHS[row["path"]],
            str(row["changes_per_second"]),
            *(f"{row[name]:.1f}" for name in ("p50", "p95", "max")),
            str(row["lost"]),
            str(row["batches"]),
            row["verify"],
        )
    return table


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


if __name__ == "__main__":
    main()
