"""Every expectation of the default suites on a real Postgres: broken, seen, and mended again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from dagster_project.core.build import Headrace, NotPublishedError
from dagster_project.core.checks import CHUNKS, DOCUMENTS, Check, Status, hold_back, run_checks
from dagster_project.core.errors import ConfigurationError
from dagster_project.core.expectations import Severity, read_suite
from dagster_project.core.ingest import ingest_files
from dagster_project.core.retrieval import Principals, Retriever
from dagster_project.core.settings import PACKAGE_PROJECT

NOTE = """---
title: The shift of team {number}
doc_type: house_rule
language: {language}
owner: operations
valid_from: 2024-01-01
valid_to: 2030-01-01
version_family: shift-{number}
version_date: 2024-01-01
review_by: 2030-01-01
updated_at: 2026-01-01
---
Team {number} begins at {number} o'clock, and its break is {number} minutes long.
"""
NOTES = 10
ONE = "where document_id = 'notes:0.md'"
TWO = "where document_id in ('notes:0.md', 'notes:1.md')"
TITLE = "every title has three characters or more"
PLACEHOLDER = "no title is a placeholder, such as Untitled or Document1"
FILE = "no title is the bare name of a file"
VERSIONED = "version_date is neither before 1990 nor in the future"
UPDATED = "source_updated_at is neither before 1990 nor in the future"
LANGUAGE = "language is an ISO 639 code where it is given"
KIND = "doc_type is in snake_case"
OWNER = "a document that is to be reviewed has an owner"
WITHIN = "every chunk is within the token budget"
# What is planted, and the expectation that must see it.
DOCUMENT_FAULTS = [
    (f"document_id = null {ONE}", "every document has an id"),
    (f"document_id = 'notes:1.md' {ONE}", "no two documents have one id"),
    (f"body = '' {ONE}", "every document has a text"),
    (f"valid_to = '2023-12-31' {ONE}", "no document ends before it begins"),
    (f"version_date = '1970-01-01' {ONE}", VERSIONED),
    (f"version_date = current_date + 3 {ONE}", VERSIONED),
    (f"source_updated_at = '1970-01-01 00:00:00+00' {ONE}", UPDATED),
    (f"source_updated_at = now() + interval '2 days' {ONE}", UPDATED),
    (f"language = 'English' {ONE}", LANGUAGE),
    (f"language = 'EN' {ONE}", LANGUAGE),
    (f"title = '' {ONE}", TITLE),
    (f"title = 'ok' {ONE}", TITLE),
    (f"title = 'Untitled' {ONE}", PLACEHOLDER),
    (f"title = 'document1' {ONE}", PLACEHOLDER),
    (f"title = 'shift-plan.DOCX' {ONE}", FILE),
    (f"title = '5F0C2a9e-1b7d-4e3f-9a64-0123456789ab' {ONE}", "no title is a UUID"),
    (f"doc_type = 'House Rule' {ONE}", KIND),
    (f"source_name = 'help-center' {ONE}", "source_name is in snake_case"),
    (f"owner = '' {ONE}", OWNER),
]
CHUNK_FAULTS = [
    (f"chunk_id = null {ONE}", "every chunk has an id"),
    (f"chunk_id = 'twice' {TWO}", "no two chunks have one id"),
    (f"document_id = null {ONE}", "every chunk names its document"),
    (f"content_hash = null {ONE}", "every chunk has the hash of its text"),
    (f"chunk_text = '' {ONE}", "every chunk has a text"),
    (f"approx_tokens = 257 {ONE}", WITHIN),
    (f"approx_tokens = 0 {ONE}", WITHIN),
    ("content_hash = 'copied'", "80 of 100 chunks say what no other chunk says"),
    (
        "chunk_text = title || E'\\n\\nThis message may be confidential.', "
        "header_length = length(title) + 2",
        "at most 10 of 100 chunks say, under their headings, what stands in five documents or more",
    ),
    (
        f"chunk_text = title || E'\\n\\nTo do ' || title, header_length = length(title) * 2 {TWO}",
        "at most 10 of 100 chunks have less than 20 characters under their headings",
    ),
]
# Of a document each.
FINE = [
    "title = 'Documents of record'",
    "title = 'Untitled work is paid hourly'",
    "title = 'Moving to Node.js'",
    "language = null",
    "version_date = current_date",
    "version_date = null",
    "valid_to = valid_from",
    "owner = null, review_by = null",
    "title = '', body = '', doc_type = '', is_deleted = true",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notes")
    for number in range(NOTES):
        (folder / f"{number}.md").write_text(NOTE.format(number=number, language="en"))
    return folder


@pytest.fixture(scope="module")
def built(headrace: Headrace, folder: Path) -> Headrace:
    ingest_files(headrace.warehouse, str(folder), "notes")
    headrace.build(gate=hold_back)
    return headrace


@pytest.fixture
def tables(built: Headrace) -> Iterator[Headrace]:
    """The models, which are afterwards as they were."""
    models = ("rag__documents", "rag__chunks")
    with psycopg.connect(built.postgres_url) as connection:
        for model in models:
            connection.execute(f"create table saved_{model} as table headrace.{model}")
    yield built
    with psycopg.connect(built.postgres_url) as connection:
        for model in models:
            connection.execute(f"truncate headrace.{model}")
            connection.execute(f"insert into headrace.{model} select * from saved_{model}")
            connection.execute(f"drop table saved_{model}")


def plant(headrace: Headrace, model: str, fault: str) -> None:
    with psycopg.connect(headrace.postgres_url) as connection:
        connection.execute(f"update headrace.{model} set {fault}")


def with_suite(headrace: Headrace, project: Path, text: str) -> Headrace:
    """The same warehouse, with a suite of the project's own for rag__documents."""
    (project / "expectations").mkdir()
    (project / "expectations" / "rag__documents.yml").write_text(text)
    return Headrace(replace(headrace.settings, dbt_project=project))


