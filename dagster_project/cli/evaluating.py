"""The command that asks the gold sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from dagster_project.cli.output import console, errors, table
from dagster_project.core.build import Headrace
from dagster_project.core.errors import ConfigurationError
from dagster_project.core.evals import history, look, report
from dagster_project.core.index import Generation, GenerationState
from dagster_project.core.settings import Settings

app = typer.Typer()


@app.command("eval")
def evaluate(
    gold_set: Annotated[
        list[str] | None,
        typer.Option("--set", help="A gold set; may be repeated. All of them, unless said."),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write the report as Markdown, for a pull request.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write everything as JSON with stable keys.")
    ] = None,
) -> None:
    """Ask the gold sets of the newest version of the index, beside the one that readers see.

    A generation that is being filled is asked before the live one. Exit code 1 where a full build
    would not publish the version, or readers find what they must not.
    """
    headrace = Headrace(Settings.load())
    generation = _newest(headrace)
    with errors.status(f"Asking {generation.name}"):
        verdict = look(headrace, generation, sets=gold_set or [])
    if verdict is None:
        raise ConfigurationError(
            "There is no gold set: name a seed or a model of questions in headrace_gold_sets, in "
            "dbt_project.yml, and run `headrace build`."
        )
    before = history(headrace)
    if markdown is not None:
        markdown.write_text(report.markdown(verdict, before), encoding="utf-8")
    if json_file is not None:
        found = json.dumps(report.as_json(verdict), default=str, ensure_ascii=False, indent=2)
        json_file.write_text(found + "\n", encoding="utf-8")
    for title, columns, rows in report.tables(verdict, before):
        if rows:
            console.print(table(title, columns, rows))
    console.print(report.headline(verdict), markup=False, highlight=False)
    raise typer.Exit(1 if verdict.refuses or verdict.violations else 0)


def _newest(headrace: Headrace) -> Generation:
    """The generation that is being filled, where one is, else the one that readers see."""
    building = [
        each
        for each in headrace.store.generations()
        if each.state is GenerationState.BUILDING and headrace.store.index(each).exists
    ]
    return building[-1] if building else headrace.live_generation
