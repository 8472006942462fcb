"""A process that parses files: where it hangs, eats memory or dies, the file is refused.

A parser reads what strangers wrote. It runs in a process of its own, with a time limit and a limit
of memory; one that breaks either is killed, and the next file gets a new process. The two talk in
frames of eight bytes of length and then the content, and the answer is JSON: what comes back from
a process that read a hostile file is data and never code.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import IO, Any

from dagster_project.core.ingest.documents import MOST_CHARACTERS, Parsed

PARSE_SECONDS = 60.0
_MEMORY = 2 << 30
_LENGTH = struct.Struct(">Q")


class ParserPool:
    """Some worker processes, each parsing one file at a time; they start when they are needed."""

    def __init__(self, size: int, seconds: float = PARSE_SECONDS, memory: int = _MEMORY) -> None:
        """Take the number of processes, the seconds for a file and the bytes for a process."""
        self.size = size
        self._workers: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._all = [_Worker(seconds, memory) for _ in range(size)]
        for worker in self._all:
            self._workers.put(worker)

    def __enter__(self) -> ParserPool:
        """Nothing is started yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes."""
        for worker in self._all:
            worker.stop()

    def parse(self, kind: str, data: bytes) -> Parsed:
        """What a file holds; threads may call it at once, and wait where every process is busy.

        Args:
            kind: ``pdf``, ``docx`` or ``html``.
            data: the file's bytes.

        Raises:
            ValueError: the file cannot be parsed, with the reason.
        """
        worker = self._workers.get()
        try:
            return worker.parse(kind, data)
        finally:
            self._workers.put(worker)


class _Worker:
    """One process, from the side of the loader."""

    def __init__(self, seconds: float, memory: int) -> None:
        self._seconds = seconds
        self._memory = memory
        self._process: subprocess.Popen[bytes] | None = None

    def parse(self, kind: str, data: bytes) -> Parsed:
        process = self._process or self._start()
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self._seconds, end)
        timer.start()
        try:
            answer = json.loads(_ask(process, kind, data))
        except (OSError, EOFError) as error:
            self.stop()
            raise ValueError(
                f"it takes over {self._seconds:.0f} s to parse: make it smaller or simpler"
                if late.is_set()
                else "the parser dies of it: the file is damaged, or made to harm"
            ) from error
        finally:
            timer.cancel()
        if "refused" in answer:
            raise ValueError(answer["refused"])
        return Parsed(**answer)

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import main; main()", str(self._memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # The child finds the package where this process found it.
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        return self._process

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        with contextlib.suppress(OSError):
            process.communicate()


def _ask(process: subprocess.Popen[bytes], kind: str, data: bytes) -> bytes:
    if process.stdin is None or process.stdout is None:
        raise EOFError
    for part in (kind.encode(), data):
        process.stdin.write(_LENGTH.pack(len(part)) + part)
    process.stdin.flush()
    return _frame(process.stdout)


def _frame(stream: IO[bytes]) -> bytes:
    (length,) = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
    return _exactly(stream, length)


def _exactly(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data


def _parser(kind: str) -> Callable[[bytes], Parsed]:
    # Each takes long to import and is not always needed.
    if kind == "pdf":
        from dagster_project.core.ingest.formats.pdf import parse_pdf

        return parse_pdf
    if kind == "docx":
        from dagster_project.core.ingest.formats.docx import parse_docx

        return parse_docx
    from dagster_project.core.ingest.formats.html import parse_html

    return parse_html


def _answer(kind: str, data: bytes) -> dict[str, Any]:
    try:
        parsed = _parser(kind)(data)
    except MemoryError:
        return {"refused": "it needs more memory than a parser may use: make it smaller"}
    except RecursionError:
        return {"refused": "it is nested too deeply: make it flatter"}
    except ValueError as error:
        return {"refused": str(error)}
    # What the parsers raise of damaged files has no common class.
    except Exception as error:
        return {"refused": f"it is damaged: {type(error).__name__}: {error}"[:500]}
    if len(parsed.body) > MOST_CHARACTERS:
        return {"refused": f"its text has {len(parsed.body)} characters: split the file"}
    return asdict(parsed)


def _requests(stream: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    while True:
        try:
            yield _frame(stream).decode(), _frame(stream)
        except EOFError:
            return


def _limit_memory(most: int) -> None:
    # Windows has no such module, and macOS does not hold the limit: there the time limit is left.
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main() -> None:
    """Answer requests on standard input until it ends."""
    _limit_memory(int(sys.argv[1]))
    # What a parser prints must not come between the frames.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    for kind, data in _requests(sys.stdin.buffer):
        answer = json.dumps(_answer(kind, data)).encode()
        answers.write(_LENGTH.pack(len(answer)) + answer)
        answers.flush()
