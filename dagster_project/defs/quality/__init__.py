"""What documents and chunks must be like before a full build embeds them.

They look at whole tables, so a micro-batch leaves them out.
"""

import dagster as dg

from dagster_project.core.checks import GATES, Check
from dagster_project.defs.results import check_result
from dagster_project.resources import HeadraceResource


def _asset_check(check: Check) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=dg.AssetKey(check.asset.split("/")),
        name=check.name,
        description=check.description,
        blocking=check.blocks,
    )
    def looks(warehouse: HeadraceResource) -> dg.AssetCheckResult:
        return check_result(check, check.look(warehouse.headrace))

    return looks


checks = [_asset_check(check) for check in GATES]

__all__ = ["checks"]
