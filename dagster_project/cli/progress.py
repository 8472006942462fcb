"""Progress of a build or a repair on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from dagster_project.core.dbt import OnNode
from dagster_project.core.sync import Progress as OnChunks


@contextmanager
def build_progress(console: Console, *, quiet: bool) -> Iterator[tuple[OnNode, OnChunks]]:
    """Two bars, dbt's nodes and the chunks, and the two functions that move them."""
    with _bars(console, quiet=quiet) as bars:
        nodes = bars.add_task("dbt", total=None, detail="")

        def on_node(name: str, number: int, total: int) -> None:
            bars.update(nodes, total=total, completed=number, detail=name)

        yield on_node, _chunks(bars)


@contextmanager
def chunk_progress(console: Console, *, quiet: bool) -> Iterator[OnChunks]:
    """A bar of chunks, and the function that moves it."""
    with _bars(console, quiet=quiet) as bars:
        yield _chunks(bars)


def _chunks(bars: Progress) -> OnChunks:
    task = bars.add_task("index", total=None, detail="", visible=False)

    def on_chunks(done: int, total: int) -> None:
        bars.update(task, total=total, completed=done, visible=True)

    return on_chunks


def _bars(console: Console, *, quiet: bool) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", style="bold"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}", style="dim"),
        console=console,
        disable=quiet,
        transient=True,
    )