def test_every_expectation_of_the_default_suites_is_broken_below() -> None:
    for model, faults in (("rag__documents", DOCUMENT_FAULTS), ("rag__chunks", CHUNK_FAULTS)):
        suite = read_suite(model, PACKAGE_PROJECT)
        assert {each.description for each in suite.expectations} == {seen for _, seen in faults}


@pytest.mark.parametrize(
    ("check", "key", "fault", "description"),
    [(DOCUMENTS, "document_id", *each) for each in DOCUMENT_FAULTS]
    + [(CHUNKS, "chunk_id", *each) for each in CHUNK_FAULTS],
)
def test_a_fault_is_seen_and_nothing_else(
    tables: Headrace, check: Check, key: str, fault: str, description: str
) -> None:
    model = check.asset.split("/")[1]
    suite = read_suite(model, PACKAGE_PROJECT)
    [expectation] = [each for each in suite.expectations if each.description == description]
    plant(tables, model, fault)

    found = check.look(tables)
    stops = expectation.severity is Severity.ERROR
    assert found.status is (Status.FAIL if stops else Status.WARN), found.reason
    assert description in found.reason and expectation.remedy in check.remedy_for(found)
    # No more, so the fault of the test before is gone now that it is mended.
    assert found.figures["failed"] == 1, found.reason
    assert 1 <= len(found.samples) <= 5
    with psycopg.connect(tables.postgres_url) as connection:
        ids = connection.execute(f"select {key} from headrace.{model}").fetchall()
    assert {(row[key],) for row in found.samples} <= set(ids)


def test_what_is_fine_passes(tables: Headrace) -> None:
    for number, change in enumerate(FINE):
        plant(tables, "rag__documents", f"{change} where document_id = 'notes:{number}.md'")
    for check, count in ((DOCUMENTS, 14), (CHUNKS, 9)):
        found = check.look(tables)
        assert (found.status, found.figures["expectations"]) == (Status.PASS, count), found.reason


@pytest.mark.parametrize("statement", ["truncate {model}", "update {model} set is_deleted = true"])
def test_tables_without_rows_meet_their_expectations(tables: Headrace, statement: str) -> None:
    for check, model, count in ((DOCUMENTS, "rag__documents", 14), (CHUNKS, "rag__chunks", 9)):
        with psycopg.connect(tables.postgres_url) as connection:
            connection.execute(statement.format(model=f"headrace.{model}").encode())
        found = check.look(tables)
        assert (found.status, found.figures["expectations"]) == (Status.PASS, count), found.reason


