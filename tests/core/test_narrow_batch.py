"""Micro-batches, which read what changed, leave what one build of everything leaves."""

from __future__ import annotations

import json
import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dagster_project.core.build import Headrace
from dagster_project.core.settings import PACKAGE_PROJECT

from .desk import WITHOUT_TESTS

ROUNDS = 40 if os.environ.get("HEADRACE_CHAOS") else 3
MODELS = ("--select", "+rag__chunks", *WITHOUT_TESTS)
TABLES = ("notes", "papers")
MODEL = """
select
    document_id, 'app' as source_name, doc_type, title, body, cast(null as text) as url,
    cast(null as text) as owner, 'en' as language, valid_from, valid_to, version_family,
    version_date, cast(null as date) as review_by, access, payload, updated_at as source_updated_at,
    is_deleted
from {{ source('app', 'NAME') }}
"""
PROJECT = """
name: narrow
version: "1.0"
profile: headrace
vars:
  headrace_document_models: [doc_notes, doc_papers]
  headrace_lifecycle:
    - {doc_type: policy, find_versions: [title]}
    - {doc_type: guide, when_superseded: demote}
"""
SOURCES = """
version: 2
sources:
  - name: app
    tables: [{name: notes}, {name: papers}]
"""
DOCUMENTS = """
select document_id, document_hash, lifecycle_state, superseded_by, version_family, serving,
    document_model
from {schema}.rag__documents where not is_deleted
"""
CHUNKS = "select chunk_id from {schema}.rag__chunks where not is_deleted"


class Shop:
    """Two tables of documents that take ids from one set, changed at random."""

    def __init__(self, connection: psycopg.Connection, seed: int) -> None:
        self.connection = connection
        self.random = random.Random(seed)
        self.step = 0
        for table in TABLES:
            connection.execute(
                f"create table app.{table} (document_id text primary key, doc_type text, "
                "title text, body text, valid_from date, valid_to date, version_family text, "
                "version_date date, access text[], payload text, updated_at timestamptz, "
                "is_deleted boolean)"
            )

    def _is_elsewhere(self, table: str, key: str) -> bool:
        (other,) = set(TABLES) - {table}
        query = f"select 1 from app.{other} where document_id = %s"
        return self.connection.execute(query, (key,)).fetchone() is not None

    def _row(self, *, is_plain: bool) -> dict[str, Any]:
        """A document; a plain one has a date and is not refused."""
        pick, self.step = self.random, self.step + 1
        names = [pick.choice([f"d{pick.randrange(24)}", f"app:d{pick.randrange(24)}"])]
        payload = {"supersedes": pick.choice([names, names[0]])} if pick.random() < 0.25 else {}
        # Mostly later than all before, now and then set back.
        days = self.step if pick.random() < 0.85 else pick.randrange(self.step)
        row: dict[str, Any] = {
            "doc_type": pick.choice(["policy", "guide", "note"]),
            "title": pick.choice(
                [f"Refunds {pick.randrange(2020, 2026)}", f"Travel v{pick.randrange(4)}", "Plain"]
            ),
            "body": f"# One\n\nThe text of step {self.step}.\n\n# Two\n\nWhat all of them say.",
            "valid_from": pick.choice([None, None, "2020-01-01", "2199-01-01"]),
            "valid_to": pick.choice([None, None, None, "2020-01-02"]),
            "version_family": pick.choice([None, None, "x", "y"]),
            "version_date": pick.choice([None, f"20{pick.randrange(10, 26)}-01-01"]),
            "access": ["everyone"],
            "payload": json.dumps(payload),
            # No two steps have the same.
            "updated_at": f"2026-01-01 00:{days // 60:02}:{days % 60:02}.{self.step:06}+00",
            "is_deleted": pick.random() < 0.05,
        }
        if not is_plain:
            row["updated_at"] = None if pick.random() < 0.1 else row["updated_at"]
            row["body"] = "" if pick.random() < 0.05 else row["body"]
            row["access"] = [] if pick.random() < 0.05 else row["access"]
        return row

    def write(self, table: str, key: str) -> None:
        """Insert a document, or change some of it or all of it, with another date."""
        new = self._row(is_plain=self._is_elsewhere(table, key))
        kept = ["doc_type", "title", "body", "version_family", "version_date", "payload"]
        kept = kept if self.random.random() < 0.3 else []
        self.connection.execute(
            f"insert into app.{table} (document_id, {', '.join(new)}) "
            f"values (%s{', %s' * len(new)}) on conflict (document_id) do update set "
            + ", ".join(f"{name} = excluded.{name}" for name in new if name not in kept),
            [key, *new.values()],
        )

    def change(self) -> None:
        pick = self.random
        # A round that leaves one table alone leaves its model unread.
        tables = pick.choice([["notes"], ["papers"], [*TABLES]])
        for _ in range(pick.randrange(1, 9)):
            table, key = pick.choice(tables), f"d{pick.randrange(24)}"
            (other,) = set(TABLES) - {table}
            what = pick.random()
            if what < 0.55:
                if not self._is_elsewhere(table, key) or self._is_plain(other, key):
                    self.write(table, key)
            elif what < 0.75:
                self._delete(table, key)
            elif other in tables and self._is_elsewhere(other, key):
                # Moved as it is.
                self._delete(other, key)
                self.connection.execute(
                    f"insert into app.{other} select * from app.{table} where document_id = %s",
                    (key,),
                )
                self._delete(table, key)

    def _is_plain(self, table: str, key: str) -> bool:
        """Nothing stored tells of a refused or an undated document that another is beside it."""
        query = (
            f"select updated_at is not null and body <> '' and access <> '{{}}' "
            f"from app.{table} where document_id = %s"
        )
        found = self.connection.execute(query, (key,)).fetchone()
        return bool(found and found[0])

    def _delete(self, table: str, key: str) -> None:
        self.connection.execute(f"delete from app.{table} where document_id = %s", (key,))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    (project / "models").mkdir(parents=True)
    (project / "dbt_project.yml").write_text(PROJECT)
    (project / "packages.yml").write_text(f"packages: [{{local: {PACKAGE_PROJECT}}}]\n")
    (project / "models" / "sources.yml").write_text(SOURCES)
    for name in TABLES:
        (project / "models" / f"doc_{name}.sql").write_text(MODEL.replace("NAME", name))
    return project


