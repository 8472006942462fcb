"""Write, check, publish."""

from datetime import timedelta
from typing import Any

import dagster as dg

from dagster_project.core.build import Headrace, NotPublishedError
from dagster_project.core.checks import (
    COMPLETE,
    CURRENT,
    FITS,
    IN_FORCE,
    NEAREST,
    nothing_cut,
    nothing_out_of_force,
    same_rows,
)
from dagster_project.core.index import Generation, GenerationState, VectorIndex
from dagster_project.core.sync import SyncReport
from dagster_project.defs.results import asset_check
from dagster_project.defs.transform import sources_of
from dagster_project.resources import HeadraceResource

# The job that does it all.
BUILD = "build"
DOCUMENTS = dg.AssetKey(["documents", "rag__documents"])
CHUNKS = dg.AssetKey(["chunks", "rag__chunks"])
VECTORS = dg.AssetKey(["index", "vectors"])
PUBLISHED = dg.AssetKey(["index", "published"])


@dg.asset(
    key=VECTORS,
    # The documents too: a check of them that fails comes too late for the chunks, which are made in
    # the same step, and must stop what follows.
    deps=[DOCUMENTS, CHUNKS],
    group_name="index",
    kinds={"lancedb", "python"},
    pool="index",
)
def vectors(warehouse: HeadraceResource) -> dg.MaterializeResult:
    """The newest version of the index: exactly what changed is embedded; readers do not see it.

    While a model or the way of cutting changes, the generation that readers see comes first, then
    the one that is filled beside it.
    """
    headrace = warehouse.headrace
    metadata: dict[str, Any] = {}

    def write(generation: Generation) -> None:
        report = headrace.sync(generation)
        index = headrace.store.index(generation)
        metadata.update(
            {
                "dagster/row_count": index.count(),
                "generation": generation.name,
                "model_id": generation.model_id,
                "version": report.version or 0,
                "batch_id": str(report.batch_id),
                "sample": dg.MetadataValue.md("\n\n---\n\n".join(index.sample(3)) or "no rows"),
                **counts(report),
            }
        )

    headrace.for_each(write)
    return dg.MaterializeResult(metadata=metadata)


def counts(report: SyncReport) -> dict[str, Any]:
    """What a sync did, for the UI."""
    return {
        "added": report.added,
        "changed": report.changed,
        "payload_only": report.payload_only,
        "deleted": report.deleted,
        "embedded": report.embedded,
        "vectors_reused": report.reused,
        "quarantined": report.quarantined,
        "seconds": {phase: round(spent, 3) for phase, spent in report.seconds.items()},
    }


def filled(headrace: Headrace) -> dict[Generation, VectorIndex]:
    """The generations whose newest version is to be published, with their indices.

    A live one beside one that is filled to replace it may be broken: it is among them only where
    there is something of it to publish.
    """
    indexes = {each: headrace.store.index(each) for each in headrace.to_sync()}
    is_alone = len(indexes) == 1
    return {
        each: index
        for each, index in indexes.items()
        if index.exists
        and (
            is_alone
            or each.state is not GenerationState.LIVE
            or index.version != index.live_version
        )
    }


# What is to be published, where `headrace check` looks at what readers see.
before_publishing = [
    asset_check(
        COMPLETE,
        lambda headrace: same_rows({each.name: headrace.check(each) for each in filled(headrace)}),
    ),
    asset_check(IN_FORCE, lambda headrace: nothing_out_of_force(filled(headrace).values())),
    asset_check(FITS, lambda headrace: nothing_cut(filled(headrace).values())),
]
of_the_search_indices = [asset_check(CURRENT), asset_check(NEAREST)]


@dg.asset(
    key=PUBLISHED,
    deps=[VECTORS],
    group_name="index",
    kinds={"lancedb"},
    pool="index",
    # Says that nothing ran at all; how current the content is, the check of the lag says.
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=26)),
)
def published(
    context: dg.AssetExecutionContext, warehouse: HeadraceResource
) -> dg.MaterializeResult:
    """The version that readers see: the tag `live` moves when the checks of the new one passed."""
    headrace = warehouse.headrace

    def show(generation: Generation) -> None:
        headrace.publish(generation)
        if generation.state is not GenerationState.LIVE:
            headrace.store.promote(generation.name)

    try:
        headrace.for_each(show)
    except NotPublishedError as error:
        raise dg.Failure(str(error)) from error
    sources = sources_of(context.run)
    if sources is None and context.run.job_name == BUILD:
        sources = headrace.watch.everything()
    headrace.warehouse.mark_seen(sources or [])
    return dg.MaterializeResult(metadata=published_metadata(headrace))


def published_metadata(headrace: Headrace) -> dict[str, Any]:
    """What readers see now, and how long the last hour's changes took to reach them."""
    live = headrace.live_generation
    index = headrace.store.index(live)
    metadata: dict[str, Any] = {
        "live_version": index.live_version or 0,
        "generation": live.name,
        "dagster/row_count": index.count(),
    }
    for row in headrace.warehouse.lag(minutes=60):
        metadata |= {
            f"p50 lag of {row['source_name']}, seconds": row["p50"],
            f"p95 lag of {row['source_name']}, seconds": row["p95"],
        }
    return metadata
