"""What keeps the index right and small: a full comparison, and tidying."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

import dagster as dg
from pydantic import Field

from dagster_project.core.checks import ERROR_SECONDS
from dagster_project.defs.index.publishing import PUBLISHED
from dagster_project.resources import HeadraceResource

ANTI_ENTROPY = dg.AssetKey(["index", "anti_entropy"])
KINDS = ("missing", "orphans", "duplicates", "stale")


class AntiEntropyConfig(dg.Config):
    """How to compare."""

    repair: bool = Field(False, description="Mend what differs, then compare again.")


@dg.asset(key=ANTI_ENTROPY, deps=[PUBLISHED], group_name="upkeep", kinds={"lancedb"}, pool="index")
def anti_entropy(config: AntiEntropyConfig, warehouse: HeadraceResource) -> dg.MaterializeResult:
    """Every word and vector against the warehouse; after normal work there is no difference."""
    headrace = warehouse.headrace
    metadata: dict[str, Any] = {}
    if config.repair:
        metadata["rows_mended"] = headrace.repair().written
    found = headrace.verify(content=True, under_way=ERROR_SECONDS)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": headrace.live_index.count(),
            **metadata,
            **{kind: len(getattr(found, kind)) for kind in KINDS},
            **{f"{kind}_sample": getattr(found, kind)[:5] for kind in KINDS},
        }
    )


@dg.asset_check(asset=ANTI_ENTROPY)
def finds_nothing(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """The last full comparison found no difference."""
    event = context.instance.get_latest_materialization_event(ANTI_ENTROPY)
    materialization = event.asset_materialization if event else None
    found = (
        {kind: materialization.metadata[kind].value for kind in KINDS} if materialization else {}
    )
    return dg.AssetCheckResult(
        passed=bool(found) and not any(found.values()),
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={
            **found,
            "remedy": "Run this asset with `repair: true`, or `headrace verify --repair`.",
        },
    )


class MaintenanceConfig(dg.Config):
    """What to keep."""

    keep_minutes: int = Field(
        60, ge=0, description="Versions younger than this stay, for readers under way."
    )


@dg.asset(
    key=["index", "maintenance"],
    deps=[PUBLISHED],
    group_name="upkeep",
    kinds={"lancedb"},
    pool="index",
)
def maintenance(config: MaintenanceConfig, warehouse: HeadraceResource) -> dg.MaterializeResult:
    """The index compacted, its search indices extended, old versions dropped; rows are the same."""
    done = warehouse.headrace.maintain(timedelta(minutes=config.keep_minutes))
    return dg.MaterializeResult(metadata=asdict(done))


schedules = [
    dg.ScheduleDefinition(
        job=dg.define_asset_job("anti_entropy", selection=dg.AssetSelection.assets(ANTI_ENTROPY)),
        cron_schedule="17 3 * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    ),
    dg.ScheduleDefinition(
        job=dg.define_asset_job(
            "maintenance", selection=dg.AssetSelection.assets(["index", "maintenance"])
        ),
        cron_schedule="41 * * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    ),
]
