"""The speed of hybrid search beside pgvector's, at one number of rows."""

from __future__ import annotations

import multiprocessing
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from chunk_retrieval import read_cranfield
from numpy.typing import NDArray
from retrieval_corpus import fresh, handbook_pages, headings
from retrieval_data import (
    ONE_IN_A_HUNDRED,
    READER,
    SEED,
    Corpus,
    Nearest,
    blocks,
)
from retrieval_load import Ask, Load, ask_for
from retrieval_ours import Known, Ours, changing, tidying
from retrieval_peer import BEAMS, Peer, Way, as_text
from rich.table import Table
from sync_data import drop

from dagster_project.core.embedding import Embedder
from dagster_project.core.retrieval import Filters, Ranking

FILTERS = {"none": Filters(), "1%": ONE_IN_A_HUNDRED}
THREADS = (1, 8, 32)
# Each side answers in slices, in turn, so that what else the machine does meets all of them.
TURNS = 3
SLICE_SECONDS = 3.0
RECALL = 0.95
OURS = "Headrace"
EMBEDDING = "Headrace, question embedded too"
WAYS = (
    Way("pgvector, any word, as deep", Ranking().depth, any_word=True),
    Way("pgvector, any word, 40 deep", 40, any_word=True),
    Way("pgvector, all words, 40 deep", 40, any_word=False),
)
# Threads that search, and rows that a batch edits, while the index changes.
BUSY_THREADS = 8
EDITED = 100
Say = Callable[[str], None]


@dataclass(frozen=True)
class Questions:
    """What is asked.

    Attributes:
        texts: the questions.
        vectors: theirs; shape (questions, dimension).
    """

    texts: list[str]
    vectors: NDArray[np.float32]

    @classmethod
    def made(cls, model: Embedder, each: int) -> Questions:
        """As many of Cranfield's questions as of the handbook's headings, shuffled."""
        chance = random.Random(SEED)
        _, cranfield, _ = read_cranfield()
        texts = [
            *chance.sample([text.strip() for text in cranfield], each),
            *chance.sample(headings(handbook_pages()), each),
        ]
        chance.shuffle(texts)
        return cls(texts, model.embed(texts).vectors)


@dataclass(frozen=True)
class Bench:
    """One number of rows, on both sides.

    Attributes:
        ours, peer: the sides, filled.
        questions: what is asked.
        model: reads the questions.
        nearest: the exact answers, by filter.
    """

    ours: Ours
    peer: Peer
    questions: Questions
    model: Embedder
    nearest: dict[str, Nearest]

    def recalls(self) -> dict[str, Any]:
        """The recall of both searches for meaning; the peer's beam is widened until it suffices."""
        asked, retriever = self.questions, self.ours.retriever(self._known)
        found: dict[str, Any] = {OURS: {}, "pgvector": {}, "ef_search": {}}
        texts = as_text(asked.vectors)
        for name, filters in FILTERS.items():
            near = [self.ours.near(retriever, vector, filters) for vector in asked.vectors]
            found[OURS][name] = round(self.nearest[name].recall(near), 4)
            for beam in BEAMS:
                self.peer.set_beam(beam, filters)
                with self.peer.connect(filters) as connection:
                    near = [
                        self.peer.near(text, READER, filters, WAYS[-1].depth, connection)
                        for text in texts
                    ]
                recall = self.nearest[name].recall(near)
                if recall >= RECALL:
                    break
            found["pgvector"][name], found["ef_search"][name] = round(recall, 4), beam
        return found

    def speeds(self, seconds: float, say: Say) -> list[dict[str, Any]]:
        """Latency and throughput of every side, filter and number of threads."""
        measured = []
        for filter_name, filters in FILTERS.items():
            for threads in THREADS:
                sides = self._sides(filters)
                loads = {name: Load() for name in sides}
                for _ in range(TURNS):
                    for name, ask in sides.items():
                        ask_for(loads[name], ask, threads, seconds)
                for name, load in loads.items():
                    row = {"side": name, "filter": filter_name, "threads": threads}
                    measured.append(row | load.figures())
                    say(str(measured[-1]))
        return measured

    @property
    def _known(self) -> Known:
        pairs = zip(self.questions.texts, self.questions.vectors, strict=True)
        return Known(self.model, dict(pairs))

    def _sides(self, filters: Filters) -> dict[str, Callable[[], Ask]]:
        """By name, what gives each thread what it asks with; everything is opened and warm."""
        texts, vectors = self.questions.texts, as_text(self.questions.vectors)
        found: dict[str, Callable[[], Ask]] = {}
        for name, model in ((OURS, self._known), (EMBEDDING, self.model)):
            ask = self.ours.asks(self.ours.retriever(model), texts, filters)
            found[name] = lambda ask=ask: ask  # type: ignore[misc]
        for way in WAYS:
            found[way.name] = lambda way=way: self.peer.asks(way, texts, vectors, READER, filters)  # type: ignore[misc]
        for start in found.values():
            ask_for(Load(), start, 1, 1.0)
        return found

    def busy(self, seconds: float) -> dict[str, dict[str, float]]:
        """Ours while nothing changes, while a sync writes and publishes, while it is tidied."""
        retriever = self.ours.retriever(self._known)
        ask = self.ours.asks(retriever, self.questions.texts, Filters())
        found = {}
        ask_for(Load(), lambda: ask, BUSY_THREADS, 1.0)
        for name, work, arguments in (
            ("quiet", None, ()),
            ("sync", changing, (self.ours.settings, EDITED)),
            ("maintain", tidying, (self.ours.settings,)),
            ("quiet after", None, ()),
        ):
            load = Load()
            with _beside(work, arguments):
                ask_for(load, lambda: ask, BUSY_THREADS, seconds)
            found[name] = load.figures()
        return found


