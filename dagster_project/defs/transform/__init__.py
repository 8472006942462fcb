"""The dbt project as assets: sources, staging, semantic, documents, chunks."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, dbt_assets
from dagster_dbt.asset_utils import get_asset_check_key_for_test

from dagster_project.core.dbt import Dbt, DbtError, NodeResult
from dagster_project.core.settings import Settings
from dagster_project.resources import HeadraceResource

# The sources whose change asked for a micro-batch, by commas; other runs have no such tag.
SOURCES_TAG = "headrace/sources"


class RoomTranslator(DagsterDbtTranslator):
    """Keys of two parts: the folder of a model, or the name of a source, then the table."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """The key of a model, a seed or a source."""
        if dbt_resource_props["resource_type"] == "source":
            return dg.AssetKey([dbt_resource_props["source_name"], dbt_resource_props["name"]])
        path = dbt_resource_props["fqn"]
        room = path[1] if len(path) > 2 else dbt_resource_props["resource_type"] + "s"
        return dg.AssetKey([room, dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """The room."""
        return self.get_asset_key(dbt_resource_props).path[0]


def read_manifest(settings: Settings) -> Mapping[str, Any]:
    """The project's manifest, read anew: parsing connects to nothing, so no Postgres is started."""
    # Of BigQuery the manifest names the project, which the sensors look in.
    there = settings.bigquery
    return Dbt(settings, there.environment(settings.schema) if there else {}).manifest


def source_tables(manifest: Mapping[str, Any]) -> list[dg.AssetSpec]:
    """The tables that others write, so that lineage begins where the data does."""
    translator = RoomTranslator()
    return [
        dg.AssetSpec(
            key=translator.get_asset_key(source),
            description=source["description"],
            group_name="sources",
            kinds={manifest["metadata"]["adapter_type"], "table"},
        )
        for source in manifest["sources"].values()
    ]


def sources_of(run: dg.DagsterRun) -> list[str] | None:
    """The sources whose change asked for a run; None where it is no micro-batch."""
    tag = run.tags.get(SOURCES_TAG)
    return None if tag is None else tag.split(",")


def models(manifest: Mapping[str, Any]) -> dg.AssetsDefinition:
    """The models and tests of a dbt project."""

    @dbt_assets(
        manifest=manifest,
        name="dbt",
        exclude="resource_type:unit_test",
        dagster_dbt_translator=RoomTranslator(),
        pool="dbt",
    )
    def dbt_models(context: dg.AssetExecutionContext, warehouse: HeadraceResource) -> Iterator[Any]:
        headrace = warehouse.headrace
        sources = sources_of(context.run)
        selected = sorted(key.path[-1] for key in context.selected_asset_keys)
        failure: DbtError | None = None
        warehouse.take_turn()
        try:
            if sources is None:
                arguments = ["--select", *selected] if context.is_subset else []
                results = headrace.transform(arguments)
            else:
                results, more = headrace.chunk(sources)
                context.log.info(f"documents were left to the next batch: {more}")
        except DbtError as error:
            failure, results = error, error.results
        yield from _events(context, manifest, results)
        if failure is not None:
            raise dg.Failure(str(failure))

    return dbt_models


def _events(
    context: dg.AssetExecutionContext,
    manifest: Mapping[str, Any],
    results: Mapping[str, NodeResult],
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """What becomes of each node, for the assets and checks that the run is about."""
    translator = RoomTranslator()
    for key, result in results.items():
        node = manifest["nodes"].get(key)
        if node is None:
            continue
        metadata: dict[str, Any] = {
            "seconds": result.seconds,
            "message": result.message,
            "status": result.status,
        }
        if node["resource_type"] == "test":
            check = get_asset_check_key_for_test(manifest, translator, key, None)
            if check is not None and check in context.selected_asset_check_keys:
                yield dg.AssetCheckResult(
                    asset_key=check.asset_key,
                    check_name=check.name,
                    passed=result.status == "pass",
                    severity=dg.AssetCheckSeverity.WARN
                    if node["config"].get("severity", "error").lower() == "warn"
                    else dg.AssetCheckSeverity.ERROR,
                    metadata=metadata | {"rows that fail": result.failures or 0},
                )
        elif result.is_good and translator.get_asset_key(node) in context.selected_asset_keys:
            yield dg.MaterializeResult(asset_key=translator.get_asset_key(node), metadata=metadata)
