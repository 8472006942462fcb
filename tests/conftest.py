"""One embedded Postgres a session; every test that builds has a database of its own on it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from dagster_project.core.build import Headrace
from dagster_project.core.dbt import Dbt, OnNode
from dagster_project.core.postgres import EmbeddedPostgres
from dagster_project.core.settings import PACKAGE_PROJECT, Settings

os.environ["HEADRACE_PG_FAST"] = "1"
_OF_THE_TESTS = {
    "HEADRACE_CHAOS",
    "HEADRACE_PG_FAST",
    "HEADRACE_REPLAY_COMMITS",
    "HEADRACE_REPLAY_EVENTS",
    "HEADRACE_TEST_DATA",
    "HEADRACE_UPKEEP_BATCHES",
}
for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
    if name not in _OF_THE_TESTS:
        del os.environ[name]


@pytest.fixture(scope="session", autouse=True)
def no_caller_above_dbt() -> Iterator[None]:
    """dbt reads the source of every caller above it, and pytest has many: see `Dbt.run`."""
    invoke = Dbt.invoke

    def in_a_thread(dbt: Dbt, arguments: Sequence[str], on_node: OnNode | None = None) -> object:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(invoke, dbt, arguments, on_node).result()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dbt, "invoke", in_a_thread)
        yield


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"))
    yield server.start()
    server.stop()


@pytest.fixture(scope="module")
def headrace(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Headrace:
    """Headrace on an empty database, with the fake model and the bare package as its project."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    home: Path = tmp_path_factory.mktemp("home")
    return Headrace(
        Settings(
            home=home,
            dbt_project=PACKAGE_PROJECT,
            postgres_url=postgres_url.rsplit("/", 1)[0] + f"/{name}",
            schema="headrace",
            lancedb_uri=str(home / "lancedb"),
            model="fake",
        )
    )
