"""`headrace mcp` as a process, and clients of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent

from dagster_project.core.settings import Settings

CLI = ("-m", "dagster_project.cli")
_ADDRESS = re.compile(r"MCP on (http://\S+/mcp)")


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """The environment in which the command line has these settings."""
    return os.environ | {
        "HEADRACE_HOME": str(settings.home),
        "HEADRACE_POSTGRES_URL": settings.postgres_url or "",
        "HEADRACE_DBT_PROJECT": str(settings.dbt_project),
        "HEADRACE_SCHEMA": settings.schema,
        "HEADRACE_LANCEDB_URI": settings.lancedb_uri,
        "HEADRACE_MODEL": settings.model,
        **more,
    }


def text_of(result: CallToolResult) -> str:
    """What a model reads of a result."""
    return "\n".join(part.text for part in result.content if isinstance(part, TextContent))


@asynccontextmanager
async def on_stdio(
    variables: dict[str, str], *arguments: str, mode: str = "auto"
) -> AsyncIterator[Client]:
    """A client of a process that it starts."""
    server = StdioServerParameters(
        command=sys.executable, args=[*CLI, "mcp", *arguments], env=variables
    )
    async with Client(stdio_client(server), mode=mode) as client:
        yield client


@asynccontextmanager
async def over_http(url: str, token: str | None, mode: str = "auto") -> AsyncIterator[Client]:
    """A client of a server that listens, with a token."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        httpx2.AsyncClient(headers=headers, trust_env=False, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        yield client


class Listening:
    """`headrace mcp --http` on a free port; what it writes on stderr is kept."""

    def __init__(self, variables: dict[str, str], *arguments: str) -> None:
        self.errors: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, *CLI, "mcp", "--http", "--port", "0", *arguments],
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert self._ready.wait(60), self.errors
        found = _ADDRESS.search("".join(self.errors))
        assert found, self.errors
        self.url = found[1]

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.errors.append(line)
            if _ADDRESS.search(line):
                self._ready.set()
        self._ready.set()

    def stop(self) -> str:
        """End it; what it wrote on stdout."""
        self._process.terminate()
        assert self._process.stdout is not None
        written = self._process.stdout.read()
        self._process.wait(30)
        self._reader.join()
        return written

    def post(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> httpx2.Response:
        """One request as a client of 2025 sends it, with whatever headers."""
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
        always = [
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
        ]
        return httpx2.post(
            self.url, content=json.dumps(message), headers=[*always, *headers], trust_env=False
        )


class Pipes:
    """A process that speaks the protocol on its standard streams, line by line."""

    def __init__(self, variables: dict[str, str], *arguments: str) -> None:
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._id = 0

    def ask(self, method: str, params: dict[str, Any]) -> Any:  # noqa: ANN401 - any JSON
        """The result of a request."""
        return self.wait(self.start(method, params))

    def start(self, method: str, params: dict[str, Any]) -> int:
        """Make a request; its id."""
        self._id += 1
        self._send({"id": self._id, "method": method, "params": params})
        return self._id

    def wait(self, number: int) -> Any:  # noqa: ANN401 - any JSON
        """The result of the request of an id; every line up to it is kept."""
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            self.lines.append(line)
            message = json.loads(line)
            if message.get("id") == number:
                return message["result"]
        raise AssertionError("the output ended")

    def begin(self) -> None:
        """The handshake."""
        self.ask(
            "initialize",
            {
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": {"name": "tests", "version": "1"},
            },
        )
        self._send({"method": "notifications/initialized"})

    def end(self) -> str:
        """Close its input; keep the rest of its output, and give what it wrote on stderr."""
        out, errors = self._process.communicate(timeout=60)
        self.lines += out.splitlines(keepends=True)
        assert self._process.returncode == 0, errors
        return errors

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self._process.stdin.flush()
