"""The server on streamable HTTP: a bearer token says who reads."""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import uvicorn
from anyio.to_thread import run_sync
from mcp.server.transport_security import TransportSecuritySettings
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from dagster_project.core.build import Headrace
from dagster_project.core.errors import ConfigurationError
from dagster_project.core.retrieval import Principals
from dagster_project.serving.mcp.server import Calls, Context, build_server
from dagster_project.serving.readers import Reader, Readers

PATH = "/mcp"
_READER = "headrace.reader"
_LONGEST_BODY = 256 * 1024
_MOST_CONNECTIONS = 256
_HERE = ("127.0.0.1", "localhost", "[::1]")

logger = logging.getLogger(__name__)


class BearerTokens:
    """ASGI middleware: a request without the token of a reader ends here with 401.

    Without a file of readers everybody reads what everyone may; `listen` sees to it that this is so
    on this machine alone.
    """

    def __init__(self, app: ASGIApp, readers: Readers | None) -> None:
        """Take what is guarded, and whose the tokens are."""
        self._app = app
        self._readers = readers
        self._everyone = Reader("everyone", Principals.of())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find the reader of a request, and note them in its scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        reader = self._everyone if self._readers is None else _reader(self._readers, given)
        if reader is None:
            client = scope.get("client") or ("an unknown address",)
            logger.info("A request from %s was refused: it has no token of a reader.", client[0])
            await _refusal(is_given=bool(given))(scope, receive, send)
        elif scope["method"] != "POST":
            # There is no session to listen to or to end.
            await Response(status_code=405, headers={"Allow": "POST"})(scope, receive, send)
        else:
            await self._app({**scope, _READER: reader}, receive, send)


def _reader(readers: Readers, given: Sequence[bytes]) -> Reader | None:
    # Of two tokens, none is the one that is meant.
    if len(given) != 1:
        return None
    scheme, _, token = given[0].decode("latin-1").partition(" ")
    return readers.of_token(token.strip()) if scheme.lower() == "bearer" else None


def _refusal(*, is_given: bool) -> Response:
    """A challenge by RFC 6750; a request without a token is told of no error."""
    challenge = 'Bearer realm="headrace"'
    description = "Send the header Authorization: Bearer <token>."
    if is_given:
        description = "The token is unknown or was taken back."
        challenge += f', error="invalid_token", error_description="{description}"'
    return JSONResponse(
        {"error": "invalid_token", "error_description": description},
        status_code=401,
        headers={"WWW-Authenticate": challenge},
    )


def reader_of(context: Context) -> Reader:
    """The reader whose token came with the very request that is answered."""
    assert context.request is not None, "over HTTP, what is answered is a request"
    reader = context.request.scope[_READER]
    assert isinstance(reader, Reader)
    return reader


def build_app(headrace: Headrace, readers: Readers | None, hosts: Sequence[str] = ()) -> ASGIApp:
    """The ASGI application.

    It keeps no session: each request stands alone, in the name of its own token.

    Args:
        headrace: whose index, metrics and settings these are.
        readers: whose the tokens are; None lets everybody read what everyone may.
        hosts: names, beside those of this machine, that requests may address it by.

    Raises:
        ConfigurationError: there are such names and no readers.
    """
    if hosts and readers is None:
        raise ConfigurationError(
            f"{hosts[0]} may be reached by others, who would all read: name the readers "
            "(--readers FILE or HEADRACE_READERS)."
        )
    calls = Calls(headrace, reader_of)
    app = build_server(calls).streamable_http_app(
        streamable_http_path=PATH,
        json_response=True,
        stateless_http=True,
        max_request_body_size=_LONGEST_BODY,
        transport_security=_addressed_by(hosts),
    )
    lifespan = app.router.lifespan_context

    @asynccontextmanager
    async def warmed(app: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - as Starlette has it
        async with lifespan(app) as state, anyio.create_task_group() as tasks:
            tasks.start_soon(run_sync, calls.warm_up)
            yield state

    app.router.lifespan_context = warmed
    return BearerTokens(app, readers)


def _addressed_by(hosts: Sequence[str]) -> TransportSecuritySettings:
    """Which Host and Origin a request may have.

    A page of another site that has had its name resolve to this machine says its own name there.
    """
    names = [*_HERE, *hosts]
    ports = ("", ":*")
    return TransportSecuritySettings(
        allowed_hosts=[name + port for name in names for port in ports],
        allowed_origins=[
            *(f"http://{name}{port}" for name in _HERE for port in ports),
            *(f"https://{name}{port}" for name in hosts for port in ports),
        ],
    )


def listen(host: str, port: int, readers: Readers | None) -> socket.socket:
    """A socket that listens.

    Raises:
        ConfigurationError: others could reach it and no readers are named, or it cannot be had.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(
            f"--host {host} is no address of this machine ({error})."
        ) from error
    if readers is None and not ipaddress.ip_address(address[0]).is_loopback:
        raise ConfigurationError(
            f"--host {host} can be reached by others, who would all read: name the readers "
            "(--readers FILE or HEADRACE_READERS; `headrace mcp token` makes one), or listen on "
            "127.0.0.1."
        )
    try:
        # Of an address alone: a name could mean another one by now.
        return socket.create_server((address[0], port), family=family)
    except OSError as error:
        raise ConfigurationError(
            f"Nothing can listen on {host}, port {port} ({error.strerror}): choose another with "
            "--host or --port."
        ) from error


def serve_http(
    headrace: Headrace, listening: socket.socket, readers: Readers | None, hosts: Sequence[str] = ()
) -> None:
    """Answer on a socket until a signal ends it; the arguments are those of `build_app`."""
    name, port = listening.getsockname()[:2]
    address = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
    whose = f"for {readers}" if readers is not None else "for whoever is on this machine"
    logger.info("MCP on http://%s%s, %s.", address, PATH, whose)
    config = uvicorn.Config(
        build_app(headrace, readers, hosts),
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="on",
        limit_concurrency=_MOST_CONNECTIONS,
    )
    uvicorn.Server(config).run(sockets=[listening])
