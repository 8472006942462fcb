"""From chunks to the published index, and its upkeep."""

import dagster as dg

from dagster_project.defs.index.publishing import (
    before_publishing,
    of_the_search_indices,
    published,
    vectors,
)
from dagster_project.defs.index.upkeep import anti_entropy, finds_nothing, maintenance, schedules

assets: list[dg.AssetsDefinition] = [vectors, published, anti_entropy, maintenance]
checks: list[dg.AssetChecksDefinition] = [
    *before_publishing,
    *of_the_search_indices,
    finds_nothing,
]

__all__ = ["assets", "checks", "schedules"]
