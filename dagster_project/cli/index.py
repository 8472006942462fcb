"""Commands on the vector store: verify, generations, maintenance, a look inside."""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from dagster_project.cli.output import AsJson, console, errors, print_json, table
from dagster_project.cli.progress import chunk_progress
from dagster_project.core.build import Headrace
from dagster_project.core.index import Generation
from dagster_project.core.parity import compare_warehouses
from dagster_project.core.settings import Settings

app = typer.Typer()
# What no file keeps.
_SECRET = "DBT_ENV_SECRET_"
index_app = typer.Typer(help="Look into the vector index.", no_args_is_help=True)
generations_app = typer.Typer(
    help="The indexes there are, and which of them readers see.", no_args_is_help=True
)
app.add_typer(index_app, name="index")
app.add_typer(generations_app, name="generations")


@app.command()
def verify(
    content: Annotated[
        bool,
        typer.Option("--content", help="Compare every word and vector, not only the hashes."),
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what differs first, whatever it is.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare the warehouse with the live index, row by row; exit code 1 where they differ."""
    headrace = Headrace(Settings.load())
    if repair:
        with chunk_progress(errors, quiet=as_json) as on_chunks:
            report = headrace.repair(on_chunks)
        if not as_json:
            console.print(f"Repaired: {report.written} rows written or removed.")
    difference = headrace.verify(content=content)
    if as_json:
        print_json(asdict(difference))
    else:
        console.print(f"Warehouse against index: {difference}.")
        for name, chunk_ids in asdict(difference).items():
            if chunk_ids:
                console.print(
                    f"{name}: {', '.join(chunk_ids[:5])}{' …' if len(chunk_ids) > 5 else ''}"
                )
    raise typer.Exit(0 if difference.is_clean else 1)


@app.command()
def parity(
    other_home: Annotated[
        Path, typer.Argument(help="The home of the other warehouse, with its config.json.")
    ],
    as_json: AsJson = False,
) -> None:
    """Compare what two warehouses made of the same sources; exit code 1 where they differ.

    Before a move from Postgres to BigQuery: chunks, the states of documents and the glossary.
    """
    secrets = {name: value for name, value in os.environ.items() if name.startswith(_SECRET)}
    other = Headrace(Settings.load(other_home, secrets))
    found = compare_warehouses(Headrace(Settings.load()).warehouse, other.warehouse)
    if as_json:
        print_json([asdict(each) for each in found])
    else:
        rows = [
            [each.what, *(f"{n:,}" for n in each.rows), f"{len(each.differ):,}", *each.differ[:1]]
            for each in found
        ]
        columns = ["", "here", "there", "differences", "such as"]
        console.print(table(f"This warehouse and that of {other_home}", columns, rows))
    raise typer.Exit(1 if any(each.differ for each in found) else 0)


@app.command()
def maintain(
    keep_minutes: Annotated[
        int, typer.Option(help="Versions younger than this stay, for readers under way.", min=0)
    ] = 60,
    as_json: AsJson = False,
) -> None:
    """Compact the live index, bring new rows into its search indices, drop old versions."""
    done = Headrace(Settings.load()).maintain(timedelta(minutes=keep_minutes))
    if as_json:
        print_json(asdict(done))
        return
    console.print(
        f"Fragments {done.fragments_before} → {done.fragments_after}, rows outside the search "
        f"index {done.unindexed_before} → 0, versions {done.versions_before} → "
        f"{done.versions_after}; the rows take {done.bytes / 1e6:,.1f} MB."
    )


@index_app.command("dump")
def dump(as_json: AsJson = False) -> None:
    """Print the live version: chunk_id, document_id, text, content_hash, lifecycle_state."""
    rows = Headrace(Settings.load()).live_index.dump()
    if as_json:
        print_json(rows)
        return
    columns = list(rows[0]) if rows else []
    shown = [[str(row[column])[:80] for column in columns] for row in rows]
    console.print(table(f"{len(rows)} chunks", columns, shown))


@generations_app.command("list")
def list_generations(as_json: AsJson = False) -> None:
    """Print the generations, oldest first."""
    headrace = Headrace(Settings.load())
    rows = [_described(headrace, generation) for generation in headrace.store.generations()]
    if as_json:
        print_json(rows)
        return
    shown = [["" if value is None else value for value in row.values()] for row in rows]
    console.print(table("Generations", list(rows[0]) if rows else [], shown))


def _described(headrace: Headrace, generation: Generation) -> dict[str, Any]:
    index = headrace.store.index(generation)
    there = index.exists
    return {
        "name": generation.name,
        "state": generation.state.value,
        "model_id": generation.model_id,
        "dimension": generation.dimension,
        "chunking_policy": generation.chunking_policy,
        "rows": index.count() if there else 0,
        "last_batch_id": index.mark() if there else None,
        "live_version": index.live_version if there else None,
        "created_at": f"{generation.created_at:%Y-%m-%d %H:%M:%S}",
        "promoted_at": generation.promoted_at and f"{generation.promoted_at:%Y-%m-%d %H:%M:%S}",
    }


AsItIs = Annotated[
    bool,
    typer.Option(
        "--as-it-is",
        help="Do not bring it up to date: readers find again what was deleted since, or is not for "
        "them any more.",
    ),
]
Name = Annotated[str, typer.Argument(help="The generation: `headrace generations list` has it.")]


@generations_app.command()
def promote(name: Name, as_it_is: AsItIs = False) -> None:
    """Let readers see a generation; the one that they saw is kept for rollback."""
    headrace = Headrace(Settings.load())
    generation = headrace.promote(name, as_it_is=as_it_is)
    console.print(f"{generation.name} ({generation.model_id}) is live.")


@generations_app.command()
def rollback(as_it_is: AsItIs = False) -> None:
    """Let readers see the generation that was live before; no build promotes the other again."""
    generation = Headrace(Settings.load()).rollback(as_it_is=as_it_is)
    console.print(f"{generation.name} ({generation.model_id}) is live again.")


@generations_app.command()
def retire(name: Name) -> None:
    """Remove a generation that readers do not see, with its vectors."""
    generation = Headrace(Settings.load()).store.retire(name)
    console.print(f"{generation.name} ({generation.model_id}) is gone.")


@generations_app.command()
def rebuild() -> None:
    """Begin a new generation of the same model; the next build fills, checks and promotes it."""
    generation = Headrace(Settings.load()).rebuild()
    console.print(f"{generation.name} is begun: `headrace build` fills, checks and promotes it.")
