"""What our checks found, as Dagster shows it."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from dagster_project.core.checks import Check, Finding, Status


def check_result(check: Check, found: Finding) -> dg.AssetCheckResult:
    """The evaluation of a check: figures that the UI plots, rows as a table, what to do."""
    metadata: dict[str, Any] = {"reason": found.reason, **found.figures}
    if found.samples:
        metadata["rows"] = dg.MetadataValue.md(_table(found.samples))
    if remedy := check.remedy_for(found):
        metadata["remedy"] = remedy
    return dg.AssetCheckResult(
        passed=found.status is Status.PASS,
        severity=dg.AssetCheckSeverity.WARN
        if found.status is Status.WARN
        else dg.AssetCheckSeverity.ERROR,
        metadata=metadata,
    )


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    columns = list(rows[0])
    cells = [[_cell(row[name]) for name in columns] for row in rows]
    lines = [columns, ["---"] * len(columns), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value).replace("|", "\\|")
