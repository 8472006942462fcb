"""What Postgres refuses is an error that says what to do, and names no secret."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from dagster_project.core.build import Headrace
from dagster_project.core.dbt import Dbt
from dagster_project.core.errors import ConfigurationError, WarehouseError
from dagster_project.core.settings import PACKAGE_PROJECT
from dagster_project.core.warehouse import KEY_SCHEMA, PostgresWarehouse


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:se%cret@localhost/db",
        "postgresql://u:se/cret@localhost:5432/db",
        "postgresql://u:secret@localhost:port/db",
        "postgresql://u:secret@localhost",
        "u:secret@localhost:5432/db",
        "mysql://u:secret@localhost/db",
    ],
)
def test_a_url_that_cannot_be_used_is_not_shown(url: str, headrace: Headrace) -> None:
    other = Headrace(replace(headrace.settings, postgres_url=url))
    for use in (lambda: other.warehouse, lambda: other.environment):
        with pytest.raises(
            ConfigurationError, match="HEADRACE_POSTGRES_URL must look like"
        ) as said:
            use()
        assert "secret" not in str(said.value) and "cret" not in repr(said.value.__cause__)


def test_a_user_who_may_not_is_told_what_is_missing(headrace: Headrace) -> None:
    headrace.warehouse.prepare()
    with psycopg.connect(headrace.postgres_url, autocommit=True) as connection:
        connection.execute("create role outsider login password 'outsider'")
        connection.execute("create schema dbts")
        connection.execute("create table dbts.rag__chunks (chunk_id text, batch_id bigint)")
    parts = urlsplit(headrace.postgres_url)
    url = f"postgresql://outsider:outsider@{parts.hostname}:{parts.port}{parts.path}"
    outsider = PostgresWarehouse(url, "dbts")
    with pytest.raises(WarehouseError, match=r"permission denied.*needs CREATE on the database"):
        outsider.prepare()
    # The other way to the server: what it says is in the first line, and the query in the last.
    with pytest.raises(WarehouseError, match=r"refuses \(.*permission denied"):
        outsider.chunks(KEY_SCHEMA.names)
    with psycopg.connect(headrace.postgres_url, autocommit=True) as connection:
        connection.execute("drop role outsider")


def test_a_file_of_dbt_that_is_older_than_the_newest_is_read(
    headrace: Headrace, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    (project / "models").mkdir(parents=True)
    (project / "dbt_project.yml").write_text("name: shop\nprofile: headrace\n")
    model = project / "models" / "orders.sql"
    settings = replace(headrace.settings, dbt_project=project, home=tmp_path / "home")

    def code() -> list[str]:
        nodes = Dbt(settings, headrace.environment).manifest["nodes"]
        return [node["raw_code"] for node in nodes.values()]

    model.write_text("select 1 as number")
    assert code() == ["select 1 as number"]
    # As a deployment leaves it that keeps the times of files.
    model.write_text("select 22 as number")
    os.utime(model, (1_600_000_000, 1_600_000_000))
    assert code() == ["select 22 as number"]
    # A package that is named where others are installed already.
    (project / "dbt_packages").mkdir()
    os.utime(project / "dbt_packages", (1_600_000_000, 1_600_000_000))
    (project / "packages.yml").write_text(f"packages: [{{local: {PACKAGE_PROJECT}}}]\n")
    assert "select 22 as number" in code() and (project / "dbt_packages" / "headrace").exists()
    (project / "packages.yml").unlink()
    shutil.rmtree(project / "dbt_packages")
    # What a full disk leaves of the note of what was read.
    (stamp,) = (tmp_path / "home").rglob("headrace_stamp.json")
    stamp.write_text("")
    assert code() == ["select 22 as number"]
