"""Locks of a machine: BigQuery has none, so the processes of a pipeline share a folder."""

from __future__ import annotations

import contextlib
import fcntl
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from dagster_project.core.errors import WarehouseError


class FolderLocks:
    """Locks that are files; the kernel frees them when their process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        """Take the folder that all processes of the pipeline see; it is made when it is needed."""
        self._folder = folder

    @contextlib.contextmanager
    def lock(self, name: str, wait_seconds: float) -> Iterator[None]:
        """Hold a lock that one process at a time has.

        Raises:
            WarehouseError: another process held it all the time.
        """
        until = time.monotonic() + wait_seconds
        with self._open(name) as handle:
            while not _take(handle, fcntl.LOCK_EX):
                if time.monotonic() >= until:
                    raise WarehouseError(
                        f"Another process has been running {name} on this warehouse for over "
                        f"{wait_seconds:.0f} s (it holds {handle.name}): wait until it is done, or "
                        "end it. HEADRACE_LOCK_WAIT sets how long to wait."
                    )
                time.sleep(0.1)
            yield

    @contextlib.contextmanager
    def presence(self, name: str) -> Iterator[None]:
        """Show that a process lives, to whoever asks `is_locked`; several may at once."""
        with self._open(name) as handle:
            fcntl.flock(handle, fcntl.LOCK_SH)
            yield

    def is_locked(self, name: str) -> bool:
        """Whether a process holds a lock."""
        with self._open(name) as handle:
            return not _take(handle, fcntl.LOCK_EX)

    def _open(self, name: str) -> IO[str]:
        self._folder.mkdir(parents=True, exist_ok=True)
        return (self._folder / re.sub(r"[^A-Za-z0-9-]+", "-", name)).open("a")


def _take(handle: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
