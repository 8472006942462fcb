"""Serving the page on 127.0.0.1 until somebody ends it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

import uvicorn

from dagster_project.core.errors import ConfigurationError
from dagster_project.core.retrieval import Retriever
from dagster_project.serving.page.app import make_app

_HOST = "127.0.0.1"


def serve(retriever: Retriever, port: int, started: Callable[[str], None]) -> None:
    """Serve what a reader may read, to this machine alone; returns when it is interrupted.

    Args:
        retriever: the reader's.
        port: of 127.0.0.1; 0 takes a free one.
        started: called with the page's address.

    Raises:
        ConfigurationError: the port cannot be had.
    """
    with socket.socket() as listening:
        # A port whose last connections are still closing can be had again.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((_HOST, port))
            listening.listen()
        except OSError as error:
            raise ConfigurationError(
                f"Port {port} of {_HOST} cannot be had ({error.strerror}): end what has it, or "
                "name another with --port; 0 takes a free one."
            ) from error
        started(f"http://{_HOST}:{listening.getsockname()[1]}/")
        # No access log: a reader's questions are nobody else's business.
        config = uvicorn.Config(
            make_app(retriever),
            access_log=False,
            log_level="warning",
            lifespan="off",
            server_header=False,
            ws="none",
        )
        # uvicorn hands Ctrl-C on when it is done.
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])
