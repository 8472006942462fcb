"""How often a reader may call, and how many calls run at once."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from enum import Enum

import anyio

from dagster_project.core.errors import HeadraceError

# Seconds that a call waits for a place; a model's client waits about a minute in all.
_PATIENCE = 10.0


class TooManyCallsError(HeadraceError):
    """A reader called too often, or all places are taken."""


class Lane(Enum):
    """What waits for the same places: a slow metric holds up other metrics and no search."""

    SEARCH = "search"
    METRICS = "metrics"


class RateLimit:
    """A bucket of tokens for each reader: a call takes one, and they come back at a steady rate."""

    def __init__(
        self, per_minute: int, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take the rate and the size of the bucket.

        Args:
            per_minute: calls a minute in the long run.
            burst: calls at once after a pause.
            clock: gives seconds.
        """
        self.per_minute = per_minute
        self.burst = burst
        self._clock = clock
        # Tokens left, and when they were counted.
        self._buckets: dict[str, tuple[float, float]] = {}

    def admit(self, reader: str) -> None:
        """Take a token of a reader's.

        Raises:
            TooManyCallsError: there is none; it says when there is.
        """
        now, rate = self._clock(), self.per_minute / 60
        left, at = self._buckets.get(reader, (float(self.burst), now))
        left = min(left + (now - at) * rate, float(self.burst))
        if left < 1:
            self._buckets[reader] = (left, now)
            raise TooManyCallsError(
                f"Too many calls: {self.per_minute} a minute, {self.burst} at once. Try again in "
                f"{math.ceil((1 - left) / rate)} s."
            )
        self._buckets[reader] = (left - 1, now)


class Places:
    """Places to run in, some in each lane; a reader has at most half of a lane's."""

    def __init__(self, searches: int, patience: float = _PATIENCE) -> None:
        """Take how many searches run at once; a quarter as many metrics run beside them.

        Args:
            searches: 1 or more.
            patience: seconds that a call waits for a place.
        """
        self._sizes = {Lane.SEARCH: searches, Lane.METRICS: max(searches // 4, 1)}
        self._patience = patience
        self._lanes = {lane: anyio.Semaphore(size) for lane, size in self._sizes.items()}
        self._shares: dict[tuple[str, Lane], anyio.Semaphore] = {}
        self.total = sum(self._sizes.values())

    @asynccontextmanager
    async def place(self, reader: str, lane: Lane) -> AsyncIterator[None]:
        """Hold a place of a reader's in a lane.

        Raises:
            TooManyCallsError: none got free in time.
        """
        share = self._shares.setdefault(
            (reader, lane), anyio.Semaphore(max(self._sizes[lane] // 2, 1))
        )
        async with AsyncExitStack() as stack:
            with anyio.move_on_after(self._patience) as waiting:
                await stack.enter_async_context(share)
                await stack.enter_async_context(self._lanes[lane])
            if waiting.cancelled_caught:
                raise TooManyCallsError(
                    f"The server is busy: no call ended within {self._patience:g} s. Try again in "
                    f"{self._patience:g} s."
                )
            yield