@contextmanager
def _beside(work: Callable[..., None] | None, arguments: tuple[Any, ...]) -> Iterator[None]:
    """While another process works, from its first result on."""
    if work is None:
        yield
        return
    spawn = multiprocessing.get_context("spawn")
    begun, stop = spawn.Event(), spawn.Event()
    process = spawn.Process(target=work, args=(*arguments, begun, stop))
    process.start()
    try:
        while not begun.wait(1.0):
            if not process.is_alive():
                raise RuntimeError(f"{work.__name__} ended with code {process.exitcode}")
        yield
    finally:
        stop.set()
        process.join()
    if process.exitcode:
        raise RuntimeError(f"{work.__name__} ended with code {process.exitcode}")


def speed(
    server: str,
    folder: Path,
    corpus: Corpus,
    questions: Questions,
    model: Embedder,
    rows: int,
    template: str,
    seconds: float,
    say: Say,
) -> dict[str, Any]:
    """Fill both sides with so many rows and measure.

    Args:
        server: URL of the Postgres that holds the peer's table and our warehouse.
        folder: where our index goes.
        corpus: what the rows are made of.
        questions: what is asked.
        model: the embedding model.
        rows: how many.
        template: a database in which dbt has made its tables.
        seconds: a slice's length.
        say: told of every step.
    """
    names = f"peer_{rows}", f"changes_{rows}"
    peer = Peer(fresh(server, names[0]))
    ours = Ours(folder / f"ours_{rows}", fresh(server, names[1], template), model)
    nearest = {name: Nearest(questions.vectors, filters) for name, filters in FILTERS.items()}
    for block in blocks(corpus, rows):
        ours.add(block)
        peer.add(block)
        for one in nearest.values():
            one.see(block)
    say(f"{rows:,} rows are there")
    built = {OURS: ours.index()}
    say(f"indexed: {built}")
    built["pgvector"] = peer.index()
    say(f"indexed: {built}")
    bench = Bench(ours, peer, questions, model, nearest)
    recall = bench.recalls()
    say(f"recall: {recall}")
    found = {
        "rows": rows,
        "index_seconds": built,
        "recall_at_10": recall,
        "speed": bench.speeds(seconds, say),
        "while_it_changes": bench.busy(seconds * TURNS),
    }
    for name in names:
        drop(server, name)
    shutil.rmtree(folder / f"ours_{rows}")
    return found


def ratios(measured: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Our answers a second by each of the peer's ways', by filter and threads."""
    by_key = {(row["side"], row["filter"], row["threads"]): row["qps"] for row in measured}
    return {
        f"{side}, filter {name}, {threads} threads": round(by_key[OURS, name, threads] / qps, 2)
        for (side, name, threads), qps in by_key.items()
        if side.startswith("pgvector") and qps
    }


def speed_tables(found: dict[str, Any]) -> list[Table]:
    """What `speed` measured, to be printed."""
    recall = found["recall_at_10"]
    said = "; ".join(
        f"filter {name}: Headrace {recall[OURS][name]:.3f}, "
        f"pgvector {recall['pgvector'][name]:.3f} with ef_search {recall['ef_search'][name]}"
        for name in FILTERS
    )
    table = Table(
        title=f"Hybrid search of {found['rows']:,} chunks",
        caption=f"p50 / p95 in milliseconds, answers a second. Recall@10 by meaning, {said}. "
        "The questions' vectors are known beforehand, but where it says otherwise.",
    )
    table.add_column("filter, threads")
    rows = found["speed"]
    for name in dict.fromkeys(row["side"] for row in rows):
        table.add_column(name, justify="right")
    for name in FILTERS:
        for threads in THREADS:
            cells = [row for row in rows if (row["filter"], row["threads"]) == (name, threads)]
            table.add_row(
                f"{name}, {threads}",
                *(f"{c['p50_ms']:.1f} / {c['p95_ms']:.1f}\n{c['qps']:.0f}/s" for c in cells),
            )
    busy = Table(title=f"Headrace, {BUSY_THREADS} threads, while its index changes")
    for column in ("", "p50 ms", "p95 ms", "answers a second"):
        busy.add_column(column, justify="right")
    for name, row in found["while_it_changes"].items():
        busy.add_row(name, f"{row['p50_ms']:.1f}", f"{row['p95_ms']:.1f}", f"{row['qps']:.0f}")
    return [table, busy]
