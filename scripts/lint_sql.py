"""Run sqlfluff on what dbt compiles for Postgres, of the package and of the example.

Compiling asks the warehouse which tables exist, so an embedded Postgres runs for as long as it
takes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from dagster_project.core.build import Headrace
from dagster_project.core.postgres import EmbeddedPostgres
from dagster_project.core.settings import EXAMPLE_PROJECT, PACKAGE_PROJECT, Settings

# sqlfluff takes its settings from the pyproject.toml here.
_ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Lint all of it, whatever is found; 1 where something was."""
    os.environ |= {"HEADRACE_PG_FAST": "1", "HEADRACE_WAREHOUSE": "postgres"}
    with tempfile.TemporaryDirectory(prefix="headrace-lint-") as directory:
        home = Path(directory)
        server = EmbeddedPostgres(home)
        try:
            url = server.start()
            example, package = (
                _open(home, url, path) for path in (EXAMPLE_PROJECT, PACKAGE_PROJECT)
            )
            example.dbt.install()
            clean = [
                _lint(example, "models", "tests"),
                # What stands for a first run, while there is no table; then all the rest.
                _lint(package, "models/documents"),
            ]
            package.warehouse.prepare()
            package.dbt.build()
            clean.append(_lint(package, "models"))
        finally:
            server.stop()
    return 0 if all(clean) else 1


def _open(home: Path, url: str, project: Path) -> Headrace:
    return Headrace(
        Settings(
            home=home,
            dbt_project=project,
            postgres_url=url,
            schema="headrace",
            lancedb_uri=str(home / "lancedb"),
            model="fake",
        )
    )


def _lint(headrace: Headrace, *folders: str) -> bool:
    paths = [str((headrace.dbt.project / folder).relative_to(_ROOT)) for folder in folders]
    # The command of this environment, whatever the shell's path says.
    sqlfluff = str(Path(sys.executable).parent / "sqlfluff")
    result = subprocess.run(
        [sqlfluff, "lint", *paths], cwd=_ROOT, env=os.environ | headrace.dbt.environment
    )
    return result.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
