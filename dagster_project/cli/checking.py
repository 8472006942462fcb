"""The command that runs every check on what is there: for CI, and for a look by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated
from xml.etree import ElementTree

import typer

from dagster_project.cli.output import AsJson, console, errors, print_json, table
from dagster_project.core.build import Headrace
from dagster_project.core.checks import Outcome, Status, run_checks
from dagster_project.core.settings import Settings

app = typer.Typer()
_COLORS = {
    Status.PASS: "green",
    Status.WARN: "yellow",
    Status.FAIL: "red",
    Status.ERROR: "red",
}


@app.command()
def check(
    select: Annotated[
        list[str] | None,
        typer.Option(help="A check, or a model or asset that checks are about; may be repeated."),
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the results as JUnit XML.")] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write them as Markdown, for a pull request.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run dbt's data tests and the checks of the index; nothing is built.

    Exit code 1 where a check fails, 2 where one could not run; a warning is neither.
    """
    headrace = Headrace(Settings.load())
    with errors.status("Checking"):
        outcomes = run_checks(headrace, select or [])
    if junit is not None:
        junit.write_bytes(_junit(outcomes))
    if markdown is not None:
        markdown.write_text(_markdown(outcomes), encoding="utf-8")
    if as_json:
        print_json([asdict(outcome) for outcome in outcomes])
    else:
        _print(outcomes, shows_all=bool(select))
    found = {outcome.status for outcome in outcomes}
    raise typer.Exit(2 if Status.ERROR in found else 1 if Status.FAIL in found else 0)


def _summary(outcomes: Sequence[Outcome]) -> str:
    counts = Counter(outcome.status for outcome in outcomes)
    words = {
        Status.PASS: "passed",
        Status.WARN: "warned",
        Status.FAIL: "failed",
        Status.ERROR: "could not run",
    }
    return f"{len(outcomes)} checks: " + ", ".join(
        f"{counts[status]} {word}" for status, word in words.items() if counts[status]
    )


def _print(outcomes: Sequence[Outcome], *, shows_all: bool) -> None:
    # Of the many data tests that pass, their number says enough.
    shown = [
        outcome
        for outcome in outcomes
        if shows_all or outcome.status is not Status.PASS or "/" in outcome.asset
    ]
    made = table("Checks", ["", "check", "about", "found"], [])
    for outcome in shown:
        color = _COLORS[outcome.status]
        made.add_row(
            f"[{color}]{outcome.status.value}[/]", outcome.name, outcome.asset, outcome.reason
        )
    console.print(made)
    for outcome in shown:
        if outcome.remedy:
            console.print(f"{outcome.name}: {outcome.remedy}", highlight=False, markup=False)
    console.print(_summary(outcomes) + ".")


def _markdown(outcomes: Sequence[Outcome]) -> str:
    lines = [f"**{_summary(outcomes)}**", ""]
    bad = [outcome for outcome in outcomes if outcome.status is not Status.PASS]
    if bad:
        lines += ["| | check | about | found | remedy |", "|---|---|---|---|---|"]
    lines += [
        "| "
        + " | ".join(
            text.replace("|", "\\|")
            for text in (
                outcome.status.value,
                outcome.name,
                outcome.asset,
                outcome.reason,
                outcome.remedy,
            )
        )
        + " |"
        for outcome in bad
    ]
    return "\n".join(lines) + "\n"


def _junit(outcomes: Sequence[Outcome]) -> bytes:
    counts = Counter(outcome.status for outcome in outcomes)
    suite = ElementTree.Element(
        "testsuite",
        name="headrace check",
        tests=str(len(outcomes)),
        failures=str(counts[Status.FAIL]),
        errors=str(counts[Status.ERROR]),
        time=f"{sum(outcome.seconds for outcome in outcomes):.3f}",
    )
    for outcome in outcomes:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=outcome.asset.replace("/", "."),
            name=outcome.name,
            time=f"{outcome.seconds:.3f}",
        )
        if outcome.status in {Status.FAIL, Status.ERROR}:
            tag = "failure" if outcome.status is Status.FAIL else "error"
            said = ElementTree.SubElement(case, tag, message=outcome.reason)
            said.text = "\n".join([outcome.remedy, *map(str, outcome.samples)])
        elif outcome.status is Status.WARN:
            ElementTree.SubElement(case, "system-out").text = f"{outcome.reason}\n{outcome.remedy}"
    ElementTree.indent(suite)
    written: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return written
