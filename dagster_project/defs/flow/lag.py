"""How long a change of a source row takes until readers see it."""

import dagster as dg

from dagster_project.defs.index.publishing import PUBLISHED
from dagster_project.resources import HeadraceResource

WARN_SECONDS = 60.0
ERROR_SECONDS = 300.0


@dg.asset_check(asset=PUBLISHED)
def lag_is_within_the_promise(warehouse: HeadraceResource) -> dg.AssetCheckResult:
    """95 of 100 changes of the last hour were seen within a minute; over five it is an incident."""
    rows = warehouse.headrace.warehouse.lag(minutes=60)
    worst = max((row["p95"] for row in rows), default=0.0)
    table = ["| source | documents | p50 | p95 | max |", "|---|---|---|---|---|"]
    table += [
        f"| {row['source_name']} | {row['documents']} | {row['p50']:.1f} s | {row['p95']:.1f} s "
        f"| {row['max']:.1f} s |"
        for row in rows
    ]
    return dg.AssetCheckResult(
        passed=worst <= WARN_SECONDS,
        severity=dg.AssetCheckSeverity.ERROR
        if worst > ERROR_SECONDS
        else dg.AssetCheckSeverity.WARN,
        metadata={
            "p95_lag_seconds": worst,
            "documents": sum(row["documents"] for row in rows),
            "by source": dg.MetadataValue.md("\n".join(table)),
            "remedy": "Look at rag__freshness for the step that is slow and at `headrace status` "
            "for what waits; see whether the sensors or the live run are on.",
        },
    )
