"""What our checks found, as Dagster shows it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg

from dagster_project.core.build import Headrace
from dagster_project.core.checks import Check, Finding, Status
from dagster_project.resources import HeadraceResource


def asset_check(
    check: Check, look: Callable[[Headrace], Finding] | None = None
) -> dg.AssetChecksDefinition:
    """A check as Dagster has it; `look`, where it looks at something else than the check does."""

    @dg.asset_check(
        asset=dg.AssetKey(check.asset.split("/")),
        name=check.name,
        description=check.description,
        blocking=check.blocks,
    )
    def looks(warehouse: HeadraceResource) -> dg.AssetCheckResult:
        return check_result(check, (look or check.look)(warehouse.headrace))

    return looks


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
