"""The same sources on both warehouses: Headrace on an emulator beside Headrace on Postgres."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import psycopg
from psycopg import sql

from dagster_project.core.build import Headrace
from dagster_project.core.ingest import ingest_files
from dagster_project.core.parity import Parity, compare_warehouses
from dagster_project.core.profile import BigQueryPlace
from dagster_project.core.settings import PACKAGE_PROJECT, Settings

from .emulator import PROJECT, Emulator

# The present of what is built: states are judged by it, on both.
NOW = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)
DATASET = "twin"
# No file keeps what this variable holds.
TOKEN = "DBT_ENV_SECRET_HEADRACE_BQ_TOKEN"  # noqa: S105 - the name of a variable
RAW = "source.headrace.headrace_ops.raw_documents"
_PROJECT = f"""
name: twins
version: "1.0"
profile: headrace
vars: {{headrace_as_of: "{NOW.isoformat()}"}}
"""


@dataclass(frozen=True)
class Twins:
    """Headrace on BigQuery and on Postgres, with one dbt project."""

    bigquery: Headrace
    postgres: Headrace

    def __iter__(self) -> Iterator[Headrace]:
        return iter((self.bigquery, self.postgres))

    def load(self, folder: Path, source: str) -> None:
        """Make a folder's files the documents of a source, on both."""
        for headrace in self:
            ingest_files(headrace.warehouse, str(folder), source)

    def compared(self) -> list[Parity]:
        """How they compare."""
        return compare_warehouses(self.bigquery.warehouse, self.postgres.warehouse)

    def differences(self) -> dict[str, list[str]]:
        """What differs, by kind."""
        return {found.what: found.differ for found in self.compared() if found.differ}


def twins(place: BigQueryPlace, postgres_url: str, root: Path, project: Path) -> Twins:
    """Headrace on both, of a dbt project, with nothing in either; homes are under `root`."""
    url = new_database(postgres_url)
    return Twins(
        Headrace(settings(root / "bigquery", project, bigquery=place)),
        Headrace(settings(root / "postgres", project, url=url)),
    )


def place(emulator: Emulator, project: str = PROJECT) -> BigQueryPlace:
    """A project of an emulator; another one shares nothing with it."""
    return BigQueryPlace(
        project=project,
        method="oauth-secrets",
        token="none",  # noqa: S106 - the emulator asks for none
        api_endpoint=emulator.endpoint,
        storage_endpoint=emulator.grpc_address,
        job_seconds=120,
        retry_seconds=5,
    )


def settings(
    home: Path, project: Path, *, bigquery: BigQueryPlace | None = None, url: str | None = None
) -> Settings:
    """Settings of a home, with the fake model."""
    return Settings(
        home=home,
        dbt_project=project,
        postgres_url=url,
        schema=DATASET,
        lancedb_uri=str(home / "lancedb"),
        model="fake",
        bigquery=bigquery,
    )


def keep(headrace: Headrace) -> None:
    """Write the settings of a home to its file, where commands and Dagster read them."""
    settings = headrace.settings
    values = {"schema": settings.schema, "dbt_project": str(settings.dbt_project), "model": "fake"}
    if there := settings.bigquery:
        values |= {
            "warehouse": "bigquery",
            "bq_project": there.project,
            "bq_method": there.method,
            "bq_api_endpoint": there.api_endpoint,
            "bq_storage_endpoint": there.storage_endpoint,
        }
    else:
        values["postgres_url"] = headrace.postgres_url
    settings.save(**values)


def new_database(postgres_url: str) -> str:
    """The URL of a database of its own on the server."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    return postgres_url.rsplit("/", 1)[0] + f"/{name}"


def fixed_project(folder: Path) -> Path:
    """A dbt project of the package alone, whose clock stands still."""
    folder.mkdir()
    (folder / "dbt_project.yml").write_text(_PROJECT)
    (folder / "packages.yml").write_text(f"packages: [{{local: {PACKAGE_PROJECT}}}]\n")
    return folder
