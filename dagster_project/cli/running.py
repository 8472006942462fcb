"""Commands that run what Headrace stands on: Postgres, dbt, MetricFlow, the Dagster UI."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from dagster_project.cli.output import console
from dagster_project.core.build import Headrace
from dagster_project.core.postgres import EmbeddedPostgres
from dagster_project.core.settings import Settings

app = typer.Typer()
# Copied once, so that a person can change it for their home.
TUNED_INSTANCE = Path(__file__).parents[1] / "dagster.yaml"


@app.command()
def up() -> None:
    """Start the embedded Postgres."""
    headrace = Headrace(Settings.load())
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
    headrace = Headrace(Settings.load())
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
    headrace = Headrace(Settings.load())
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


@app.command()
def dev(
    port: Annotated[int, typer.Option(help="The port of the Dagster UI on 127.0.0.1.")] = 3000,
    live: Annotated[
        bool, typer.Option("--live", help="Follow the sources in one long run, not by sensors.")
    ] = False,
) -> None:
    """Open the Dagster UI on the settings' project, sensors on; Ctrl-C ends it."""
    headrace = Headrace(Settings.load())
    headrace.warehouse.prepare()
    home = headrace.settings.home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").is_file():
        shutil.copyfile(TUNED_INSTANCE, home / "dagster.yaml")
    environment = os.environ | {
        "DAGSTER_HOME": str(home),
        "HEADRACE_HOME": str(headrace.settings.home),
    }
    if live:
        environment["HEADRACE_LIVE"] = "1"
    program = Path(sys.executable).parent / "dagster"
    arguments = ["dev", "-m", "dagster_project.definitions", "-h", "127.0.0.1", "-p", str(port)]
    result = subprocess.run([program, *arguments], env=environment)
    raise typer.Exit(result.returncode)