def _state(headrace: Headrace) -> set[tuple[Any, ...]]:
    """What readers would find: the documents with their states, and the ids of the chunks."""
    with psycopg.connect(headrace.postgres_url) as connection:
        return {
            row
            for query in (DOCUMENTS, CHUNKS)
            for row in connection.execute(query.format(schema=headrace.settings.schema)).fetchall()
        }


def _catch_up(headrace: Headrace) -> list[list[str]]:
    """The dbt side of micro-batches until nothing is left; gives the document models of each."""
    batches = []
    while sources := headrace.watch.changed():
        batches.append(headrace.watch.document_models(sources))
        headrace.chunk(sources)
        headrace.warehouse.mark_seen(sources)
    return batches


@pytest.mark.parametrize("seed", [1])
def test_batches_leave_what_a_build_leaves(
    headrace: Headrace, project: Path, tmp_path: Path, seed: int
) -> None:
    schema = f"narrow_{seed}"
    with psycopg.connect(headrace.postgres_url, autocommit=True) as connection:
        connection.execute("drop schema if exists app cascade; create schema app")
        shop = Shop(connection, seed)
        for _ in range(4):
            shop.change()
        settings = replace(
            headrace.settings,
            dbt_project=project,
            schema=schema,
            home=tmp_path / "home",
            batch_documents=3,
        )
        batched = Headrace(settings)
        whole = Headrace(replace(settings, schema=f"{schema}_whole", home=tmp_path / "whole"))
        batched.transform(MODELS)
        batched.warehouse.mark_seen(batched.watch.everything())
        whole.transform(MODELS)
        assert _state(batched) == _state(whole)
        for number in range(ROUNDS):
            shop.change()
            batches = _catch_up(batched)
            assert [] not in batches, "a batch compared everything"
            whole.dbt.invoke(["run", "--full-refresh", "--select", "rag__documents", "rag__chunks"])
            found, wanted = _state(batched), _state(whole)
            assert found == wanted, f"seed {seed}, round {number}, {batches}: {found ^ wanted}"
        newest = batched.warehouse.document_batch()
        batched.dbt.run(["rag__documents", "rag__chunks"], {})
        assert batched.warehouse.document_batch() == newest, "a run of everything found more"


def test_a_batch_since_a_time_leaves_the_rest_to_the_next_run_of_everything(
    headrace: Headrace,
) -> None:
    headrace.warehouse.prepare()

    def write(key: str, text: str, updated: str) -> None:
        with psycopg.connect(headrace.postgres_url) as connection:
            connection.execute(
                "insert into headrace_ops.raw_documents (document_id, source_name, doc_type, "
                "title, body, access, payload, source_updated_at) values (%s, 'app', 'note', '', "
                "%s, '{everyone}', '{}', %s) on conflict (document_id) do update set "
                "body = excluded.body, source_updated_at = excluded.source_updated_at",
                (key, text, updated),
            )

    def texts() -> dict[str, str]:
        with psycopg.connect(headrace.postgres_url) as connection:
            return dict(
                connection.execute(
                    "select document_id, body from headrace.rag__documents where not is_deleted "
                    "and document_model = 'doc_ingested'"
                ).fetchall()
            )

    for key in ("old", "new", "gone", "refused"):
        write(key, "first", "2026-01-01")
    headrace.transform(MODELS)
    write("old", "second", "2026-01-02")
    write("new", "second", "2026-01-04")
    write("refused", "", "2026-01-04")
    with psycopg.connect(headrace.postgres_url) as connection:
        connection.execute("delete from headrace_ops.raw_documents where document_id = 'gone'")
    models = ["rag__changes", "rag__documents", "rag__chunks"]
    since = {
        "headrace_batch_models": ["doc_ingested"],
        "headrace_batch_since": "2026-01-03 00:00:00+00",
    }
    headrace.dbt.run(models, since)
    assert texts() == {"old": "first", "new": "second", "gone": "first"}
    headrace.dbt.run(models, {})
    assert texts() == {"old": "second", "new": "second"}
