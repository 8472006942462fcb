"""A BigQuery on this machine: the local-bigquery emulator, started for a test session.

It needs Python 3.13 or newer, so it lives in a venv of its own, built on first use from
``emulator-requirements.txt``. It runs what dbt and the clients send; whether that is BigQuery SQL
at all is the question of `zetasql_judge`, since the emulator takes much that BigQuery refuses.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.api_core.retry import Retry
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from dagster_project.core.errors import HeadraceError

REPOSITORY = Path(__file__).resolve().parents[2]
CACHE = REPOSITORY / ".venv-bigquery"
REQUIREMENTS = Path(__file__).with_name("emulator-requirements.txt")
LAUNCHER = Path(__file__).with_name("launcher.py")
PYTHON_NEEDED = (3, 13)
PROJECT = "test-proj"
INSTALL_SECONDS = 600
START_SECONDS = 60
REQUEST_SECONDS = 60


class EmulatorUnavailable(HeadraceError):
    """This machine cannot have the emulator: no Python for it, or no way to install it."""


class EmulatorFailed(HeadraceError):
    """The emulator is installed and does not start."""


@dataclass(frozen=True)
class Emulator:
    """A running emulator.

    Attributes:
        endpoint: base URL of the REST API.
        grpc_address: ``host:port`` of the Storage API, without TLS.
        project: the project that it serves.
    """

    endpoint: str
    grpc_address: str
    project: str

    def client(self) -> bigquery.Client:
        """A client of the emulator, without credentials."""
        return bigquery.Client(
            project=self.project,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": self.endpoint},
        )

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Run one statement or script and give its rows, within a minute."""
        # The client's own retry of a server error goes on for ten minutes.
        retry = Retry(predicate=lambda error: False)
        job = self.client().query(sql, retry=retry, job_retry=None, timeout=REQUEST_SECONDS)
        rows = job.result(retry=retry, job_retry=None, timeout=REQUEST_SECONDS)
        return [dict(row.items()) for row in rows]

    def dbt_environment(self, dataset: str) -> dict[str, str]:
        """The environment that sends the project's dbt profile to ``dataset`` of this emulator."""
        return {
            "HEADRACE_WAREHOUSE": "bigquery",
            "HEADRACE_SCHEMA": dataset,
            "HEADRACE_BQ_METHOD": "oauth-secrets",
            "DBT_ENV_SECRET_HEADRACE_BQ_TOKEN": "none",
            "HEADRACE_BQ_PROJECT": self.project,
            "HEADRACE_BQ_LOCATION": "US",
            "HEADRACE_BQ_API_ENDPOINT": self.endpoint,
        }


class Server:
    """An emulator's process, which may be killed and started again on what it wrote.

    Attributes:
        emulator: how to reach it; the same after a restart.
    """

    def __init__(self, scratch: Path, cache: Path = CACHE) -> None:
        """Take the folder of its data, and install it where it is missing.

        Raises:
            EmulatorUnavailable: it cannot be installed here.
        """
        self._python = install(cache)
        self._scratch = scratch
        self._process: subprocess.Popen[bytes] | None = None
        port, grpc_port = _free_port(), _free_port()
        self.emulator = Emulator(f"http://127.0.0.1:{port}", f"127.0.0.1:{grpc_port}", PROJECT)
        # Isolated: no PYTHONPATH of the tests reaches the other Python.
        self._command = [str(self._python), "-I", str(LAUNCHER), "serve", "--host", "127.0.0.1"]
        self._command += ["--port", str(port), "--grpc-port", str(grpc_port), "--project", PROJECT]
        self._command += ["--data-dir", str(scratch / "data")]

    def start(self) -> None:
        """Start it, and wait until it answers.

        Raises:
            EmulatorFailed: it does not start.
        """
        home, log_path = self._scratch / "home", self._scratch / "emulator.log"
        for folder in (home, self._scratch / "data"):
            folder.mkdir(exist_ok=True)
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"HOME": str(home)},
            )
        _wait_until_ready(self.emulator, self._process, log_path)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def stop(self) -> None:
        """End it as a person would."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None


@contextmanager
def running(scratch: Path, cache: Path = CACHE) -> Iterator[Emulator]:
    """A fresh emulator, its data under ``scratch``; it ends with the block.

    Raises:
        EmulatorUnavailable: it cannot be installed here.
        EmulatorFailed: it is installed and does not start.
    """
    server = Server(scratch, cache)
    try:
        server.start()
        yield server.emulator
    finally:
        server.stop()


def install(cache: Path = CACHE) -> Path:
    """The Python of the emulator's venv under ``cache``, built where it is missing or outdated.

    Raises:
        EmulatorUnavailable: there is no Python for it, or pip cannot install it.
    """
    cache.mkdir(parents=True, exist_ok=True)
    venv, complete = cache / "venv", cache / "complete"
    wanted = REQUIREMENTS.read_text()
    with (cache / "lock").open("w") as lock:
        # Parallel test processes: one builds, the others wait for it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        python = venv / "bin" / "python"
        if not complete.is_file() or complete.read_text() != wanted or not python.exists():
            complete.unlink(missing_ok=True)
            shutil.rmtree(venv, ignore_errors=True)
            _run([str(find_python()), "-m", "venv", str(venv)])
            _run([str(python), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)])
            complete.write_text(wanted)
    return python


def find_python() -> Path:
    """A Python that can run the emulator.

    Raises:
        EmulatorUnavailable: there is none on PATH or among pyenv's versions.
    """
    minor_versions = range(PYTHON_NEEDED[1], PYTHON_NEEDED[1] + 2)
    on_path = [shutil.which(f"python3.{minor}") for minor in minor_versions]
    pyenv = sorted((Path.home() / ".pyenv" / "versions").glob("*/bin/python"))
    for candidate in [sys.executable, *on_path, *map(str, pyenv)]:
        if candidate and _version(candidate) >= PYTHON_NEEDED:
            return Path(candidate)
    raise EmulatorUnavailable(
        f"No Python {'.'.join(map(str, PYTHON_NEEDED))} or newer on PATH or in ~/.pyenv/versions: "
        "install one for the BigQuery emulator."
    )


def _version(python: str) -> tuple[int, ...]:
    """Version of an interpreter; (0,) of a command that starts none, as a pyenv shim may be."""
    command = [python, "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return (0,)
    return tuple(int(part) for part in done.stdout.split())


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=True)
    except subprocess.CalledProcessError as error:
        raise EmulatorUnavailable(
            f"The BigQuery emulator cannot be installed: {' '.join(command)} "
            f"says: {error.stderr[-800:]}"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise EmulatorUnavailable(
            f"The BigQuery emulator cannot be installed: {' '.join(command)} "
            f"took over {error.timeout:.0f} s."
        ) from error


def _wait_until_ready(emulator: Emulator, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{emulator.endpoint}/bigquery/v2/projects", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    state = "does not answer" if process.poll() is None else f"ended with code {process.returncode}"
    tail = log.read_text(errors="replace")[-2000:]
    raise EmulatorFailed(
        f"The BigQuery emulator on {emulator.endpoint} {state}: its log ends\n{tail}"
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
