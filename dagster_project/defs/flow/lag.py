"""How long a change of a source row takes until readers see it."""

import dagster as dg

from dagster_project.core.checks import LAG
from dagster_project.defs.index.publishing import PUBLISHED
from dagster_project.defs.results import check_result
from dagster_project.resources import HeadraceResource


@dg.asset_check(asset=PUBLISHED, name=LAG.name, description=LAG.description)
def lag_is_within_the_promise(warehouse: HeadraceResource) -> dg.AssetCheckResult:
    """95 of 100 changes of the last hour were seen within a minute."""
    return check_result(LAG, LAG.look(warehouse.headrace))
