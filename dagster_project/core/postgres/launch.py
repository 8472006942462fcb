"""Running ``initdb`` and ``postgres``: with what settings, as whom, and what a failure means."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from dagster_project.core.errors import WarehouseError
from dagster_project.core.postgres.account import Account
from dagster_project.core.postgres.binaries import programs

ROLE = "headrace"
MAX_CONNECTIONS = 50
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": str(MAX_CONNECTIONS),
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Nothing replicates from here, so the WAL can be short and holds only what a crash needs.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "min_wal_size": "32MB",
    "max_wal_size": "256MB",
    # Parallel workers share memory through /dev/shm, of which a container has 64 MB.
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    # A failed statement may hold customers' data; the log gets its error alone.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}
# synchronous_commit stays: without fsync it costs nothing (111 microseconds a commit with and
# without, 371 durable), and without it a server that is killed loses its last commits.
FAST_SETTINGS = {"fsync": "off", "full_page_writes": "off"}
# The server outlives us and may be another account's: it gets no secret and no PG* setting of ours.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
LAST_LINES = 8
DAMAGED = "The data are damaged: put a copy back, or delete the folder to begin anew."
DISK_FULL = "Free space on the disk that holds the folder, and start again."
REMEDIES = {
    "No space left on device": DISK_FULL,
    "free disk space": DISK_FULL,
    "could not look up effective user ID": "Give this user a name in /etc/passwd.",
    "shared memory": "Raise the limit of (shared) memory of this machine or container.",
    "pg_control": DAMAGED,
    "checkpoint record": DAMAGED,
}


def make_data(data: Path, account: Account, claim: int) -> None:
    """Run initdb beside ``data`` and rename the result: data that exist are whole.

    Args:
        data: the folder to make; the superuser's password is read from ``password`` beside it.
        account: the OS account that owns the folder around it.
        claim: descriptor of the lock that tells that a process of this server lives.

    Raises:
        WarehouseError: initdb failed, with what it said last.
    """
    part = data.with_name("data.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    account.give(part)
    options = ["--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", f"--username={ROLE}"]
    options += ["--pwfile=../password", "--no-instructions", *(["--no-sync"] if _is_fast() else [])]
    made = subprocess.run(
        [programs(account) / "initdb", "-D", _seen_from_inside(part), *options],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        **_surroundings(part, account, claim),
    )
    if made.returncode != 0:
        raise failure(data.parent, made.stderr)
    part.rename(data)
    folder = os.open(data.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def launch(data: Path, cluster: str, log: int, account: Account, claim: int) -> None:
    """Run the server on a free port, detached from this process and its terminal.

    Args:
        data: the data folder. No process may be using it.
        cluster: the name by which its processes and its sessions are known again.
        log: descriptor that gets all that the server says.
        account: the OS account that owns the data.
        claim: descriptor of the lock that the server holds for as long as it lives.

    Raises:
        WarehouseError: the data are damaged, or no programs for their version are installed.
    """
    folder = programs(account, data)
    # Nobody uses the data, so a pid file is a left-over. Postgres would heed it where its pid is in
    # use again by a process of the same account.
    (data / "postmaster.pid").unlink(missing_ok=True)
    settings = {"cluster_name": cluster, "port": str(_free_port()), **SETTINGS}
    if _is_fast():
        settings |= FAST_SETTINGS
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    server = subprocess.Popen(
        [folder / "postgres", "-D", _seen_from_inside(data), *options],
        stdout=log,
        stderr=log,
        **_surroundings(data, account, claim),
    )
    # Reaps the server if it ends before this process does.
    threading.Thread(target=server.wait, daemon=True).start()


def failure(folder: Path, said: str) -> WarehouseError:
    """The error for a server that did not start, from what it ``said``."""
    last = "\n".join(said.strip().splitlines()[-LAST_LINES:]) or "(nothing)"
    advice = remedy(said) or f"The log is {folder / 'server.log'}."
    return WarehouseError(
        f"The embedded Postgres in {folder} did not start. {advice} It said last:\n{last}"
    )


def remedy(said: str) -> str | None:
    """What to do about a message of the server's or the system's, where we know."""
    return next((text for sign, text in REMEDIES.items() if sign in said), None)


def _surroundings(folder: Path, account: Account, claim: int) -> dict[str, Any]:
    """What each program runs in: a session of its own, too, where no Ctrl-C reaches it."""
    return {
        "cwd": folder,
        "env": ENVIRONMENT,
        "stdin": subprocess.DEVNULL,
        "pass_fds": (claim,),
        "start_new_session": True,
        **account.identity(),
    }


def _seen_from_inside(folder: Path) -> str:
    """How a program names the folder that is its working directory."""
    return "/proc/self/cwd" if sys.platform == "linux" else str(folder)


def _is_fast() -> bool:
    """Whether a crash of the machine may cost the data (one of the server never does)."""
    return os.environ.get("HEADRACE_PG_FAST") == "1"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