def test_a_build_of_nothing_is_published_and_followed_by_one_of_something(
    headrace: Headrace, postgres_url: str, folder: Path, tmp_path: Path
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("create database of_nothing")
    settings = replace(
        headrace.settings,
        home=tmp_path,
        postgres_url=postgres_url.rsplit("/", 1)[0] + "/of_nothing",
        lancedb_uri=str(tmp_path / "lancedb"),
    )
    empty = Headrace(settings)
    empty.build(gate=hold_back)
    assert empty.live_index.dump() == []
    assert empty.verify(content=True).is_clean
    assert Retriever(empty, Principals.of()).search("a shift", 5) == []
    assert [each for each in run_checks(empty) if each.status in {Status.FAIL, Status.ERROR}] == []

    ingest_files(empty.warehouse, str(folder), "notes")
    assert empty.build(gate=hold_back).sync.added == NOTES
    assert empty.verify(content=True).is_clean


def test_the_token_bound_is_that_of_the_chunks(tables: Headrace) -> None:
    plant(tables, "rag__chunks", "chunking_policy = '1-16-0'")
    assert WITHIN in CHUNKS.look(tables).reason


def test_a_build_that_fails_an_expectation_leaves_readers_where_they_were(
    built: Headrace, folder: Path
) -> None:
    version, rows = built.live_index.live_version, built.live_index.dump()
    (folder / "0.md").write_text(NOTE.format(number=0, language="English"))
    ingest_files(built.warehouse, str(folder), "notes")
    with pytest.raises(NotPublishedError, match="Write en") as refusal:
        built.build(gate=hold_back)
    assert "documents_meet_expectations" in str(refusal.value) and LANGUAGE in str(refusal.value)
    assert built.live_index.live_version == version
    assert built.live_index.dump() == rows

    (folder / "0.md").write_text(NOTE.format(number=100, language="en"))
    ingest_files(built.warehouse, str(folder), "notes")
    assert built.build(gate=hold_back).sync.embedded == 1
    assert built.verify().is_clean


def test_a_suite_of_the_projects_own_comes_first(built: Headrace, tmp_path: Path) -> None:
    strict = """
expectations:
  - type: expect_column_values_to_be_in_set
    kwargs: {column: language, value_set: [de]}
    description: everything is in German
    severity: warn
    remedy: Translate it.
"""
    found = DOCUMENTS.look(with_suite(built, tmp_path, strict))
    assert found.status is Status.WARN and found.remedy.startswith("Translate it. ")
    assert found.reason == f"not so: everything is in German ({NOTES} rows)"
    assert (found.figures["expectations"], found.figures["failed"]) == (1, 1)
    assert len(found.samples) == 5 and found.samples[0]["found"] == "language: en"


ENTRY = """
expectations:
  - type: {type}
    kwargs: {kwargs}
    description: said
    severity: {severity}
    {remedy}: do it
"""


@pytest.mark.parametrize(
    ("typo", "message"),
    [
        ({"type": "expect_column_values_to_not_be_nul"}, "known: expect_column_values_to_not_be_n"),
        ({"kwargs": "{colum: title}"}, "takes no colum; known: column, mostly, row_condition"),
        ({"kwargs": "{}"}, "column field required"),
        ({"kwargs": "{column: titel}"}, 'cannot be run.*"titel" in BatchData does not exist'),
        ({"kwargs": "title"}, "kwargs must be the expectation's arguments by name"),
        ({"kwargs": "{column: title"}, "is no YAML"),
        ({"severity": "fatal"}, "severity is 'fatal': give one of error, warn"),
        ({"remedy": "remdy"}, "keys .*severity, type; it has remdy; it lacks remedy"),
        (
            {
                "type": "expect_column_values_to_be_between",
                "kwargs": "{column: title, max_value: {$PARAMETER: chunk_token}}",
            },
            "no parameter 'chunk_token'; known: chunk_tokens, latest_date, latest_time",
        ),
        (
            {
                "type": "unexpected_rows_expectation",
                "kwargs": "{unexpected_rows_query: select 1}",
            },
            "must read {batch}",
        ),
    ],
)
def test_a_typo_names_the_file_the_entry_and_what_is_known(
    built: Headrace, tmp_path: Path, typo: dict[str, str], message: str
) -> None:
    right = {
        "type": "expect_column_values_to_not_be_null",
        "kwargs": "{column: title}",
        "severity": "error",
        "remedy": "remedy",
    }
    project = with_suite(built, tmp_path, ENTRY.format(**right | typo))
    with pytest.raises(ConfigurationError, match=message) as refusal:
        DOCUMENTS.look(project)
    place = str(tmp_path / "expectations" / "rag__documents.yml")
    assert str(refusal.value).startswith(place)
    assert "entry 1" in str(refusal.value) or "is no YAML" in str(refusal.value)


def test_a_suite_under_a_name_that_is_nobodys_is_refused(tmp_path: Path) -> None:
    (tmp_path / "expectations").mkdir()
    (tmp_path / "expectations" / "rag__chunks.yaml").touch()
    with pytest.raises(ConfigurationError, match="name it rag__documents.yml or rag__chunks.yml"):
        read_suite("rag__chunks", tmp_path)


def test_data_docs_show_the_runs_and_no_password(
    tables: Headrace, caplog: pytest.LogCaptureFixture
) -> None:
    password = urlsplit(tables.postgres_url).password
    assert password
    plant(tables, "rag__documents", f"title = 'Untitled' {ONE}")
    with caplog.at_level(logging.DEBUG):
        found = DOCUMENTS.look(tables)
    index: Path = found.figures["data_docs"]
    assert "rag__documents" in index.read_text() and str(index) in found.remedy
    pages = sorted((index.parent / "validations" / "rag__documents").rglob("*.html"))
    assert PLACEHOLDER in pages[-1].read_text()
    assert not [page for page in index.parent.rglob("*.html") if "ContextId" in page.read_text()]
    written = [path for path in tables.settings.home.rglob("gx/**/*") if path.is_file()]
    assert len(written) > 10
    assert not [path for path in written if password.encode() in path.read_bytes()]
    assert password not in caplog.text and password not in str(found)
