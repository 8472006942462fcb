"""What the commands print: tables, hits, JSON."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from dagster_project.core.retrieval import Hit

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
        section = hit.section_path.removeprefix(hit.title).lstrip(" >")
        head = Text.assemble(
            (f"{rank}  ", "bold"), (hit.title, "bold cyan"), f" > {section}" if section else ""
        )
        changed = f"{hit.source_updated_at:%Y-%m-%d %H:%M}"
        foot = f"{hit.document_id}{_pages(hit)} · {changed} · {hit.score:.4f}"
        text = " ".join(hit.text.split())
        console.print(head, highlight=False)
        console.print(Padding(Text(text[:240] + (" …" if len(text) > 240 else "")), (0, 0, 0, 3)))
        console.print(Padding(Text(foot, style="dim"), (0, 0, 0, 3)))


def _pages(hit: Hit) -> str:
    if hit.pages is None:
        return ""
    first, last = hit.pages
    return f" · page {first}" if first == last else f" · pages {first}–{last}"
