"""The live run: one long run that follows the sources, and the sensor that keeps it."""

import os
import time
from collections.abc import Iterator

import dagster as dg

from dagster_project.core.build import BuildReport, Headrace
from dagster_project.core.errors import HeadraceError
from dagster_project.defs.flow.runs import under_way
from dagster_project.defs.flow.sensors import LIVE_LOCK
from dagster_project.defs.index.publishing import (
    CHUNKS,
    PUBLISHED,
    VECTORS,
    before_publishing,
    counts,
    published_metadata,
)
from dagster_project.resources import HeadraceResource

LIVE = "live"
# A run is replaced in time, so that its log stays readable and new code is taken up.
RUN_SECONDS = float(os.environ.get("HEADRACE_LIVE_RUN_SECONDS") or 900.0)
# How long before that its successor is started: it loads its model meanwhile.
LEAD_SECONDS = min(60.0, RUN_SECONDS / 2)
LOOK_SECONDS = 0.1
LONGEST_PAUSE = 60.0


class LiveConfig(dg.Config):
    """How long to run."""

    seconds: float = RUN_SECONDS


@dg.op(out=dg.Out(dg.Nothing, is_required=False))
def follow_the_sources(
    context: dg.OpExecutionContext, config: LiveConfig, warehouse: HeadraceResource
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """Wait for a change, bring it to readers, and again, until it is time for the next run."""
    headrace = warehouse.headrace
    until = time.monotonic() + config.seconds
    # Before it is this run's turn: the one before works while this one loads its model.
    headrace.warm_up()
    with headrace.warehouse.lock(LIVE_LOCK, wait_seconds=2 * LEAD_SECONDS):
        context.log.info("follows the sources from now on")
        for report in _batches(context, headrace, until):
            yield from _events(headrace, report)


def _batches(
    context: dg.OpExecutionContext, headrace: Headrace, until: float
) -> Iterator[BuildReport]:
    failures = 0
    while time.monotonic() < until:
        try:
            if sources := headrace.watch.changed():
                yield headrace.micro_batch(sources)
            else:
                time.sleep(LOOK_SECONDS)
            failures = 0
        except HeadraceError as error:
            failures += 1
            pause = min(2.0**failures, LONGEST_PAUSE)
            context.log.error(f"{error} Tries again in {pause:.0f} s.")
            time.sleep(pause)
            # Without its lock it would not know of another run.
            if not _answers(headrace):
                raise


def _answers(headrace: Headrace) -> bool:
    try:
        return headrace.warehouse.is_locked(LIVE_LOCK)
    except HeadraceError:
        return False


def _events(
    headrace: Headrace, report: BuildReport
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """The events that a run of the job build leaves, for one batch."""
    sync = report.sync
    yield dg.AssetMaterialization(
        CHUNKS, metadata={"batch_id": str(sync.batch_id), "sources": list(report.sources)}
    )
    yield dg.AssetMaterialization(
        VECTORS,
        metadata={
            "generation": report.generation,
            "version": sync.version or 0,
            "batch_id": str(sync.batch_id),
            **counts(sync),
        },
    )
    # A batch that a check did not pass raises, and is not reported as one that did.
    for key in (key for check in before_publishing for key in check.check_keys):
        yield dg.AssetCheckEvaluation(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=True,
            blocking=True,
            metadata={"batch_id": str(sync.batch_id)},
        )
    yield dg.AssetMaterialization(PUBLISHED, metadata=published_metadata(headrace))


@dg.job(name=LIVE, executor_def=dg.in_process_executor)
def live() -> None:
    """Follows the sources until it is replaced; each batch leaves the events of a build."""
    follow_the_sources()


@dg.sensor(
    job=live,
    name="live_keeper",
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING
    if os.environ.get("HEADRACE_LIVE") == "1"
    else dg.DefaultSensorStatus.STOPPED,
    description="Keeps one live run: starts it, its successor in time, and another for a dead one.",
)
def keeper(
    context: dg.SensorEvaluationContext, warehouse: HeadraceResource
) -> dg.RunRequest | dg.SkipReason:
    """Ask for a live run where there is none that lives, or the one there is ends soon."""
    headrace, instance = warehouse.headrace, context.instance
    if headrace.store.live() is None:
        return dg.SkipReason("nothing was published yet: run the job build once")
    try:
        ages = list(under_way(instance, headrace, LIVE).values())
    except HeadraceError as error:
        headrace.reconnect()
        return dg.SkipReason(str(error))
    if not ages or (len(ages) == 1 and ages[0] > RUN_SECONDS - LEAD_SECONDS):
        return dg.RunRequest()
    return dg.SkipReason(f"{len(ages)} live run, {min(ages):.0f} s old")
