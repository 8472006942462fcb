"""Gold sets: asked before a full build publishes, and on a schedule of their own."""

from typing import Any

import dagster as dg

from dagster_project.core.build import Headrace
from dagster_project.core.checks import ANSWERS, Finding, good_answers
from dagster_project.core.evals import history, judge, look
from dagster_project.core.evals.report import markdown
from dagster_project.defs.index.publishing import PUBLISHED, filled
from dagster_project.defs.results import asset_check, check_result
from dagster_project.resources import HeadraceResource

GOLD_QUESTIONS = dg.AssetKey(["evals", "rag__gold_questions"])
ANSWERED = dg.AssetKey(["evals", "answers"])


def _waiting(headrace: Headrace) -> Finding:
    return good_answers([judge(headrace, each) for each in filled(headrace)])


# A micro-batch leaves it out: `publish` asks where it must.
checks = [asset_check(ANSWERS, _waiting)]


@dg.asset(
    key=ANSWERED,
    deps=[GOLD_QUESTIONS, PUBLISHED],
    # Left out of the build, which asks before it publishes.
    group_name="upkeep",
    kinds={"lancedb"},
    check_specs=[
        dg.AssetCheckSpec(ANSWERS.name, asset=ANSWERED, description=ANSWERS.description),
    ],
)
def answers(warehouse: HeadraceResource) -> dg.MaterializeResult:
    """How the version that readers see answers the gold sets, beside the one asked before it."""
    headrace = warehouse.headrace
    verdict = look(headrace, headrace.live_generation, live=True)
    found = good_answers([verdict])
    metadata: dict[str, Any] = {"reason": found.reason, **found.figures}
    if verdict is not None:
        metadata |= {
            "generation": verdict.after.generation,
            "version": verdict.after.version,
            "report": dg.MetadataValue.md(markdown(verdict, history(headrace))),
        }
    return dg.MaterializeResult(metadata=metadata, check_results=[check_result(ANSWERS, found)])


assets: list[dg.AssetsDefinition] = [answers]
schedules = [
    dg.ScheduleDefinition(
        job=dg.define_asset_job("evals", selection=dg.AssetSelection.assets(ANSWERED)),
        cron_schedule="29 * * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
]

__all__ = ["assets", "checks", "schedules"]
