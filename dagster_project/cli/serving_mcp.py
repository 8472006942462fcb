"""`headrace mcp`: the index and the metrics as tools for a model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dagster_project.cli.output import errors
from dagster_project.cli.searching import Admin, As, reader
from dagster_project.core.build import Headrace
from dagster_project.core.errors import ConfigurationError
from dagster_project.core.settings import Settings

app = typer.Typer(invoke_without_command=True)

ReadersFile = Annotated[
    Path | None,
    typer.Option("--readers", help="Whose the tokens are, in YAML; HEADRACE_READERS, unless said."),
]


@app.callback()
def mcp(
    context: typer.Context,
    http: Annotated[
        bool, typer.Option("--http", help="Listen, instead of stdin and stdout.")
    ] = False,
    host: Annotated[str, typer.Option(help="With --http: where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="With --http.", min=0, max=65_535)] = 8765,
    readers_file: ReadersFile = None,
    hosts: Annotated[
        list[str] | None,
        typer.Option("--allow-host", help="With --http: a name that it is reached by; repeatable."),
    ] = None,
    principals: As = None,
    admin: Admin = False,
) -> None:
    """Serve the index and the metrics to a model (MCP), to whoever starts this or over HTTP."""
    if context.invoked_subcommand is not None:
        return
    # Imported here: other commands need none of it.
    from dagster_project.serving.log import log_to_stderr

    settings = Settings.load()
    if not http:
        if readers_file or hosts:
            raise ConfigurationError("--readers and --allow-host go with --http.")
        from dagster_project.serving.mcp.stdio import serve_stdio

        who = reader(principals, admin=admin)
        if sys.stdin.isatty():
            errors.print("MCP on stdin and stdout, for a client that starts this; Ctrl-D ends it.")
        log_to_stderr()
        serve_stdio(Headrace(settings), who)
        return
    if principals or admin:
        raise ConfigurationError(
            "--as and --admin go with stdin and stdout: over HTTP the token says who reads. "
            "`headrace mcp token` makes one."
        )
    from dagster_project.serving.mcp.http import listen, serve_http
    from dagster_project.serving.readers import Readers

    path = readers_file or settings.readers
    readers = Readers(path) if path else None
    log_to_stderr()
    with listen(host, port, readers) as listening:
        serve_http(Headrace(settings), listening, readers, [*settings.mcp_hosts, *(hosts or ())])


@app.command()
def token(
    name: Annotated[str, typer.Option(help="What logs call the reader; unique in the file.")],
    principals: As = None,
    admin: Admin = False,
    readers_file: ReadersFile = None,
) -> None:
    """Make a bearer token, print it once, and add its hash to the file of readers."""
    from dagster_project.serving.readers import add_reader

    path = readers_file or Settings.load().readers
    if path is None:
        raise ConfigurationError("Say where the readers are: --readers FILE, or HEADRACE_READERS.")
    if not principals and not admin:
        raise ConfigurationError(
            "Say what the reader is: --as role:support, --as everyone for what everyone may read, "
            "or --admin."
        )
    made = add_reader(path, name, principals or (), admin=admin)
    errors.print(f"{path} has the hash. The token is shown this once:", markup=False)
    sys.stdout.write(made + "\n")
