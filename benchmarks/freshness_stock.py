"""Headrace's assets run as dagster-dbt's documentation runs a dbt project, without the tuning.

dbt is a subprocess, each step is a process, the sensor looks once in thirty seconds. Of the models
only those between what changed and the chunks run here too.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, dbt_assets

from dagster_project.core.build import Headrace
from dagster_project.core.settings import Settings
from dagster_project.core.watch import Watch
from dagster_project.defs import flow, index
from dagster_project.defs.flow.sensors import MICRO_BATCH, _reason_to_wait, _request
from dagster_project.defs.transform import RoomTranslator, read_manifest, source_tables, sources_of
from dagster_project.resources import HeadraceResource

settings = Settings.load()
manifest = read_manifest(settings)
os.environ.update(Headrace(settings).dbt.environment)


@dbt_assets(
    manifest=manifest,
    name="dbt",
    exclude="resource_type:unit_test",
    dagster_dbt_translator=RoomTranslator(),
)
def models(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, warehouse: HeadraceResource
) -> Iterator[Any]:
    """The models, by dbt's command line."""
    warehouse.headrace.watch.begin(sources_of(context.run) or [])
    yield from dbt.cli(["build"], context=context).stream()


@dg.sensor(job_name=MICRO_BATCH, default_status=dg.DefaultSensorStatus.RUNNING)
def changes(
    context: dg.SensorEvaluationContext, warehouse: HeadraceResource
) -> dg.RunRequest | dg.SkipReason:
    """Ask for a run where a table changed and none is under way."""
    watch = Watch(warehouse.headrace.warehouse, manifest)
    if waits := _reason_to_wait(context.instance, warehouse.headrace):
        return dg.SkipReason(waits)
    if sources := watch.changed("saas"):
        return _request(watch, sources, manifest)
    return dg.SkipReason("no table changed")


defs = dg.Definitions(
    assets=[*source_tables(manifest), models, *index.assets],
    asset_checks=[*index.checks, flow.lag_is_within_the_promise],
    jobs=[
        dg.define_asset_job(
            MICRO_BATCH, selection=dg.AssetSelection.all() - dg.AssetSelection.groups("upkeep")
        )
    ],
    sensors=[changes],
    resources={
        "warehouse": HeadraceResource(),
        "dbt": DbtCliResource(
            project_dir=str(settings.dbt_project),
            profiles_dir=os.environ["DBT_PROFILES_DIR"],
            dbt_executable=str(Path(sys.executable).with_name("dbt")),
        ),
    },
)
