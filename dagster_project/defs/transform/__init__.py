"""The dbt project as assets: sources, staging, semantic, documents, chunks."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, dbt_assets

from dagster_project.core.dbt import Dbt
from dagster_project.core.settings import Settings
from dagster_project.resources import HeadraceResource


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
    return Dbt(settings, {}).manifest


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
        dbt = warehouse.headrace.dbt
        dbt.install()
        os.environ.update(dbt.environment)
        command = DbtCliResource(
            project_dir=str(dbt.project), profiles_dir=dbt.environment["DBT_PROFILES_DIR"]
        )
        yield from command.cli(
            ["build", "--exclude-resource-type", "unit_test"],
            context=context,
            target_path=dbt.target,
        ).stream()

    return dbt_models
