"""`headrace ingest`: documents from outside the warehouse."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_project.cli.output import AsJson, console, print_json, table
from dagster_project.core.build import Headrace
from dagster_project.core.settings import Settings

if TYPE_CHECKING:
    from dagster_project.core.ingest import IngestReport

app = typer.Typer(help="Load documents from outside the warehouse.", no_args_is_help=True)

Access = Annotated[
    list[str] | None,
    typer.Option(
        help="A principal who may read what does not say so itself; may be repeated. "
        "Everyone, unless given.",
    ),
]
Source = Annotated[str, typer.Option(help="The source's name, in front of every document's id.")]


@app.command("files")
def files(
    location: Annotated[str, typer.Argument(help="A folder, or a URL such as s3://bucket/folder.")],
    source: Source,
    access: Access = None,
    as_json: AsJson = False,
) -> None:
    """Load PDF, Word, HTML, Markdown and text: new and changed files come in, others go out."""
    from dagster_project.core.ingest import Limits, ingest_files

    headrace = Headrace(Settings.load())
    limits = Limits(size=headrace.settings.max_file_mb << 20)
    report = ingest_files(headrace.warehouse, location, source, limits, _readers(access))
    _print(source, report, as_json)


@app.command("slack")
def slack(
    export: Annotated[Path, typer.Argument(help="A workspace export: the zip, or its folder.")],
    source: Source,
    workspace: Annotated[
        str | None, typer.Option(help="The workspace's domain, acme of acme.slack.com, for links.")
    ] = None,
    direct: Annotated[bool, typer.Option("--direct", help="Direct messages too.")] = False,
    access: Access = None,
    as_json: AsJson = False,
) -> None:
    """Load a Slack export: threads and conversations; what it no longer holds goes out."""
    from dagster_project.core.ingest import ingest_slack

    warehouse = Headrace(Settings.load()).warehouse
    readers = _readers(access)
    report = ingest_slack(warehouse, export, source, workspace, direct=direct, access=readers)
    _print(source, report, as_json)


@app.command("notion")
def notion(
    export: Annotated[Path, typer.Argument(help="An export, or a folder of the API's answers.")],
    source: Source,
    access: Access = None,
    as_json: AsJson = False,
) -> None:
    """Load a Notion export: pages and databases; what it no longer holds goes out."""
    from dagster_project.core.ingest import ingest_notion

    warehouse = Headrace(Settings.load()).warehouse
    _print(source, ingest_notion(warehouse, export, source, _readers(access)), as_json)


def _readers(access: list[str] | None) -> list[str] | None:
    from dagster_project.core.retrieval import Principals

    return None if access is None else sorted(Principals(frozenset(access)).names)


def _print(source: str, report: IngestReport, as_json: bool) -> None:
    if as_json:
        print_json(asdict(report))
        return
    ignored = ", ".join(f"{count} {kind}" for kind, count in sorted(report.ignored.items()))
    console.print(
        f"{source}: {report.added} added, {report.changed} changed, {report.deleted} deleted, "
        f"{report.unchanged} unchanged, {len(report.refused)} refused. "
        + (f"No documents: {ignored}. " if ignored else "")
        + "`headrace build` brings them to the index.",
        markup=False,
    )
    if report.refused:
        rows = [[refusal.document_id, refusal.reason] for refusal in report.refused]
        console.print(table("Refused, and kept in the quarantine", ["file", "reason"], rows))
