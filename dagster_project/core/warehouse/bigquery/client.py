"""A client of BigQuery: every call is bounded, and its errors say what is missing."""

from __future__ import annotations

import concurrent.futures
import contextlib
import re
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, NoReturn

import pyarrow as pa
import requests
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY

from dagster_project.core.errors import WarehouseError
from dagster_project.core.profile import BigQueryPlace
from dagster_project.core.warehouse.bigquery.access import (
    REQUEST_SECONDS,
    ReadClient,
    bound_other_calls,
    credentials,
)
from dagster_project.core.warehouse.contract import SqlAlchemyEngine

_PERMISSION = re.compile(r"bigquery\.[a-zA-Z]+\.[a-zA-Z]+")
_QUOTA_REASONS = {"quotaExceeded", "rateLimitExceeded", "billingTierLimitExceeded"}
# How the Storage Read API says that it is not there, may not be used, or is shut off.
_NO_STORAGE = (
    exceptions.PermissionDenied,
    exceptions.MethodNotImplemented,
    exceptions.ServiceUnavailable,
    exceptions.DeadlineExceeded,
    exceptions.RetryError,
)
_TYPES: dict[type, str] = {
    bool: "BOOL",
    int: "INT64",
    float: "FLOAT64",
    str: "STRING",
    datetime: "TIMESTAMP",
}


