"""The dbt package on its own, and installed by a project outside the repository."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from dagster_project.core.build import Headrace
from dagster_project.core.dbt import DbtError
from dagster_project.core.retrieval import Principals, Retriever
from dagster_project.core.settings import EXAMPLE_PROJECT, PACKAGE_PROJECT
from dagster_project.demo import generate
from tests.core.desk import WITHOUT_TESTS

MODEL = """
select
    'note:' || id as document_id,
    'notes' as source_name,
    'note' as doc_type,
    title,
    body,
    cast(null as text) as url,
    cast(null as text) as owner,
    'en' as language,
    cast(null as date) as valid_from,
    cast(null as date) as valid_to,
    cast(null as text) as version_family,
    cast(null as date) as version_date,
    cast(null as date) as review_by,
    {{ headrace.text_array(["'everyone'"]) }} as access,
    {{ headrace.json_object([['id', 'id']]) }} as payload,
    cast(null as {{ headrace.type_timestamp() }}) as source_updated_at,
    false as is_deleted
from public.notes
"""
PROJECT = """
name: outside
version: "1.0"
profile: headrace
vars:
  headrace_document_models: [doc_notes]
"""


def test_unit_tests_of_the_example_and_the_package(headrace: Headrace, tmp_path: Path) -> None:
    with psycopg.connect(headrace.postgres_url) as connection:
        generate(connection, scale=0.01)
    example = Headrace(
        replace(
            headrace.settings,
            home=tmp_path / "home",
            dbt_project=EXAMPLE_PROJECT,
            schema="example",
        )
    )
    example.dbt.parse()
    example.dbt.invoke(["seed"])
    # Empty tables are enough: dbt reads the types of the columns from them.
    example.dbt.invoke(["run", "--empty"])
    # Those of the package too, as it is where a project installs it.
    example.dbt.invoke(["test", "--select", "test_type:unit"])


def test_a_generic_test_fails_on_what_it_is_for(headrace: Headrace) -> None:
    headrace.transform(WITHOUT_TESTS)
    with psycopg.connect(headrace.postgres_url) as connection:
        connection.execute(
            "insert into headrace.rag__chunks (chunk_id, access, approx_tokens) values "
            "('bad', '{}', 257)"
        )
    with pytest.raises(DbtError) as failure:
        headrace.dbt.invoke(["test", "--select", "rag__chunks", "--exclude", "test_type:unit"])
    assert "names_somebody_rag__chunks_access" in str(failure.value)
    assert "within_the_token_budget_rag__chunks" in str(failure.value)


def test_a_project_outside_installs_the_package(
    postgres_url: str, headrace: Headrace, tmp_path: Path
) -> None:
    project = tmp_path / "outside"
    (project / "models").mkdir(parents=True)
    (project / "dbt_project.yml").write_text(PROJECT)
    (project / "packages.yml").write_text(f"packages:\n  - local: {PACKAGE_PROJECT}\n")
    (project / "models" / "doc_notes.sql").write_text(MODEL)
    with psycopg.connect(headrace.postgres_url) as connection:
        connection.execute("create table public.notes (id text, title text, body text)")
        connection.execute(
            "insert into public.notes values ('1', 'Tides', 'High water is at noon.')"
        )
    consumer = Headrace(
        replace(
            headrace.settings,
            home=tmp_path / "home",
            dbt_project=project,
            schema="outside",
            lancedb_uri=str(tmp_path / "lancedb"),
        )
    )
    consumer.build()
    hits = Retriever(consumer, Principals.of()).search("high water", 1)
    assert [(hit.document_id, hit.text) for hit in hits] == [("note:1", "High water is at noon.")]
    assert consumer.verify().is_clean
