"""Where the warehouse is, and the environment in which dbt's ``profiles.yml`` finds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from dagster_project.core.errors import ConfigurationError

GOOGLE = "https://bigquery.googleapis.com"
METHODS = ("oauth", "service-account", "oauth-secrets")
# What tells one warehouse from another, among the variables of the profile.
PLACE_VARIABLES = (
    "HEADRACE_WAREHOUSE",
    "HEADRACE_PG_HOST",
    "HEADRACE_PG_PORT",
    "HEADRACE_PG_DATABASE",
    "HEADRACE_BQ_PROJECT",
    "HEADRACE_BQ_API_ENDPOINT",
    "HEADRACE_SCHEMA",
)


@dataclass(frozen=True)
class BigQueryPlace:
    """A project of BigQuery, how to get in, and what a query may cost.

    Attributes:
        project: the project that runs and pays for the queries, and holds the datasets.
        location: of its datasets, such as ``EU``.
        method: ``oauth`` (Application Default Credentials), ``service-account`` (`keyfile`) or
            ``oauth-secrets`` (`token`).
        keyfile: the path of a service account's key.
        token: an access token.
        impersonate: the service account to act as, if any.
        api_endpoint: the URL of the REST API.
        storage_endpoint: ``host:port`` of a Storage Read API without TLS; empty for Google's.
        max_bytes_billed: bytes that one query may read; BigQuery refuses one that would read more.
        job_seconds: seconds that one query may take.
        retry_seconds: seconds to go on trying while the service fails.
    """

    project: str
    location: str = "US"
    method: str = "oauth"
    keyfile: str = ""
    token: str = field(default="", repr=False)
    impersonate: str = ""
    api_endpoint: str = GOOGLE
    storage_endpoint: str = ""
    max_bytes_billed: int = 100 * 2**30
    job_seconds: float = 600.0
    retry_seconds: float = 60.0

    @classmethod
    def load(cls, setting: Callable[[str, str], str], token: str) -> BigQueryPlace:
        """Read the settings ``bq_…``.

        Args:
            setting: gives a setting by name, or a default.
            token: an access token, which no file keeps.

        Raises:
            ConfigurationError: one is missing or cannot be used.
        """
        project, method = setting("bq_project", ""), setting("bq_method", METHODS[0])
        if not project:
            raise ConfigurationError(
                "HEADRACE_WAREHOUSE is bigquery and HEADRACE_BQ_PROJECT is empty: name the project."
            )
        if method not in METHODS:
            raise ConfigurationError(
                f"HEADRACE_BQ_METHOD is {method!r}: give one of {', '.join(METHODS)}."
            )
        if method == "service-account" and not setting("bq_keyfile", ""):
            raise ConfigurationError(
                "HEADRACE_BQ_METHOD is service-account and HEADRACE_BQ_KEYFILE is empty: give the "
                "path of the account's key."
            )
        if method == "oauth-secrets" and not token:
            raise ConfigurationError(
                "HEADRACE_BQ_METHOD is oauth-secrets and DBT_ENV_SECRET_HEADRACE_BQ_TOKEN is "
                "empty: give an access token there."
            )
        return cls(
            project=project,
            location=setting("bq_location", cls.location),
            method=method,
            keyfile=setting("bq_keyfile", ""),
            token=token,
            impersonate=setting("bq_impersonate", ""),
            api_endpoint=setting("bq_api_endpoint", GOOGLE),
            storage_endpoint=setting("bq_storage_endpoint", ""),
            max_bytes_billed=int(_number(setting, "bq_max_bytes_billed", cls.max_bytes_billed)),
            job_seconds=_number(setting, "bq_job_seconds", cls.job_seconds),
            retry_seconds=_number(setting, "bq_retry_seconds", cls.retry_seconds),
        )

    def environment(self, dataset: str) -> dict[str, str]:
        """What ``profiles.yml`` reads."""
        return {
            "HEADRACE_WAREHOUSE": "bigquery",
            "HEADRACE_SCHEMA": dataset,
            "HEADRACE_BQ_PROJECT": self.project,
            "HEADRACE_BQ_LOCATION": self.location,
            "HEADRACE_BQ_METHOD": self.method,
            "HEADRACE_BQ_KEYFILE": self.keyfile,
            "DBT_ENV_SECRET_HEADRACE_BQ_TOKEN": self.token,
            "HEADRACE_BQ_IMPERSONATE": self.impersonate,
            "HEADRACE_BQ_API_ENDPOINT": self.api_endpoint,
            "HEADRACE_BQ_MAX_BYTES_BILLED": str(self.max_bytes_billed),
            "HEADRACE_BQ_JOB_SECONDS": f"{self.job_seconds:.0f}",
            "HEADRACE_BQ_RETRY_SECONDS": f"{self.retry_seconds:.0f}",
        }


def checked_url(url: str) -> str:
    """The same URL of a Postgres.

    Raises:
        ConfigurationError: it is not ``postgresql://user:password@host:port/database``. What is
            wrong is not quoted: any part may be one of a password.
    """
    try:
        parts = urlsplit(url)
        is_whole = all((parts.hostname, parts.path.strip("/"), parts.port or 5432))
        conninfo_to_dict(url)
    except (ValueError, psycopg.ProgrammingError):
        is_whole = False
    if not is_whole or parts.scheme not in {"postgres", "postgresql"}:
        raise ConfigurationError(
            "HEADRACE_POSTGRES_URL must look like postgresql://user:password@host:5432/database, "
            "with characters such as @, / and % of a password as %40, %2F and %25 (the value is "
            "not shown here, since it may hold one)."
        ) from None
    return url


def postgres_environment(url: str, schema: str) -> dict[str, str]:
    """What ``profiles.yml`` reads, for the Postgres at a URL that `checked_url` lets pass."""
    parts = urlsplit(url)
    return {
        "HEADRACE_WAREHOUSE": "postgres",
        "HEADRACE_PG_HOST": parts.hostname or "",
        "HEADRACE_PG_PORT": str(parts.port or 5432),
        "HEADRACE_PG_USER": unquote(parts.username or ""),
        "DBT_ENV_SECRET_HEADRACE_PG_PASSWORD": unquote(parts.password or ""),
        "HEADRACE_PG_DATABASE": unquote(parts.path.strip("/")),
        "HEADRACE_SCHEMA": schema,
    }


def _number(setting: Callable[[str, str], str], name: str, default: float) -> float:
    value = setting(name, str(default))
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 1 <= number < float("inf"):
        raise ConfigurationError(f"HEADRACE_{name.upper()} is {value!r}: give a number from 1 on.")
    return number
