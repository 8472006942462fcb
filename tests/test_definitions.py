"""The asset graph, read as Dagster reads it."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from dagster_project.core.settings import EXAMPLE_PROJECT


def test_lineage_goes_from_source_tables_to_the_published_index(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    monkeypatch.setenv("HEADRACE_DBT_PROJECT", str(EXAMPLE_PROJECT))
    from dagster_project.core.settings import Settings
    from dagster_project.defs import evals, index, transform
    from dagster_project.resources import HeadraceResource

    manifest = transform.read_manifest(Settings.load())
    graph = dg.Definitions(
        assets=[
            *transform.source_tables(manifest),
            transform.models(manifest),
            *index.assets,
            *evals.assets,
        ],
        asset_checks=[*index.checks, *evals.checks],
        resources={"warehouse": HeadraceResource()},
    ).resolve_asset_graph()
    above = {dg.AssetKey(["index", "published"])}
    while True:
        wider = above | {parent for key in above for parent in graph.get(key).parent_keys}
        if wider == above:
            break
        above = wider
    assert {
        dg.AssetKey(["saas", "tickets"]),
        dg.AssetKey(["documents", "doc_support_tickets"]),
        dg.AssetKey(["chunks", "rag__chunks"]),
        dg.AssetKey(["index", "vectors"]),
    } <= above
    assert graph.get(dg.AssetKey(["evals", "answers"])).parent_keys == {
        dg.AssetKey(["evals", "rag__gold_questions"]),
        dg.AssetKey(["index", "published"]),
    }
    assert (
        dg.AssetKey(["seeds", "gold_questions"])
        in graph.get(dg.AssetKey(["evals", "rag__gold_questions"])).parent_keys
    )
    check = dg.AssetCheckKey(dg.AssetKey(["index", "vectors"]), "answers_the_gold_set")
    assert graph.get(check).blocking
