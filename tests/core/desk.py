"""A folder of notes and the main job on it, for tests of the sync and of what may befall it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from dagster_project.core.build import BuildReport, Headrace
from dagster_project.core.embedding import FakeEmbedder
from dagster_project.core.ingest import ingest_files
from dagster_project.core.settings import Settings

NOTE = "---\ntitle: Note {number}\nround: {round}\nupdated_at: 2026-01-01\n---\n{text}\n"
ROUND = re.compile(r"in round (\d+)\.")
# For tests whose question is not what dbt's data tests say.
WITHOUT_TESTS = ("--exclude-resource-type", "test")


class Desk:
    """Notes that are all rewritten in every round, so that a reader can tell half a batch.

    One more is never touched, as most of a warehouse is not: a batch is followed, not compared.
    """

    def __init__(self, headrace: Headrace, folder: Path, notes: int = 200) -> None:
        self.headrace = headrace
        self.folder = folder
        self.notes = notes
        self.round = 0
        untouched = "---\nupdated_at: 2026-01-01\n---\nA note that nobody ever touches."
        (folder / "untouched.md").write_text(untouched)

    @property
    def rows(self) -> int:
        """Chunks that there are."""
        return self.notes + 1

    def rewrite(self) -> None:
        """The next round, in the folder and in the table that dbt reads."""
        self.round += 1
        for number in range(self.notes):
            text = f"Note {number} was written in round {self.round}."
            note = NOTE.format(number=number, round=self.round, text=text)
            (self.folder / f"{number}.md").write_text(note)
        self.ingest()

    def ingest(self) -> None:
        ingest_files(self.headrace.warehouse, str(self.folder), "notes")

    def build(self) -> BuildReport:
        return self.headrace.build(WITHOUT_TESTS)

    def rounds(self) -> list[int]:
        """The round of every note that readers see."""
        rows = self.headrace.live_index.rows(["chunk_text"], live=True)
        found = [ROUND.search(text) for text in rows["chunk_text"].to_pylist()]
        return [int(match[1]) for match in found if match]

    def check(self) -> None:
        """Readers see this round whole, every row is right, and every vector is its text's."""
        assert self.rounds() == [self.round] * self.notes
        found = self.headrace.verify(content=True)
        assert found.is_clean, str(found)
        rows = self.headrace.live_index.rows(["chunk_text", "vector"], live=True)
        vectors = np.array(rows["vector"].to_pylist(), dtype=np.float32)
        model = self.headrace.embedder
        assert isinstance(model, FakeEmbedder)
        assert np.allclose(vectors, model.embed(rows["chunk_text"].to_pylist()).vectors, atol=1e-6)

    @contextmanager
    def reader(self) -> Iterator[list[list[int]]]:
        """Look at what readers see all the time; nothing but whole rounds may be seen."""
        seen: list[list[int]] = []
        failures: list[Exception] = []
        ends = threading.Event()

        def look() -> None:
            while not ends.is_set():
                try:
                    seen.append(self.rounds())
                except Exception as error:  # noqa: BLE001 - the test reports it
                    failures.append(error)
                time.sleep(0.02)

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield seen
        finally:
            ends.set()
            thread.join()
        assert not failures, failures[0]
        assert seen
        for rounds in seen:
            assert len(rounds) == self.notes and len(set(rounds)) == 1, rounds


class Worker:
    """A process of its own that builds when it is told to, and can be killed in the midst."""

    def __init__(self, settings: Settings) -> None:
        environment = os.environ | {
            "HEADRACE_HOME": str(settings.home),
            "HEADRACE_POSTGRES_URL": settings.postgres_url or "",
            "HEADRACE_DBT_PROJECT": str(settings.dbt_project),
            "HEADRACE_SCHEMA": settings.schema,
            "HEADRACE_LANCEDB_URI": settings.lancedb_uri,
            "HEADRACE_MODEL": settings.model,
            "HEADRACE_LOCK_WAIT": str(settings.lock_wait),
        }
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("worker.py"))],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        assert self.answer() == "ready"

    def start(self) -> None:
        """Begin a build."""
        assert self.process.stdin is not None
        self.process.stdin.write("build\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        """The next line that it says."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        """End it as the kernel would, and wait until it is gone."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