class BigQueryClient:
    """The datasets of a project, read as Arrow and written by DML and load jobs."""

    def __init__(self, place: BigQueryPlace, dataset: str) -> None:
        """Take the project and the dataset of dbt's models; connects to nothing yet."""
        self.place = place
        self.schema = dataset
        self._lock = threading.Lock()
        self._client: bigquery.Client | None = None
        self._storage: ReadClient | None = None
        self._has_storage = True
        self._retry = DEFAULT_RETRY.with_timeout(place.retry_seconds)

    def table(self, name: str, dataset: str | None = None) -> str:
        """A table's full name as SQL has it; dbt's dataset unless another is named."""
        return f"`{self.place.project}.{dataset or self.schema}.{name}`"

    def engine(self) -> SqlAlchemyEngine:
        """How SQLAlchemy opens the warehouse: with the same client."""
        return SqlAlchemyEngine(
            f"bigquery://{self.place.project}/{self.schema}?user_supplied_client=true",
            {"connect_args": {"client": self.client}},
        )

    def ask(self, query: str, seconds: int) -> tuple[tuple[str, ...], tuple[tuple[Any, ...], ...]]:
        """The columns and rows of a query of somebody else's; see `Warehouse.ask`."""
        job = self._start(query, {}, seconds)
        with self._explained(job):
            rows = self._finish(job)
            columns = tuple(field.name for field in rows.schema)
            return columns, tuple(tuple(row.values()) for row in rows)

    def rows(self, query: str, **parameters: object) -> list[dict[str, Any]]:
        """The rows of a query or of a statement, as dicts.

        Raises:
            WarehouseError: BigQuery refuses it, does not answer, or takes too long.
        """
        job = self._start(query, parameters)
        with self._explained(job):
            return [dict(row.items()) for row in self._finish(job)]

    def row(self, query: str, **parameters: object) -> dict[str, Any]:
        """The only row of a query."""
        (row,) = self.rows(query, **parameters)
        return row

    def arrow(self, query: str, schema: pa.Schema, **parameters: object) -> pa.Table:
        """The rows of a query as one table, with the columns of `schema`."""
        return pa.concat_tables(
            [schema.empty_table(), *self.stream(query, schema, **parameters)]
        ).combine_chunks()

    def stream(self, query: str, schema: pa.Schema, **parameters: object) -> Iterator[pa.Table]:
        """The rows of a query as they come, with the columns of `schema`.

        BigQuery keeps the result for a day, so that what reads it slowly holds up nobody.
        """
        job = self._start(query, parameters)
        with self._explained(job):
            rows = self._finish(job)
            for batch in self._batches(job, rows):
                yield pa.Table.from_batches([batch]).select(schema.names).cast(schema)

    def _batches(
        self, job: bigquery.QueryJob, rows: bigquery.table.RowIterator
    ) -> Iterator[pa.RecordBatch]:
        """By the Storage Read API; by REST where that is not there or may not be used."""
        if self._has_storage:
            batches = rows.to_arrow_iterable(bqstorage_client=self._storage_client())
            try:
                first = next(batches, None)
            except _NO_STORAGE:
                self._has_storage = False
                rows = self._finish(job)
            else:
                if first is not None:
                    yield first
                    yield from batches
                return
        yield from rows.to_arrow_iterable()

    def _start(
        self, query: str, parameters: Mapping[str, object], seconds: float | None = None
    ) -> bigquery.QueryJob:
        config = bigquery.QueryJobConfig(
            query_parameters=[_parameter(name, value) for name, value in parameters.items()],
            maximum_bytes_billed=self.place.max_bytes_billed,
            job_timeout_ms=int((seconds or self.place.job_seconds) * 1_000),
        )
        with self._explained():
            return self.client.query(
                query,
                job_config=config,
                location=self.place.location,
                retry=self._retry,
                # With one, the client would go on for ten minutes, whatever it is told.
                job_retry=None,
                timeout=REQUEST_SECONDS,
            )

    def _finish(self, job: bigquery.QueryJob) -> bigquery.table.RowIterator:
        try:
            return job.result(retry=self._retry, job_retry=None, timeout=self.place.job_seconds)
        except concurrent.futures.TimeoutError:
            # Nobody waits for it any more, so nobody should pay for it either.
            with contextlib.suppress(exceptions.GoogleAPIError, requests.RequestException):
                job.cancel(retry=None, timeout=REQUEST_SECONDS)
            raise

    def load(
        self, table: str, schema: Sequence[bigquery.SchemaField], rows: Sequence[dict[str, Any]]
    ) -> None:
        """Write rows to a table by a load job; what was in it goes.

        Args:
            table: its full name, without quotes.
            schema: its columns.
            rows: each with values as JSON has them.
        """
        config = bigquery.LoadJobConfig(
            schema=list(schema), write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE
        )
        with self._explained():
            job = self.client.load_table_from_json(
                rows,
                table,
                job_config=config,
                location=self.place.location,
                timeout=REQUEST_SECONDS,
            )
        with self._explained(job):
            job.result(retry=self._retry, timeout=self.place.job_seconds)

    @contextlib.contextmanager
    def staged(
        self,
        dataset: str,
        schema: Sequence[bigquery.SchemaField],
        rows: Sequence[dict[str, Any]],
    ) -> Iterator[str]:
        """Rows in a table of their own while a statement runs; gives its name as SQL has it."""
        name = f"{self.place.project}.{dataset}.staged_{uuid.uuid4().hex}"
        table = bigquery.Table(name, schema=list(schema))
        # Should this process be killed, BigQuery removes it.
        table.expires = datetime.now(timezone.utc) + timedelta(hours=1)
        self.create(table)
        try:
            self.load(name, schema, rows)
            yield f"`{name}`"
        finally:
            with self._explained():
                self.client.delete_table(
                    name, not_found_ok=True, retry=self._retry, timeout=REQUEST_SECONDS
                )

    def create(self, table: bigquery.Table) -> None:
        """Make a table, unless another process made it meanwhile."""
        with self._explained():
            self.client.create_table(
                table, exists_ok=True, retry=self._retry, timeout=REQUEST_SECONDS
            )

    def tables(self, dataset: str) -> set[str]:
        """Names of the tables of a dataset, which is made where it is missing; costs nothing."""
        place = bigquery.Dataset(f"{self.place.project}.{dataset}")
        place.location = self.place.location
        with self._explained():
            try:
                found = self.client.list_tables(place, retry=self._retry, timeout=REQUEST_SECONDS)
                return {table.table_id for table in found}
            except exceptions.NotFound:
                self.client.create_dataset(
                    place, exists_ok=True, retry=self._retry, timeout=REQUEST_SECONDS
                )
                return set()

    def facts(self, project: str, dataset: str, name: str) -> bigquery.Table | None:
        """What BigQuery knows of a table without a query, or None where there is none."""
        with self._explained():
            try:
                return self.client.get_table(
                    f"{project or self.place.project}.{dataset}.{name}",
                    retry=self._retry,
                    timeout=REQUEST_SECONDS,
                )
            except exceptions.NotFound:
                return None

    @property
    def client(self) -> bigquery.Client:
        """Google's client, made at its first use."""
        with self._lock:
            if self._client is None:
                bound_other_calls(self.place.retry_seconds)
                self._client = bigquery.Client(
                    project=self.place.project,
                    credentials=credentials(self.place),
                    location=self.place.location,
                    client_options={"api_endpoint": self.place.api_endpoint},
                )
            return self._client

    def _storage_client(self) -> ReadClient:
        client = self.client
        with self._lock:
            if self._storage is None:
                self._storage = ReadClient(self.place, client._credentials)
            return self._storage

    @contextlib.contextmanager
    def _explained(self, job: Any = None) -> Iterator[None]:  # noqa: ANN401 - of any kind
        """Errors of the client as errors that say what to do."""
        try:
            yield
        except concurrent.futures.TimeoutError as error:
            raise WarehouseError(
                f"{self._what(job)} was not done within {self.place.job_seconds:.0f} s and was "
                "cancelled: see in the console what it waits for, or raise HEADRACE_BQ_JOB_SECONDS."
            ) from error
        except exceptions.RetryError as error:
            self._refused(job, error.cause or error)
        except (exceptions.GoogleAPIError, GoogleAuthError, requests.RequestException) as error:
            self._refused(job, error)

    def _what(self, job: Any) -> str:  # noqa: ANN401
        name = f"BigQuery job {job.job_id}" if job is not None else "A request to BigQuery"
        return (
            f"{name} (project {self.place.project}, dataset {self.schema}, location "
            f"{self.place.location})"
        )

    def _refused(self, job: Any, error: BaseException) -> NoReturn:  # noqa: ANN401
        said = " ".join(str(error).split())[:500]
        raise WarehouseError(f"{self._what(job)} failed: {said}. {_remedy(error)}") from error


