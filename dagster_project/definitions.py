"""The entry point of Dagster: assets, checks and the one job that does it all."""

from __future__ import annotations

import dagster as dg

from dagster_project.core.settings import Settings
from dagster_project.defs import evals, flow, index, quality, transform
from dagster_project.resources import HeadraceResource

manifest = transform.read_manifest(Settings.load())

defs = dg.Definitions(
    assets=[
        *transform.source_tables(manifest),
        transform.models(manifest),
        *index.assets,
        *evals.assets,
    ],
    asset_checks=[
        *index.checks,
        *evals.checks,
        *quality.checks,
        flow.lag_is_within_the_promise,
    ],
    jobs=[
        dg.define_asset_job(
            "build",
            selection=dg.AssetSelection.all() - dg.AssetSelection.groups("upkeep"),
            executor_def=dg.in_process_executor,
        ),
        flow.micro_batch,
        flow.live,
    ],
    schedules=[*index.schedules, *evals.schedules],
    sensors=[*flow.change_sensors(manifest), flow.keeper],
    resources={"warehouse": HeadraceResource()},
)
