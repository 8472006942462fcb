"""One writer at a time in a store."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from dagster_project.core.errors import VectorStoreError


def is_local(uri: str) -> bool:
    """Whether a store is a directory of this machine."""
    return "://" not in uri


@contextlib.contextmanager
def writer_lock(uri: str, name: str, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold a lock file of the store; the kernel frees it when the process ends, however it ends.

    An object store has no such lock: there the warehouse's, which all who write hold, stands alone.

    Args:
        uri: the store.
        name: what is locked.
        wait_seconds: how long to wait for another process.

    Raises:
        VectorStoreError: another process held it all the time; the message names it.
    """
    if not is_local(uri):
        yield
        return
    Path(uri).mkdir(parents=True, exist_ok=True)
    path = Path(uri) / f"{name}.lock"
    until = time.monotonic() + wait_seconds
    with path.open("a+") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() < until:
                    time.sleep(0.05)
                    continue
                handle.seek(0)
                raise VectorStoreError(
                    f"Another process (pid {handle.read().strip() or 'unknown'}) writes the index "
                    f"{uri}, and did for {wait_seconds:.0f} s (it holds {path}): wait until it is "
                    "done, or end it. HEADRACE_LOCK_WAIT sets how long to wait."
                ) from error
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield
