"""The `headrace` command."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dagster_project.core.build import BuildReport, Headrace, describe
from dagster_project.core.errors import ConfigurationError, HeadraceError
from dagster_project.core.postgres import EmbeddedPostgres
from dagster_project.core.settings import Settings
from dagster_project.progress import build_progress

if TYPE_CHECKING:
    from dagster_project.core.retrieval import Hit

app = typer.Typer(
    help="Fresh, governed context from a warehouse to language models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
ingest_app = typer.Typer(help="Load documents from outside the warehouse.", no_args_is_help=True)
index_app = typer.Typer(help="Look into the vector index.", no_args_is_help=True)
app.add_typer(ingest_app, name="ingest")
app.add_typer(index_app, name="index")

console = Console()
errors = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON with stable keys.")]


def main() -> None:
    """Run the command line; an error that a person can mend is one line and exit code 2."""
    try:
        app()
    except HeadraceError as error:
        errors.print(f"[bold red]Error:[/] {escape(str(error))}", highlight=False)
        sys.exit(2)


def _headrace() -> Headrace:
    return Headrace(Settings.load())


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, default=str, ensure_ascii=False, indent=2) + "\n")


def _table(title: str, columns: list[str], rows: list[list[Any]]) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row))
    return table


@app.command()
def up() -> None:
    """Start the embedded Postgres."""
    headrace = _headrace()
    if headrace.settings.postgres_url:
        console.print("HEADRACE_POSTGRES_URL names your own Postgres: there is nothing to start.")
        return
    headrace.warehouse.prepare()
    console.print(f"Postgres runs; its data is in {headrace.settings.home / 'postgres'}.")


@app.command()
def down() -> None:
    """Stop the embedded Postgres."""
    stopped = EmbeddedPostgres(Settings.load().home).stop()
    console.print("Postgres is stopped." if stopped else "No Postgres was running.")


@app.command("env")
def environment() -> None:
    """Print the variables that dbt's profile reads, for `eval "$(headrace env)"`."""
    headrace = _headrace()
    for name, value in headrace.dbt.environment.items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")


@app.command(
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],
    },
)
def dbt(context: typer.Context) -> None:
    """Run dbt on the project and the warehouse of the settings: `headrace dbt test`."""
    _passed_on("dbt", context.args)


@app.command(
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],
    },
)
def mf(context: typer.Context) -> None:
    """Run MetricFlow likewise: `headrace mf query --metrics arr`."""
    _passed_on("mf", context.args)


def _passed_on(command: str, arguments: list[str]) -> None:
    headrace = _headrace()
    headrace.dbt.install()
    # The command of this environment, whatever the shell's path says.
    program = Path(sys.executable).parent / command
    environment = os.environ | headrace.dbt.environment
    if command == "mf":
        # MetricFlow looks for dbt's artifacts in the project's own folder only.
        environment.pop("DBT_TARGET_PATH")
        target = headrace.settings.dbt_project / "target"
        headrace.dbt.invoke(["parse", "--target-path", str(target)])
    result = subprocess.run(
        [program, *arguments], cwd=headrace.settings.dbt_project, env=environment
    )
    raise typer.Exit(result.returncode)


# A local instance asks nobody to sign up, and tells nobody what runs.
_DAGSTER_YAML = "telemetry:\n  enabled: false\nnux:\n  enabled: false\n"


@app.command()
def dev(
    port: Annotated[int, typer.Option(help="The port of the Dagster UI on 127.0.0.1.")] = 3000,
) -> None:
    """Open the Dagster UI on the settings' project; Ctrl-C ends it."""
    headrace = _headrace()
    headrace.warehouse.prepare()
    home = headrace.settings.home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").is_file():
        (home / "dagster.yaml").write_text(_DAGSTER_YAML)
    environment = os.environ | {
        "DAGSTER_HOME": str(home),
        "HEADRACE_HOME": str(headrace.settings.home),
    }
    program = Path(sys.executable).parent / "dagster"
    arguments = ["dev", "-m", "dagster_project.definitions", "-h", "127.0.0.1", "-p", str(port)]
    result = subprocess.run([program, *arguments], env=environment)
    raise typer.Exit(result.returncode)


@ingest_app.command("markdown")
def ingest_markdown_command(
    directory: Annotated[
        Path, typer.Argument(help="The folder; its files become the source's documents.")
    ],
    source: Annotated[
        str, typer.Option(help="The source's name, in front of every document's id.")
    ],
    as_json: AsJson = False,
) -> None:
    """Load a folder of Markdown: new and changed files come in, files that are gone go out."""
    from dagster_project.core.ingest import ingest_markdown

    report = ingest_markdown(_headrace().warehouse, directory, source)
    if as_json:
        _print_json(asdict(report))
        return
    console.print(
        f"{source}: {report.added} added, {report.changed} changed, {report.deleted} deleted, "
        f"{report.unchanged} unchanged, "
        f"{len(report.refused)} refused. `headrace build` brings them to the index."
    )
    if report.refused:
        rows = [[refusal.document_id, refusal.reason] for refusal in report.refused]
        console.print(_table("Refused, and kept in the quarantine", ["file", "reason"], rows))


@app.command()
def build(
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Rebuild the dbt models from nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run dbt, embed what changed, verify it, publish it."""
    headrace = _headrace()
    report = _build(headrace, ["--full-refresh"] if full_refresh else [], quiet=as_json)
    if as_json:
        _print_json(asdict(report))


def _build(headrace: Headrace, arguments: list[str], *, quiet: bool) -> BuildReport:
    with build_progress(errors, quiet=quiet) as (on_node, on_chunks):
        report = headrace.build(arguments, on_node, on_chunks)
    if not quiet:
        done = report.sync
        console.print(
            f"dbt: {len(report.dbt)} nodes. Index: {done.added} chunks added "
            f"({done.embedded} embedded, "
            f"{done.reused} vectors reused), {done.updated} updated, {done.deleted} deleted, "
            f"{done.quarantined} quarantined. Version {report.live_version} is live."
        )
    return report


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What to search for.")],
    k: Annotated[int, typer.Option("--k", "-k", help="How many chunks.")] = 5,
    where: Annotated[
        str | None, typer.Option(help="A filter, such as: doc_type = 'policy'")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find the chunks that answer a question, of documents in force."""
    hits = _find(_headrace(), query, k, where)
    if as_json:
        _print_json([asdict(hit) for hit in hits])
        return
    _print_hits(query, hits)


def _find(headrace: Headrace, query: str, k: int, where: str | None = None) -> list[Hit]:
    from dagster_project.core.retrieval import search as find

    return find(headrace.index, headrace.embedder, query, k, where)


def _print_hits(query: str, hits: list[Hit]) -> None:
    rows = [
        [
            f"{hit.score:.4f}",
            f"{hit.title}\n{hit.section_path}".strip(),
            " ".join(hit.text.split())[:240],
            f"{hit.document_id}\n{hit.source_updated_at:%Y-%m-%d %H:%M}",
        ]
        for hit in hits
    ]
    console.print(_table(f"“{query}”", ["score", "title and section", "text", "document"], rows))


@app.command()
def status(as_json: AsJson = False) -> None:
    """Say what the warehouse and the index hold, and whether they agree."""
    headrace = _headrace()
    found = _status(headrace)
    if as_json:
        _print_json(found)
        return
    console.print(
        _table(
            f"Headrace in {headrace.settings.home}", ["", ""], [[k, v] for k, v in found.items()]
        )
    )


def _status(headrace: Headrace) -> dict[str, Any]:
    warehouse, index = headrace.warehouse, headrace.index
    built = warehouse.has_chunks()
    published = index.exists and index.live_version is not None
    difference = headrace.verify() if built and published else None
    return {
        "documents": warehouse.count_documents() if built else 0,
        "chunks_active": warehouse.count_chunks() if built else 0,
        "index_rows": index.live().count_rows() if published else 0,
        "missing": len(difference.missing)
        if difference
        else (warehouse.count_chunks() if built else 0),
        "orphans": len(difference.orphans) if difference else 0,
        "live_version": index.live_version if published else None,
        "last_batch_id": warehouse.last_batch_id() if built else None,
        "model_id": headrace.settings.model_id,
    }


@app.command()
def verify(as_json: AsJson = False) -> None:
    """Compare the warehouse with the live index, row by row; exit code 1 where they differ."""
    difference = _headrace().verify()
    if as_json:
        _print_json(asdict(difference))
    else:
        console.print(f"Warehouse against index: {describe(difference)}.")
        for name, chunk_ids in asdict(difference).items():
            if chunk_ids:
                console.print(
                    f"{name}: {', '.join(chunk_ids[:5])}{' …' if len(chunk_ids) > 5 else ''}"
                )
    raise typer.Exit(0 if difference.is_clean else 1)


@index_app.command("dump")
def dump(as_json: AsJson = False) -> None:
    """Print the live version: chunk_id, document_id, text, content_hash, lifecycle_state."""
    rows = _headrace().index.dump()
    if as_json:
        _print_json(rows)
        return
    columns = list(rows[0]) if rows else []
    shown = [[str(row[column])[:80] for column in columns] for row in rows]
    console.print(_table(f"{len(rows)} chunks", columns, shown))


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
    console.print(_table("The demo is built", ["", "rows"], rows))
    for question in demo_run.QUESTIONS:
        _print_hits(question, _find(headrace, question, 3))


if __name__ == "__main__":
    main()
