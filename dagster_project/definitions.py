"""The entry point of Dagster: assets, checks and the one job that does it all."""

from __future__ import annotations

import dagster as dg

from dagster_project.core.settings import Settings
from dagster_project.defs import index, transform
from dagster_project.resources import HeadraceResource

manifest = transform.read_manifest(Settings.load())

defs = dg.Definitions(
    assets=[
        *transform.source_tables(manifest),
        transform.models(manifest),
        *index.assets,
    ],
    asset_checks=index.checks,
    jobs=[
        dg.define_asset_job(
            "build", selection=dg.AssetSelection.all() - dg.AssetSelection.groups("upkeep")
        )
    ],
    schedules=index.schedules,
    resources={"warehouse": HeadraceResource()},
)
