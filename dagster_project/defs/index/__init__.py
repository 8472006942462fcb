"""From chunks to the published index."""

import dagster as dg

from dagster_project.core.build import describe
from dagster_project.core.sync import compare
from dagster_project.resources import HeadraceResource

CHUNKS = dg.AssetKey(["chunks", "rag__chunks"])
VECTORS = dg.AssetKey(["index", "vectors"])


@dg.asset(
    key=VECTORS,
    deps=[CHUNKS],
    group_name="index",
    kinds={"lancedb", "python"},
    pool="index",
)
def vectors(warehouse: HeadraceResource) -> dg.MaterializeResult:
    """The newest version of the index: exactly what changed is embedded; readers do not see it."""
    report = warehouse.headrace.sync()
    index = warehouse.headrace.index
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": index.count(),
            "added": report.added,
            "embedded": report.embedded,
            "vectors_reused": report.reused,
            "updated": report.updated,
            "deleted": report.deleted,
            "quarantined": report.quarantined,
            "batch_id": str(report.batch_id),
            "version": report.version or 0,
            "model_id": index.model_id,
            "seconds": {phase: round(spent, 3) for phase, spent in report.seconds.items()},
            "sample": dg.MetadataValue.md("\n\n---\n\n".join(index.sample(3)) or "no rows"),
        }
    )


@dg.asset_check(asset=VECTORS, blocking=True)
def holds_what_the_warehouse_holds(warehouse: HeadraceResource) -> dg.AssetCheckResult:
    """The new version holds every chunk of the warehouse once, as it is now, and nothing else."""
    headrace = warehouse.headrace
    difference = compare(headrace.warehouse, headrace.index, live=False)
    return dg.AssetCheckResult(
        passed=difference.is_clean,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={
            "found": describe(difference),
            "remedy": "Run the job again: the sync compares everything and mends it.",
            "missing": difference.missing[:5],
            "orphans": difference.orphans[:5],
            "duplicates": difference.duplicates[:5],
            "stale": difference.stale[:5],
        },
    )


@dg.asset(
    key=["index", "published"],
    deps=[VECTORS],
    group_name="index",
    kinds={"lancedb"},
    pool="index",
)
def published(warehouse: HeadraceResource) -> dg.MaterializeResult:
    """The version that readers see: the tag `live` moves when the checks of the new one passed."""
    version = warehouse.headrace.publish()
    return dg.MaterializeResult(
        metadata={"live_version": version, "dagster/row_count": warehouse.headrace.index.count()}
    )
