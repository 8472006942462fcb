"""dbt in this process: the project is read once and kept for the commands that follow."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster_project.core.errors import HeadraceError
from dagster_project.core.files import write_json
from dagster_project.core.profile import PLACE_VARIABLES
from dagster_project.core.settings import PACKAGE_PROJECT, Settings

OnNode = Callable[[str, int, int], None]
# Unit tests need no data, so they belong to CI; seeds are loaded when their files change.
_NOT_IN_A_BUILD = ["--exclude-resource-type", "unit_test", "--exclude-resource-type", "seed"]


@dataclass(frozen=True)
class NodeResult:
    """What became of a dbt node.

    Attributes:
        unique_id: its id in the manifest.
        status: dbt's word: success, pass, warn, fail, error, skipped ….
        seconds: how long it took.
        message: what dbt or the warehouse said.
        failures: rows that a test found, or None.
    """

    unique_id: str
    status: str
    seconds: float
    message: str
    failures: int | None

    @property
    def is_good(self) -> bool:
        """Whether what follows may go on."""
        return self.status not in {"error", "fail", "runtime error", "skipped", "partial success"}


class DbtError(HeadraceError):
    """A dbt command failed; `results` has what became of each node until then."""

    def __init__(self, message: str, results: Mapping[str, NodeResult]) -> None:
        """Take the message and the results by unique id."""
        super().__init__(message)
        self.results = results


class Dbt:
    """The dbt project of the settings, run against the warehouse that an environment names."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        """Take the settings and the variables that `profiles.yml` reads."""
        self.project = settings.dbt_project
        self._state = settings.home / "dbt"
        self._manifest: Any = None
        self._written: Mapping[str, Any] | None = None
        self.environment = {
            **environment,
            "DBT_PROJECT_DIR": str(self.project),
            "DBT_PROFILES_DIR": str(profiles_directory(self.project)),
            "DBT_TARGET_PATH": str(self.target),
            "DBT_LOG_PATH": str(self._state / "logs"),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        }

    @property
    def target(self) -> Path:
        """Where dbt writes its manifest."""
        return self._state / "target" / self.project.name

    def install(self) -> None:
        """Install the packages that the project names, where they are missing or others now.

        Raises:
            DbtError: dbt cannot install them.
        """
        files = [self.project / name for name in ("packages.yml", "dependencies.yml")]
        named = max((file.stat().st_mtime for file in files if file.is_file()), default=None)
        installed = self.project / "dbt_packages"
        if named is not None and not (installed.is_dir() and installed.stat().st_mtime >= named):
            self.invoke(["deps"])
            installed.mkdir(exist_ok=True)
            os.utime(installed)

    def parse(self) -> None:
        """Read the project for the commands that follow.

        It is parsed anew only where its files or settings are not as they were the last time.

        Raises:
            DbtError: the project has an error.
        """
        with self._parsed() as parsed_now:
            if parsed_now is None:
                # Imported here: dbt takes a second, and a search needs none of it.
                from dbt.contracts.graph.manifest import Manifest

                parsed = (self.target / "partial_parse.msgpack").read_bytes()
                manifest = Manifest.from_msgpack(parsed)
            else:
                manifest = parsed_now
        manifest.build_flat_graph()  # type: ignore[no-untyped-call]
        self._manifest = manifest

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The project's manifest, as `manifest.json` has it.

        Raises:
            DbtError: the project has an error.
        """
        if self._written is None:
            with self._parsed():
                self._written = json.loads((self.target / "manifest.json").read_text())
        return self._written

    @property
    def semantic_manifest(self) -> str:
        """The project's metrics and semantic models, as dbt writes `semantic_manifest.json`.

        Raises:
            DbtError: the project has an error.
        """
        with self._parsed():
            return (self.target / "semantic_manifest.json").read_text()

    @contextlib.contextmanager
    def _parsed(self) -> Iterator[Any]:
        """Hold the files of a parse of the project as it is; the manifest, if it was read anew."""
        self.install()
        self.target.mkdir(parents=True, exist_ok=True)
        stamp = self.target / "headrace_stamp.json"
        # Threads and processes that start together would read what another one is writing.
        with (self.target / "parse.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            state = self._state_of_files()
            manifest = None
            if _read_json(stamp) != state:
                self._manifest = self._written = None
                manifest = self.invoke(["parse"])
                write_json(stamp, state)
            yield manifest

    def _state_of_files(self) -> dict[str, Any]:
        """What a parse depends on: the files of project and packages, and the place dbt writes."""
        folders = {self.project, PACKAGE_PROJECT, profiles_directory(self.project)}
        entries = [
            (str(entry), entry.stat())
            for folder in folders
            for pattern in ("**/*.sql", "**/*.yml", "**/*.yaml", "**/*.csv", "**/*.md")
            for entry in folder.glob(pattern)
            if "target" not in entry.relative_to(folder).parts
        ]
        # A file that is renamed or brought from elsewhere may be older than the newest.
        files = sorted((name, facts.st_size, facts.st_mtime_ns) for name, facts in entries)
        digest = hashlib.sha256(json.dumps(files).encode()).hexdigest()
        place = {name: self.environment.get(name) for name in PLACE_VARIABLES}
        return {"files": digest, "place": place}

    def build(
        self, arguments: Sequence[str] = (), on_node: OnNode | None = None
    ) -> Mapping[str, NodeResult]:
        """Build models and run data tests; seeds first, where their files changed.

        Args:
            arguments: more arguments of `dbt build`, such as `--full-refresh`.
            on_node: called with a node's name, its number and how many there are, as each ends.

        Returns:
            What became of each node, by unique id.

        Raises:
            DbtError: a model or a test failed; the message names each with its error.
        """
        if self._manifest is None:
            self.parse()
        self._seed(force="--full-refresh" in arguments)
        return _results(self.invoke(["build", *_NOT_IN_A_BUILD, *arguments], on_node))

    def test(self, tests: Sequence[str]) -> Mapping[str, NodeResult]:
        """Run some data tests on what is there.

        Args:
            tests: their names.

        Returns:
            What became of each, by unique id.

        Raises:
            DbtError: one failed, or dbt could not run; `results` has what became of each.
        """
        if self._manifest is None:
            self.parse()
        arguments = ["test", "--no-write-json", "--no-version-check", "--select", *tests]
        return _results(self.invoke([*arguments, *_NOT_IN_A_BUILD]))

    def run(
        self, models: Sequence[str], variables: Mapping[str, object]
    ) -> Mapping[str, NodeResult]:
        """Run some models and nothing else: the part of a build that a micro-batch needs.

        Args:
            models: their names.
            variables: of dbt, over those of the project.

        Returns:
            What became of each, by unique id.

        Raises:
            DbtError: a model failed; the message names each with its error.
        """
        if self._manifest is None:
            self.parse()
        arguments = ["run", "--no-write-json", "--no-version-check"]
        arguments += ["--select", *models, "--vars", json.dumps(variables)]
        # dbt reads the source of every caller above it, several times: below Dagster, where there
        # are many, that was a third of a batch. Above a thread's first function there are none.
        with ThreadPoolExecutor(1) as thread:
            return _results(thread.submit(self.invoke, arguments).result())

    def _seed(self, *, force: bool) -> None:
        seeds = {
            unique_id: node.checksum.checksum
            for unique_id, node in self._manifest.nodes.items()
            if node.resource_type == "seed"
        }
        where = "/".join(self.environment.get(key, "") for key in PLACE_VARIABLES)
        path = self._state / "seeds.json"
        loaded = _read_json(path) or {}
        if force or loaded.get(where) != seeds:
            self.invoke(["seed", "--full-refresh"])
            write_json(path, loaded | {where: seeds})

    def invoke(self, arguments: Sequence[str], on_node: OnNode | None = None) -> Any:  # noqa: ANN401
        """Run one dbt command quietly; its log is in the home.

        Returns:
            What dbt's runner returns as the result of that command.

        Raises:
            DbtError: it failed.
        """
        # Imported here: dbt takes a second, and a search needs none of it.
        from dbt.cli.main import dbtRunner

        def report(event: Any) -> None:  # noqa: ANN401
            if on_node is not None and event.info.name in {"LogModelResult", "LogTestResult"}:
                # Models name the count `total`, tests `num_models`.
                fields = {field.name for field in event.data.DESCRIPTOR.fields}
                total = event.data.total if "total" in fields else event.data.num_models
                on_node(event.data.node_info.node_name, event.data.index, total)

        if seconds := self.environment.get("HEADRACE_BQ_RETRY_SECONDS"):
            from dagster_project.core.warehouse.bigquery.access import bound_other_calls

            bound_other_calls(float(seconds))
        runner = dbtRunner(manifest=self._manifest, callbacks=[report])
        with _environment(self.environment):
            outcome = runner.invoke(
                ["--quiet", "--no-use-colors", "--log-level", "none", *arguments]
            )
        if not outcome.success:
            raise DbtError(
                _reasons(self._command(arguments), outcome, self._state / "logs" / "dbt.log"),
                _results(outcome.result),
            )
        return outcome.result

    def _command(self, arguments: Sequence[str]) -> str:
        """A command as an error names it; on BigQuery with the place, which the profile hides."""
        place = self.environment
        if place.get("HEADRACE_WAREHOUSE") != "bigquery":
            return f"dbt {arguments[0]}"
        return (
            f"dbt {arguments[0]} (BigQuery project {place['HEADRACE_BQ_PROJECT']}, dataset "
            f"{place['HEADRACE_SCHEMA']})"
        )


def profiles_directory(project: Path) -> Path:
    """The directory of `profiles.yml`: the project's own, else the user's, else the package's."""
    if (project / "profiles.yml").is_file():
        return project
    return Path(os.environ.get("DBT_PROFILES_DIR") or PACKAGE_PROJECT)


def _read_json(path: Path) -> Any:  # noqa: ANN401
    """What a file of ours holds; None where it is missing, or not whole, as after a full disk."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _results(result: Any) -> dict[str, NodeResult]:  # noqa: ANN401
    return {
        done.node.unique_id: NodeResult(
            unique_id=done.node.unique_id,
            status=str(done.status),
            seconds=float(done.execution_time or 0.0),
            message=" ".join(str(done.message or "").split()),
            failures=done.failures,
        )
        for done in getattr(result, "results", None) or []
        if getattr(done, "node", None) is not None
    }


def _reasons(command: str, outcome: Any, log: Path) -> str:  # noqa: ANN401
    lines = [
        f"  {result.node.unique_id}: {' '.join((result.message or str(result.status)).split())}"
        for result in getattr(outcome.result, "results", None) or []
        if str(result.status) in {"error", "fail", "runtime error"}
    ]
    if outcome.exception is not None:
        lines.append(f"  {outcome.exception}")
    return "\n".join([f"{command} failed (its log: {log}):", *lines])
