"""A dbt project compiled for BigQuery against the emulator: its models and tests as SQL."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from dbt.adapters.bigquery.column import BigQueryColumn

from dagster_project.core.errors import HeadraceError

from .emulator import REPOSITORY, Emulator

DBT_PROJECT = REPOSITORY / "dbt_project"
DBT_SECONDS = 300
KINDS = {"seed", "model", "snapshot", "test"}


class DbtFailed(HeadraceError):
    """A dbt command failed; its output is the message."""


@dataclass(frozen=True)
class Source:
    """A table that the project reads and does not make.

    Attributes:
        name: ``source.table``, as in ``source('source', 'table')``.
        relation: its full name, ``project.dataset.table``.
    """

    name: str
    relation: str


@dataclass(frozen=True)
class Node:
    """A seed, or a compiled model, snapshot or data test.

    Attributes:
        name: its name in dbt.
        kind: ``seed``, ``model``, ``snapshot`` or ``test``.
        relation: full name of the table or view it makes, ``project.dataset.table``.
        materialized: how it is kept: ``view``, ``table``, ``incremental``, ``ephemeral``, …
        path: its file within its package, for messages.
        contract: type of each column, where its contract is enforced; else empty.
        sql: the query; empty for a seed, and before `Project.compile`.
    """

    name: str
    kind: str
    relation: str
    materialized: str
    path: str
    contract: Mapping[str, str]
    sql: str


class Project:
    """A copy of the example project, with the package beside it, that no other run meets.

    Args:
        scratch: an empty directory for the copy.
        emulator: the BigQuery to compile against.
        dataset: where the project's models go.
    """

    def __init__(self, scratch: Path, emulator: Emulator, dataset: str) -> None:
        """Copy the project, install its packages and parse it."""
        copy = scratch / "dbt_project"
        ignored = shutil.ignore_patterns("target", "dbt_packages", "logs", "package-lock.yml")
        shutil.copytree(DBT_PROJECT, copy, ignore=ignored)
        self._folder = copy / "examples" / "saas"
        self._environment = os.environ | emulator.dbt_environment(dataset)
        self._environment |= {
            "DBT_PROFILES_DIR": str(copy),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DBT_USE_COLORS": "false",
            "DBT_LOG_PATH": str(scratch / "logs"),
        }
        self.dbt("deps")
        self.dbt("parse")

    def sources(self) -> list[Source]:
        """The sources that the project's models read."""
        return [
            Source(f"{source['source_name']}.{source['name']}", _full_name(source))
            for source in self._manifest()["sources"].values()
        ]

    def nodes(self) -> list[Node]:
        """Every seed, model, snapshot and data test, each after those that it reads."""
        return list(_nodes(self._manifest()))

    def compile(self, variables: Mapping[str, object] | None = None) -> list[Node]:
        """The nodes, with the SQL that dbt would run now, with some vars."""
        self.dbt("compile", "--vars", json.dumps(variables or {}))
        return self.nodes()

    def last_statement(self, model: str) -> str:
        """What dbt last ran to write a model's rows, such as the merge of an incremental one."""
        (path,) = (self._folder / "target" / "run").glob(f"**/{model}.sql")
        return path.read_text()

    def dbt(self, *arguments: str) -> str:
        """Run a dbt command in the project and give its output.

        Raises:
            DbtFailed: the command failed, or took over five minutes.
        """
        command = [str(Path(sys.executable).with_name("dbt")), *arguments]
        try:
            done = subprocess.run(
                command,
                cwd=self._folder,
                env=self._environment,
                capture_output=True,
                text=True,
                timeout=DBT_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise DbtFailed(f"dbt {' '.join(arguments)} took over {DBT_SECONDS} s.") from error
        if done.returncode:
            output = (done.stdout + done.stderr)[-4000:]
            raise DbtFailed(f"dbt {' '.join(arguments)} failed in {self._folder}:\n{output}")
        return done.stdout

    def _manifest(self) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads((self._folder / "target/manifest.json").read_text())
        return manifest


def _nodes(manifest: Mapping[str, Any]) -> Iterator[Node]:
    nodes = {key: node for key, node in manifest["nodes"].items() if node["resource_type"] in KINDS}
    parents = {
        key: nodes.keys() & node["depends_on"].get("nodes", []) for key, node in nodes.items()
    }
    for key in TopologicalSorter(parents).static_order():
        node = nodes[key]
        enforced = (node["config"].get("contract") or {}).get("enforced", False)
        yield Node(
            name=node["name"],
            kind=node["resource_type"],
            relation=_full_name(node),
            materialized=node["config"]["materialized"],
            path=node["original_file_path"],
            # As dbt-bigquery reads a contract: the generic types have other names there.
            contract={
                name: BigQueryColumn.translate_type(column["data_type"])
                for name, column in node["columns"].items()
                if enforced
            },
            sql=node.get("compiled_code") or "",
        )


def _full_name(node: Mapping[str, Any]) -> str:
    identifier = node.get("identifier") or node.get("alias") or node["name"]
    return f"{node['database']}.{node['schema']}.{identifier}"
