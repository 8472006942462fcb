"""The `headrace` command."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape

from dagster_project.cli import (
    checking,
    evaluating,
    index,
    ingesting,
    running,
    searching,
    serving_mcp,
    serving_page,
)
from dagster_project.cli.output import AsJson, console, errors, print_hits, print_json, table
from dagster_project.cli.progress import build_progress
from dagster_project.core.build import BuildReport, Headrace
from dagster_project.core.checks import hold_back
from dagster_project.core.errors import ConfigurationError, HeadraceError
from dagster_project.core.settings import Settings

app = typer.Typer(
    help="Fresh, governed context from a warehouse to language models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(ingesting.app, name="ingest")
app.add_typer(searching.app)
app.add_typer(running.app)
app.add_typer(index.app)
app.add_typer(checking.app)
app.add_typer(evaluating.app)
app.add_typer(serving_mcp.app, name="mcp")
app.add_typer(serving_page.app)


def main() -> None:
    """Run the command line; an error that a person can mend is one line and exit code 2."""
    try:
        app()
    except HeadraceError as error:
        errors.print(f"[bold red]Error:[/] {escape(str(error))}", highlight=False)
        sys.exit(2)


def _headrace() -> Headrace:
    return Headrace(Settings.load())


@app.command()
def build(
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Rebuild the dbt models from nothing.")
    ] = False,
    no_promote: Annotated[
        bool,
        typer.Option("--no-promote", help="Fill a new generation, but leave readers on the old."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run dbt, embed what changed, verify it, publish it."""
    headrace = _headrace()
    arguments = ["--full-refresh"] if full_refresh else []
    report = _build(headrace, arguments, quiet=as_json, promote=not no_promote)
    if as_json:
        print_json(asdict(report))


def _build(
    headrace: Headrace, arguments: list[str], *, quiet: bool, promote: bool = True
) -> BuildReport:
    with build_progress(errors, quiet=quiet) as (on_node, on_chunks):
        report = headrace.build(arguments, on_node, on_chunks, promote=promote, gate=hold_back)
    if not quiet:
        done = report.sync
        console.print(
            f"dbt: {len(report.dbt)} nodes. Index: {done.added} chunks added, {done.changed} "
            f"changed ({done.embedded} embedded, {done.reused} vectors reused), "
            f"{done.payload_only} described anew, {done.deleted} deleted, {done.quarantined} "
            f"quarantined. Version {report.live_version} of {report.generation} is live."
        )
    return report


@app.command()
def status(as_json: AsJson = False) -> None:
    """Say what the warehouse and the index hold, and whether they agree."""
    headrace = _headrace()
    found = _status(headrace)
    if as_json:
        print_json(found)
        return
    console.print(
        table(
            f"Headrace in {headrace.settings.home}",
            ["", ""],
            [[name, _said(value)] for name, value in found.items()],
        )
    )


def _said(value: object) -> object:
    """A figure of the status as a person reads it: nothing is said where there is none."""
    if isinstance(value, dict):
        return "\n".join(
            f"{source}: " + ", ".join(f"{name} {seconds}" for name, seconds in lags.items())
            for source, lags in value.items()
        )
    return "" if value is None else value


def _status(headrace: Headrace) -> dict[str, Any]:
    warehouse, live = headrace.warehouse, headrace.store.live()
    built = warehouse.has_chunks()
    chunks = warehouse.count_chunks() if built else 0
    index = headrace.store.index(live) if live else None
    difference = headrace.verify() if built and live else None
    waiting, oldest = warehouse.backlog() if built else (0, None)
    rate = warehouse.documents_per_second() if built else None
    model_id = live.model_id if live else headrace.settings.model_id
    return {
        "warehouse": _place(headrace.settings),
        "documents": warehouse.count_documents() if built else 0,
        "chunks_active": chunks,
        "index_rows": index.live().count_rows() if index else 0,
        "missing": len(difference.missing) if difference else chunks,
        "orphans": len(difference.orphans) if difference else 0,
        "quarantined": len(warehouse.quarantined_chunks(model_id)),
        "generation": live.name if live else None,
        "live_version": index.live_version if index else None,
        "last_batch_id": warehouse.batch_range()[1] if built else None,
        "model_id": model_id,
        "documents_waiting": waiting,
        "oldest_waiting": oldest,
        "seconds_to_catch_up": round(waiting / rate) if rate else None,
        "lag_seconds": {
            row["source_name"]: {name: round(row[name], 1) for name in ("p50", "p95", "max")}
            for row in warehouse.lag(minutes=60)
        },
    }


def _place(settings: Settings) -> str:
    """Which warehouse it is, and the schema (dataset) of the models in it."""
    if settings.bigquery is not None:
        return f"bigquery {settings.bigquery.project}.{settings.schema}"
    return f"postgres {settings.schema}"


@app.command()
def demo(
    live: Annotated[
        bool, typer.Option("--live", help="Keep changing the application's data until Ctrl-C.")
    ] = False,
    scale: Annotated[float, typer.Option(help="Multiplies customers, tickets and comments.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Another seed gives another company.")] = 7,
    per_second: Annotated[float, typer.Option(help="Changes a second with --live.")] = 1.0,
) -> None:
    """Fill the example company's database and run the main job on it."""
    from dagster_project.demo import run as demo_run

    headrace = _headrace()
    if headrace.settings.postgres_url:
        raise ConfigurationError(
            "`headrace demo` writes the schema saas, and HEADRACE_POSTGRES_URL names your own "
            "Postgres: "
            "unset it, so that the demo runs in the embedded one."
        )
    if live:
        for line in demo_run.changes(headrace, per_second=per_second, seed=seed):
            console.print(line, highlight=False)
        return
    headrace = demo_run.prepare(headrace, scale=scale, seed=seed, console=console)
    _build(headrace, [], quiet=False)
    found = _status(headrace)
    rows = [
        ["documents", found["documents"]],
        ["chunks", found["chunks_active"]],
        ["vectors", found["index_rows"]],
    ]
    console.print(table("The demo is built", ["", "rows"], rows))
    for question in demo_run.QUESTIONS:
        print_hits(question, searching.examples(headrace, question))
