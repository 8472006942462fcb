"""Sensors that look at the source tables inside their ticks and ask for micro-batches."""

import time
from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from dagster_project.core.build import Headrace
from dagster_project.core.errors import HeadraceError
from dagster_project.core.watch import Watch
from dagster_project.defs.flow.lag import lag_is_within_the_promise
from dagster_project.defs.flow.runs import under_way
from dagster_project.defs.index.publishing import (
    BUILD,
    PUBLISHED,
    VECTORS,
    before_publishing,
)
from dagster_project.defs.transform import SOURCES_TAG, RoomTranslator
from dagster_project.resources import HeadraceResource

MICRO_BATCH = "micro_batch"
_CHECKS = [
    key for check in (*before_publishing, lag_is_within_the_promise) for key in check.check_keys
]
LIVE_LOCK = "live"
# The daemon gives a tick a minute.
TICK_SECONDS = 45.0
LOOK_SECONDS = 0.2
# A batch that failed is asked for again after these seconds, doubled each time, up to the most.
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 300.0
_ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]


micro_batch = dg.define_asset_job(
    MICRO_BATCH,
    selection=dg.AssetSelection.all() - dg.AssetSelection.groups("upkeep"),
    executor_def=dg.in_process_executor,
    description="Asked for by the sensors, with exactly the models that a change concerns.",
)


def change_sensors(manifest: Mapping[str, Any]) -> list[dg.SensorDefinition]:
    """Two sensors for each dbt source that chunks are made of.

    The daemon begins a tick every five seconds at best, which is longer than a batch takes in a
    warm worker; and a run's process takes seconds to start. So a second sensor asks for the next
    batch while one is under way; that run waits for its turn.
    """
    # What a watch says of the manifest needs no warehouse.
    names = Watch(None, manifest).groups()  # type: ignore[arg-type]
    return [
        _sensor(name, manifest, meanwhile=meanwhile)
        for name in names
        for meanwhile in (False, True)
    ]


def _sensor(
    source_name: str, manifest: Mapping[str, Any], *, meanwhile: bool
) -> dg.SensorDefinition:
    when = "while a batch is under way" if meanwhile else "while none is under way"

    @dg.sensor(
        name=f"{source_name}_changes" + ("_meanwhile" if meanwhile else ""),
        job_name=MICRO_BATCH,
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Asks for a micro-batch when a table of {source_name} changed {when}.",
    )
    def changes(
        context: dg.SensorEvaluationContext, warehouse: HeadraceResource
    ) -> dg.RunRequest | dg.SkipReason:
        headrace = warehouse.headrace
        watch = Watch(headrace.warehouse, manifest)
        until = time.monotonic() + TICK_SECONDS
        reason = ""
        while time.monotonic() < until:
            try:
                if headrace.warehouse.is_locked(LIVE_LOCK):
                    return dg.SkipReason("the live run follows the sources")
                look = watch.came_meanwhile if meanwhile else watch.changed
                sources = look(source_name)
                waits = (
                    _reason_to_wait(context.instance, headrace, meanwhile=meanwhile)
                    if sources
                    else None
                )
            except HeadraceError as error:
                waits, sources = str(error), []
                watch = _reconnected(headrace, watch, manifest)
            if sources and not waits:
                return _request(watch, sources, manifest)
            reason = waits or "no table changed"
            time.sleep(LOOK_SECONDS)
        return dg.SkipReason(reason)

    return changes


def _reconnected(headrace: Headrace, watch: Watch, manifest: Mapping[str, Any]) -> Watch:
    """A watch on the warehouse as it answers now, or the same where it still does not."""
    headrace.reconnect()
    try:
        return Watch(headrace.warehouse, manifest)
    except HeadraceError:
        return watch


def _request(watch: Watch, sources: list[str], manifest: Mapping[str, Any]) -> dg.RunRequest:
    translator = RoomTranslator()
    wanted = set(watch.plan(sources))
    models = [
        translator.get_asset_key(node)
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["name"] in wanted
    ]
    return dg.RunRequest(
        asset_selection=[*models, VECTORS, PUBLISHED],
        # The data tests look at whole tables: they belong to the job build.
        asset_check_keys=_CHECKS,
        tags={SOURCES_TAG: ",".join(sources)},
    )


def _reason_to_wait(
    instance: dg.DagsterInstance, headrace: Headrace, *, meanwhile: bool = False
) -> str | None:
    """Why no batch may be asked for now, or None."""
    if headrace.store.live() is None:
        return "nothing was published yet: run the job build once"
    runs = [run for job in (MICRO_BATCH, BUILD) for run in under_way(instance, headrace, job)]
    if len(runs) != meanwhile:
        return f"batches under way: {', '.join(runs) or 'none'}"
    ended = instance.get_run_records(RunsFilter(job_name=MICRO_BATCH, statuses=_ENDED), limit=10)
    failures = 0
    for record in ended:
        if record.dagster_run.status is not DagsterRunStatus.FAILURE:
            break
        failures += 1
    if failures and meanwhile:
        return "the last batch failed: the next waits for the one under way"
    if failures:
        pause = min(FIRST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE)
        since = time.time() - (ended[0].end_time or time.time())
        if since < pause:
            return (
                f"the last {failures} batches failed; the next is asked for in "
                f"{pause - since:.0f} s"
            )
    return None
