"""How long a change of a source row takes until readers see it."""

from dagster_project.core.checks import LAG
from dagster_project.defs.results import asset_check

lag_is_within_the_promise = asset_check(LAG)
