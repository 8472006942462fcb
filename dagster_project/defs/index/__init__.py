"""From chunks to the published index, and its upkeep."""

import dagster as dg

from dagster_project.defs.index.publishing import (
    holds_what_the_warehouse_holds,
    published,
    search_index_is_current,
    vectors,
)
from dagster_project.defs.index.upkeep import anti_entropy, finds_nothing, maintenance, schedules

assets: list[dg.AssetsDefinition] = [vectors, published, anti_entropy, maintenance]
checks: list[dg.AssetChecksDefinition] = [
    holds_what_the_warehouse_holds,
    search_index_is_current,
    finds_nothing,
]

__all__ = ["assets", "checks", "schedules"]
