"""Questions asked by several threads at once, and how long each answer took."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

# What one thread does with the question of a number.
Ask = Callable[[int], object]


@dataclass
class Load:
    """What some slices of time at one concurrency gave.

    Attributes:
        seconds: the slices' length in all, from the first question to the last answer.
        latencies: seconds an answer.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """p50 and p95 in milliseconds, and answers a second."""
        p50, p95 = np.percentile(self.latencies, [50, 95]) * 1_000
        return {
            "p50_ms": round(float(p50), 2),
            "p95_ms": round(float(p95), 2),
            "qps": round(len(self.latencies) / self.seconds, 1),
            "answers": len(self.latencies),
        }


def ask_for(load: Load, ask: Callable[[], Ask], threads: int, seconds: float) -> None:
    """Ask from `threads` threads for a slice of time, and add what it took to a load.

    Every thread asks the questions in their order, each from another one on. An answer that is
    under way when the time is over is waited for, and counts.

    Args:
        load: where the times go.
        ask: gives a thread what it asks with, such as a connection of its own; not timed.
        threads: how many ask at once.
        seconds: for how long.
    """
    ready = threading.Barrier(threads + 1)
    latencies: list[list[float]] = [[] for _ in range(threads)]
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            own = ask()
            ready.wait()
            end = time.perf_counter() + seconds
            turn = number * 37
            while (started := time.perf_counter()) < end:
                own(turn)
                latencies[number].append(time.perf_counter() - started)
                turn += 1
        except BaseException as error:
            failures.append(error)
            ready.abort()

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    try:
        ready.wait()
    except threading.BrokenBarrierError:
        pass
    started = time.perf_counter()
    for worker in workers:
        worker.join()
    if failures:
        raise failures[0]
    load.seconds += time.perf_counter() - started
    load.latencies += [latency for own in latencies for latency in own]
