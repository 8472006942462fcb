"""Commands that run what Headrace stands on: Postgres, dbt, MetricFlow, the Dagster UI."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
import yaml

from dagster_project.cli.output import console
from dagster_project.core.build import Headrace
from dagster_project.core.errors import ConfigurationError
from dagster_project.core.postgres import EmbeddedPostgres
from dagster_project.core.settings import Settings

app = typer.Typer()
# Copied once, so that a person can change it for their home.
TUNED_INSTANCE = Path(__file__).parents[1] / "dagster.yaml"
# Added to it for runs in a warm worker; its folder is where they are asked for.
WARM_LAUNCHER = Path(__file__).parents[1] / "warm.yaml"
_LAUNCHER = "CeleryRunLauncher"
# Commands of dbt that write tables.
_WRITES = {"run", "build", "seed", "snapshot", "retry", "clone"}
_WORKER = (
    *("-m", "celery", "--app", "dagster_project.warm"),
    *("worker", "--pool", "solo", "--without-gossip", "--without-mingle", "--loglevel", "warning"),
)


@app.command()
def up() -> None:
    """Start the embedded Postgres."""
    headrace = Headrace(Settings.load())
    if headrace.settings.bigquery or headrace.settings.postgres_url:
        console.print("The settings name a warehouse of your own: there is nothing to start.")
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
    with contextlib.ExitStack() as stack:
        if _WRITES & {*arguments}:
            # Beside another run of dbt a row could get a batch that the index has passed.
            stack.enter_context(headrace.warehouse.lock("build", headrace.settings.lock_wait))
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
    warm: Annotated[
        bool,
        typer.Option("--warm", help="Have runs start in a worker that has everything loaded."),
    ] = False,
) -> None:
    """Open the Dagster UI on the settings' project, sensors on; Ctrl-C ends it."""
    headrace = Headrace(Settings.load())
    headrace.warehouse.prepare()
    instance = _instance(headrace.settings.home / "dagster", warm=warm)
    environment = os.environ | {
        "DAGSTER_HOME": str(instance.parent),
        "HEADRACE_HOME": str(headrace.settings.home),
    }
    has_worker = _launcher(instance) == _LAUNCHER
    if live:
        if has_worker:
            raise ConfigurationError(
                f"{instance} sends runs to a worker, which a live run would keep to itself: take "
                "the run_launcher out of it, or leave out --live."
            )
        environment["HEADRACE_LIVE"] = "1"
    # SIGTERM, as containers send it, means all of Dagster's processes; and those do not hear it
    # where a shell had SIGINT ignored for what runs in its background.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    program = Path(sys.executable).parent / "dagster"
    arguments = ["dev", "-m", "dagster_project.definitions", "-h", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen([program, *arguments], env=environment) as dagster:
        worker: subprocess.Popen[bytes] | None = None
        try:
            while dagster.poll() is None:
                if has_worker and (worker is None or worker.poll() is not None):
                    worker = subprocess.Popen([sys.executable, *_WORKER], env=environment)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    dagster.wait(1)
        except KeyboardInterrupt:
            # A terminal has told Dagster too; somebody else may have told this process alone.
            try:
                dagster.wait(5)
            except subprocess.TimeoutExpired:
                dagster.terminate()
        finally:
            if worker is not None:
                worker.terminate()
                worker.wait()
    raise typer.Exit(dagster.returncode)


def _instance(home: Path, *, warm: bool) -> Path:
    """The `dagster.yaml` of the home, made where there is none."""
    home.mkdir(parents=True, exist_ok=True)
    instance = home / "dagster.yaml"
    if not instance.is_file():
        shutil.copyfile(TUNED_INSTANCE, instance)
    launcher = _launcher(instance)
    if warm and launcher != _LAUNCHER:
        if launcher is not None:
            raise ConfigurationError(
                f"{instance} has runs started by {launcher}: take that run_launcher out of it, or "
                "leave out --warm."
            )
        if importlib.util.find_spec("dagster_celery") is None:
            raise ConfigurationError("--warm needs dagster-celery: install `headrace[warm]`.")
        queue = home / "queue"
        queue.mkdir(exist_ok=True)
        with instance.open("a") as file:
            file.write("\n" + WARM_LAUNCHER.read_text().replace("QUEUE", json.dumps(str(queue))))
    return instance


def _launcher(instance: Path) -> str | None:
    """The class of what starts runs, where a `dagster.yaml` names one."""
    settings = yaml.safe_load(instance.read_text()) or {}
    return (settings.get("run_launcher") or {}).get("class")
