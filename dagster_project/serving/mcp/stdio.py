"""The server on standard input and output, for a client that starts it."""

from __future__ import annotations

import contextlib
import os
import sys

import anyio
from anyio.to_thread import run_sync
from mcp.server.stdio import stdio_server

from dagster_project.core.build import Headrace
from dagster_project.core.retrieval import Principals
from dagster_project.serving.mcp.server import Calls, build_server
from dagster_project.serving.readers import Reader


def serve_stdio(headrace: Headrace, principals: Principals) -> None:
    """Answer whoever started this process, in one reader's name, until the input ends.

    Nothing but the protocol reaches the output: while it is served, what a library prints goes to
    stderr, and afterwards too, where a library of C empties its buffer as the process ends.
    """
    reader = Reader("stdio", principals)
    try:
        anyio.run(_serve, Calls(headrace, lambda context: reader))
    finally:
        os.dup2(sys.stderr.fileno(), sys.__stdout__.fileno() if sys.__stdout__ else 1)


async def _serve(calls: Calls) -> None:
    server = build_server(calls)
    # The SDK keeps the output for itself and points its descriptor at stderr; a text that Python
    # holds back until the process ends would come too late for that.
    async with stdio_server() as (reading, writing), anyio.create_task_group() as tasks:
        with contextlib.redirect_stdout(sys.stderr):
            tasks.start_soon(run_sync, calls.warm_up)
            await server.run(reading, writing, server.create_initialization_options())
