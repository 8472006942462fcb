"""How BigQuery is opened: its credentials, and clients whose every call gives up in time."""

from __future__ import annotations

from typing import Any

import google.auth
import grpc  # type: ignore[import-untyped]
from google.auth import impersonated_credentials
from google.auth.credentials import Credentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery_storage
from google.cloud.bigquery.retry import DEFAULT_JOB_RETRY, DEFAULT_RETRY
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import (
    BigQueryReadGrpcTransport,
)
from google.oauth2 import credentials as token_credentials
from google.oauth2 import service_account

from dagster_project.core.errors import WarehouseError
from dagster_project.core.profile import BigQueryPlace

# A request that has no answer by then is sent again, or given up.
REQUEST_SECONDS = 30.0
# Google's clients have no annotations here.
_ReadClient: Any = bigquery_storage.BigQueryReadClient
_ServiceAccount: Any = service_account.Credentials
_Token: Any = token_credentials.Credentials
_Impersonated: Any = impersonated_credentials.Credentials
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


class ReadClient(_ReadClient):  # type: ignore[misc]
    """The Storage Read API; Google's own client would wait a day for one that does not answer."""

    def __init__(self, place: BigQueryPlace, opened: Credentials) -> None:
        """Take the place, and the credentials that open it; connects to nothing yet."""
        self._retry = DEFAULT_RETRY.with_timeout(place.retry_seconds)
        if place.storage_endpoint:
            channel = grpc.insecure_channel(place.storage_endpoint)
            super().__init__(transport=BigQueryReadGrpcTransport(channel=channel))
        else:
            super().__init__(credentials=opened)

    def create_read_session(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        """Begin to read a table."""
        options |= {"retry": self._retry, "timeout": REQUEST_SECONDS}
        return super().create_read_session(*arguments, **options)

    def read_rows(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        """Read a stream, however long it is, and go on where it breaks off."""
        return super().read_rows(*arguments, **options | {"retry": self._retry})


def bound_other_calls(seconds: float) -> None:
    """Have calls of this process that say nothing of it, as dbt's do, give up after some seconds.

    These two objects are the default of every method of Google's client: ten minutes a call, forty
    a job. dbt, which makes several calls in a row, has no setting for most of them.
    """
    for default in (DEFAULT_RETRY, DEFAULT_JOB_RETRY):
        default._timeout = seconds


def credentials(place: BigQueryPlace) -> Credentials:
    """What opens the project.

    Raises:
        WarehouseError: there is none, or it cannot be read.
    """
    found: Credentials
    try:
        if place.method == "service-account":
            found = _ServiceAccount.from_service_account_file(place.keyfile, scopes=_SCOPES)
        elif place.method == "oauth-secrets":
            found = _Token(place.token)
        else:
            found, _ = google.auth.default(scopes=_SCOPES)
        if place.impersonate:
            found = _Impersonated(
                source_credentials=found,
                target_principal=place.impersonate,
                target_scopes=list(_SCOPES),
            )
    except (GoogleAuthError, OSError, ValueError) as error:
        # The text of a key file's error may quote the key.
        raise WarehouseError(
            f"No credentials for BigQuery by HEADRACE_BQ_METHOD={place.method} "
            f"({type(error).__name__}): `gcloud auth application-default login`, or give "
            "HEADRACE_BQ_KEYFILE the path of a service account's key."
        ) from error
    return found
