"""The command that serves the page."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from dagster_project.cli.output import console
from dagster_project.cli.searching import Admin, As, reader
from dagster_project.core.build import Headrace
from dagster_project.core.retrieval import Retriever
from dagster_project.core.settings import Settings

app = typer.Typer()


@app.command("serve")
def serve_page(
    port: Annotated[
        int, typer.Option(help="The port of 127.0.0.1; 0 takes a free one.", min=0, max=65_535)
    ] = 8090,
    principals: As = None,
    admin: Admin = False,
) -> None:
    """Open a web page to look at hits, context and lineage, as one reader; Ctrl-C ends it."""
    # Imported here: no other command needs a web server.
    from dagster_project.serving.page import serve

    retriever = Retriever(Headrace(Settings.load()), reader(principals, admin=admin))
    names = "admin, who sees all" if admin else ", ".join(sorted(retriever.principals.names))
    serve(
        retriever,
        port,
        lambda url: console.print(
            f"{url} (reading as {escape(names)}); Ctrl-C ends it.", highlight=False, soft_wrap=True
        ),
    )