def _remedy(error: BaseException) -> str:
    """What a person can do about an error of the client."""
    # REST gives dicts, gRPC errors of its own.
    entries = [entry for entry in getattr(error, "errors", None) or [] if isinstance(entry, dict)]
    reasons = {entry.get("reason") for entry in entries}
    text = str(error)
    if reasons & _QUOTA_REASONS or isinstance(error, exceptions.TooManyRequests):
        return (
            "A quota is used up: the next run goes on from here; wait, or ask for a higher quota "
            "in the console under IAM & Admin, Quotas."
        )
    if "maximumBytesBilled" in text or "bytes billed" in text or "bytesBilledLimit" in text:
        return "It would read more than HEADRACE_BQ_MAX_BYTES_BILLED: raise that, or read less."
    if isinstance(error, exceptions.Forbidden):
        missing = _PERMISSION.findall(text)
        if missing:
            return (
                f"Give the account {', '.join(sorted(set(missing)))}; docs/bigquery.md has roles."
            )
        return (
            "The account lacks a permission: it needs bigquery.jobs.create on the project and "
            "bigquery.tables.getData on the datasets: docs/bigquery.md lists the roles."
        )
    if isinstance(error, exceptions.NotFound):
        return "Run `headrace build` first; see that HEADRACE_BQ_LOCATION is the datasets' own."
    if isinstance(error, (GoogleAuthError, exceptions.Unauthorized)):
        return (
            "The credentials do not open it: `gcloud auth application-default login`, or see "
            "HEADRACE_BQ_METHOD and what it needs."
        )
    if isinstance(error, (exceptions.ServerError, requests.RequestException)):
        return "BigQuery does not answer as it should: nothing is lost; try again later."
    return "Look the job up in the console for more."


def _parameter(name: str, value: object) -> Any:  # noqa: ANN401 - of two kinds
    """A query parameter; a list is one of texts, a pair is a type and a value that may be None."""
    if isinstance(value, tuple):
        return bigquery.ScalarQueryParameter(name, *value)
    if isinstance(value, list):
        return bigquery.ArrayQueryParameter(name, "STRING", value)
    kind: Any = _TYPES[type(value)]
    plain: Any = value
    return bigquery.ScalarQueryParameter(name, kind, plain)
