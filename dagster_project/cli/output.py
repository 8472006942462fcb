"""What the commands print: tables, hits, JSON."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timezone
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dagster_project.core.retrieval import ContextPack, Hit, Lineage
from dagster_project.core.retrieval.pages import pages_in_words

console = Console()
errors = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON with stable keys.")]


def print_json(value: object) -> None:
    """Print a value as JSON; what JSON has no type for becomes text."""
    sys.stdout.write(json.dumps(value, default=str, ensure_ascii=False, indent=2) + "\n")


def table(title: str, columns: list[str], rows: list[list[Any]]) -> Table:
    """A table of texts."""
    made = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(escape(str(value)) for value in row))
    return made


def print_hits(query: str, hits: list[Hit]) -> None:
    """Print the answers to a question, best first."""
    console.print()
    console.print(Text(f"“{query}”", style="bold"))
    if not hits:
        console.print("  nothing found", style="dim")
    for rank, hit in enumerate(hits, start=1):
        head = Text.assemble(
            (f"{rank}  ", "bold"),
            (hit.title, "bold cyan"),
            f" > {hit.section}" if hit.section else "",
        )
        changed = f"{hit.source_updated_at:%Y-%m-%d %H:%M}"
        where = [hit.document_id, pages_in_words(hit.pages), changed, f"{hit.score:.4f}"]
        foot = " · ".join(filter(None, where))
        text = " ".join(hit.text.split())
        console.print(head, highlight=False)
        console.print(Padding(Text(text[:240] + (" …" if len(text) > 240 else "")), (0, 0, 0, 3)))
        console.print(Padding(Text(foot, style="dim"), (0, 0, 0, 3)))


def print_context(pack: ContextPack) -> None:
    """Print what a model is given for a question, and what it costs."""
    console.print()
    console.print(Text(f"“{pack.query}”", style="bold"))
    if pack.value is not None:
        console.print(Padding(Text(str(pack.value), style="bold green"), (0, 0, 0, 3)))
    for number, passage in enumerate(pack.passages, start=1):
        head, _, where = passage.citation.partition("\n")
        console.print(Text.assemble((f"{number}  ", "bold"), (head, "bold cyan")))
        console.print(Padding(Text(passage.text), (0, 0, 0, 3)))
        runs = ", ".join(passage.dbt_invocation_ids)
        console.print(Padding(Text(f"{where} · dbt {runs}", style="dim"), (0, 0, 0, 3)))
    tokens = "" if pack.tokens is None else f", {pack.tokens:,} tokens"
    console.print(Text(f"{pack.words:,} words{tokens}", style="dim"))


def print_lineage(found: Lineage) -> None:
    """Print the way of a document, from what readers see back to its source."""
    came = found.delivery
    rows = [
        ["published", f"version {found.version} of {found.generation}"],
        ["seen since", _moment(came.published_at if came else None)],
        ["embedded", f"{found.model_id}, {_moment(max(c.indexed_at for c in found.chunks))}"],
        ["document", f"{found.document_id}, {found.doc_type}, {found.lifecycle_state}"],
        ["document model", found.document_model or "unknown"],
        ["source tables", ", ".join(found.source_tables) or "unknown"],
        ["source row", f"{found.source_name}, changed {_moment(found.source_updated_at)}"],
    ]
    if found.waits_since is not None:
        rows.append(["not seen yet", f"a change of {_moment(found.waits_since)}"])
    console.print(table(found.title, ["", ""], rows))
    chunks = [
        [each.chunk_index, each.chunk_id, each.run.invocation_id, _moment(each.run.ran_at)]
        for each in found.chunks
    ]
    console.print(table("Chunks", ["", "chunk_id", "dbt run", "ran"], chunks))
    if found.problem:
        errors.print(
            f"[bold yellow]What the warehouse knows is missing:[/] {escape(found.problem)}"
        )


def _moment(at: datetime | None) -> str:
    return "unknown" if at is None else f"{at.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
