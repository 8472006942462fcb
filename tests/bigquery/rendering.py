"""The package's macros as SQL: the same Jinja compiled for Postgres and for BigQuery."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .compiled_project import DBT_PROJECT, DbtFailed

RENDER_SECONDS = 120
# Compiling connects to neither: nothing here needs to exist.
NOWHERE = {
    "HEADRACE_PG_HOST": "127.0.0.1",
    "HEADRACE_PG_PORT": "1",
    "HEADRACE_PG_DATABASE": "headrace",
    "HEADRACE_BQ_METHOD": "oauth-secrets",
    "DBT_ENV_SECRET_HEADRACE_BQ_TOKEN": "a-token-that-nobody-takes",
    "HEADRACE_BQ_PROJECT": "test-proj",
    "HEADRACE_BQ_API_ENDPOINT": "http://127.0.0.1:1",
    "HEADRACE_SCHEMA": "headrace",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "DBT_USE_COLORS": "false",
}


@dataclass(frozen=True)
class Rendered:
    """One piece of Jinja in both dialects."""

    postgres: str
    bigquery: str


def render(
    snippets: Sequence[str], scratch: Path, variables: Mapping[str, object] | None = None
) -> dict[str, Rendered]:
    """Compile pieces of Jinja that call the package's macros, such as ``{{ headrace.hash('x') }}``.

    Args:
        snippets: the pieces; one may refer to a seed of the package, not to its models.
        scratch: a directory for a copy of the package's macros and seeds.
        variables: values of dbt variables that are not to be the package's defaults.

    Returns:
        The SQL of each snippet, by the snippet.

    Raises:
        DbtFailed: a snippet does not compile.
    """
    package = scratch / "package"
    (package / "analyses").mkdir(parents=True)
    for name in ("macros", "seeds"):
        shutil.copytree(DBT_PROJECT / name, package / name)
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(DBT_PROJECT / name, package / name)
    for number, snippet in enumerate(snippets):
        (package / "analyses" / f"snippet_{number}.sql").write_text(snippet)
    compiled = {
        target: _compile(package, target, variables or {}) for target in ("postgres", "bigquery")
    }
    return {
        snippet: Rendered(
            **{
                target: (folder / f"snippet_{number}.sql").read_text()
                for target, folder in compiled.items()
            }
        )
        for number, snippet in enumerate(snippets)
    }


def _compile(package: Path, target: str, variables: Mapping[str, object]) -> Path:
    """Compile in a process of its own, since dbt keeps one adapter a process."""
    target_path = package / f"target-{target}"
    command = [str(Path(sys.executable).with_name("dbt")), "compile", "--target", target]
    command += ["--target-path", str(target_path), "--no-populate-cache", "--no-introspect"]
    command += ["--vars", json.dumps(variables)]
    try:
        done = subprocess.run(
            command,
            cwd=package,
            env=os.environ | NOWHERE | {"DBT_PROFILES_DIR": str(package)},
            capture_output=True,
            text=True,
            timeout=RENDER_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise DbtFailed(f"dbt compile for {target} took over {RENDER_SECONDS} s.") from error
    if done.returncode:
        raise DbtFailed(f"dbt compile for {target} failed:\n{(done.stdout + done.stderr)[-4000:]}")
    return target_path / "compiled" / "headrace" / "analyses"
