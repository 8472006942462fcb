"""The process behind `desk.Worker`: many small writes a batch, so that a kill falls between two."""

import sys

from dagster_project.core import sync
from dagster_project.core.build import Headrace
from dagster_project.core.errors import HeadraceError
from dagster_project.core.settings import Settings

sync.BATCH_ROWS = 16


def main() -> None:
    """Say ready, then build once for every line."""
    headrace = Headrace(Settings.load())
    headrace.warehouse.prepare()
    headrace.dbt.parse()
    _say("ready")
    for _ in sys.stdin:
        try:
            headrace.build()
        except HeadraceError as error:
            _say(f"refused: {str(error).splitlines()[0]}")
        else:
            _say("built")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
