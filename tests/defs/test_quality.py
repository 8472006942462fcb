"""The checks of documents and chunks in the job that does it all."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from dagster_project.core.build import Headrace
from dagster_project.core.ingest import ingest_files
from dagster_project.defs import evals, index, quality, transform
from dagster_project.defs.index.publishing import CHUNKS, PUBLISHED, VECTORS
from dagster_project.resources import HeadraceResource
from tests.core.desk import WITHOUT_TESTS

NOTE = "---\ntitle: Shifts\nlanguage: {language}\nupdated_at: 2026-01-01\n---\n{text}\n"


def test_an_expectation_that_fails_keeps_the_run_from_the_index(
    headrace: Headrace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = headrace.settings
    monkeypatch.setenv("HEADRACE_HOME", str(settings.home))
    monkeypatch.setenv("HEADRACE_POSTGRES_URL", settings.postgres_url or "")
    monkeypatch.setenv("HEADRACE_MODEL", settings.model)
    job = dg.Definitions(
        assets=[
            transform.models(transform.read_manifest(settings)),
            *index.assets,
            *evals.assets,
        ],
        asset_checks=[*index.checks, *evals.checks, *quality.checks],
        jobs=[
            dg.define_asset_job(
                "build", dg.AssetSelection.all() - dg.AssetSelection.groups("upkeep")
            )
        ],
        resources={"warehouse": HeadraceResource(home=str(settings.home))},
    ).resolve_job_def("build")

    def write(language: str, text: str) -> None:
        (tmp_path / "shift.md").write_text(NOTE.format(language=language, text=text))
        ingest_files(headrace.warehouse, str(tmp_path), "notes")

    def run(language: str, text: str) -> dg.ExecuteInProcessResult:
        write(language, text)
        return job.execute_in_process(raise_on_error=False)

    write("en", "A shift starts on the hour.")
    headrace.build(WITHOUT_TESTS)
    version = headrace.live_index.live_version

    refused = run("English", "A shift starts at noon, and ends at eight.")
    found = {each.check_name: each for each in refused.get_asset_check_evaluations()}
    failed = found["documents_meet_expectations"]
    assert not failed.passed and failed.blocking
    assert "Write en" in str(failed.metadata["remedy"].value)
    assert str(failed.metadata["data_docs"].value).endswith("gx/data_docs/index.html")
    assert found["chunks_meet_expectations"].passed
    assert not refused.success
    made = {event.asset_key for event in refused.get_asset_materialization_events()}
    assert CHUNKS in made
    assert not made & {VECTORS, PUBLISHED}
    assert headrace.live_index.live_version == version

    mended = run("en", "A shift starts at noon, and ends at eight.")
    assert mended.success
    asked = {each.check_name: each for each in mended.get_asset_check_evaluations()}
    assert asked["documents_meet_expectations"].passed
    assert "no gold set" in str(asked["answers_the_gold_set"].metadata["reason"].value)
    assert [row["text"] for row in headrace.live_index.dump()] == [
        "A shift starts at noon, and ends at eight."
    ]
