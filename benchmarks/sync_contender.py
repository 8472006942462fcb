"""A contender of the sync benchmark, driven in its process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / ".venv-bench-sync" / "bin" / "python"
# Neither side tells anybody that it ran.
QUIET = {"COCOINDEX_DISABLE_USAGE_TRACKING": "1", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}


class ContenderError(Exception):
    """A contender ended; the message is the end of what it said."""


class ContenderProcess:
    """A process that runs one contender, from its set-up to the end of the block."""

    def __init__(self, name: str, url: str, folder: Path) -> None:
        """Start it; `ready` is what it answers when it is set up."""
        folder.mkdir(parents=True)
        self._log = folder / "contender.log"
        ours = name.startswith("headrace")
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable if ours else str(PEERS),
                    str(ROOT / "benchmarks" / "sync_peers" / "worker.py"),
                    name,
                    url,
                    str(folder),
                ],
                env=os.environ | QUIET | {"PYTHONPATH": str(ROOT) if ours else ""},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                bufsize=1,
            )
        self.ready = self._answer()

    def ask(self, command: str) -> dict[str, Any]:
        """What it answers to a command.

        Raises:
            ContenderError: it ended instead.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            said = self._log.read_text().strip().splitlines()[-15:]
            raise ContenderError("\n".join(said or [f"ended with code {code}, and said nothing"]))
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> ContenderProcess:
        """The process itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
