"""Values of the dbt project's metrics: MetricFlow writes the query, the warehouse answers it."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dagster_project.core.errors import ConfigurationError, HeadraceError

if TYPE_CHECKING:
    from dagster_project.core.build import Headrace

_MOST_ROWS = 1_000
_SECONDS = 30
# Names of metrics and of what they are split by. MetricFlow reads more than names; a reader's text
# is to be a name.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,199}")


@dataclass(frozen=True)
class MetricValue:
    """The value of a metric over all there is, whatever time or split a question names.

    Attributes:
        metric: its name in MetricFlow.
        value: the number as text; empty where there is none.
        at: when it was asked, UTC.
        problem: why there is none; empty where there is one.
        is_silent: whether that is the warehouse's or the project's, and not how it was asked.
    """

    metric: str
    value: str
    at: datetime
    problem: str = ""
    is_silent: bool = False

    def __str__(self) -> str:
        """A line that says so."""
        if self.problem:
            return f"The metric {self.metric} has no value now: {self.problem}"
        at = f"{self.at:%Y-%m-%d %H:%M} UTC"
        return f"The metric {self.metric}, not split or narrowed, is {self.value} ({at})."


@dataclass(frozen=True)
class MetricTable:
    """Values of metrics, a row a group: `rows` in the order of `columns`."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


class Metrics:
    """The metrics of the settings' dbt project. MetricFlow takes seconds to load, at the first."""

    def __init__(self, headrace: Headrace) -> None:
        """Take whose warehouse and project; nothing is loaded yet."""
        self._headrace = headrace
        self._lock = threading.Lock()
        # The metrics as dbt wrote them, and MetricFlow over them.
        self._read: tuple[str, Any] | None = None

    def value(self, metric: str) -> MetricValue:
        """The value of a metric; where it cannot be had, the reason."""
        now = datetime.now(timezone.utc)
        try:
            [[value]] = self.query([metric]).rows
        except HeadraceError as error:
            is_silent = not isinstance(error, ConfigurationError)
            return MetricValue(metric, "", now, str(error).splitlines()[0], is_silent)
        return MetricValue(metric, "null" if value is None else f"{_rounded(value)}", now)

    def query(
        self,
        metrics: Sequence[str],
        by: Sequence[str] = (),
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = 100,
    ) -> MetricTable:
        """Values of metrics, split by dimensions or entities.

        Args:
            metrics: their names.
            by: what to split by, such as `customer__plan_name` or `metric_time__month`.
            start: the first moment to look at.
            end: the last moment to look at.
            limit: rows at most, 1 to 1,000.

        Raises:
            ConfigurationError: a name is unknown or does not go with the others.
            DbtError: the project cannot be read.
            WarehouseError: the warehouse cannot answer.
        """
        for name in (*metrics, *by):
            if not _NAME.fullmatch(name):
                raise ConfigurationError(
                    f"{name!r:.80} is no name of a metric or dimension: see `headrace mf list`."
                )
        if not metrics or not 1 <= limit <= _MOST_ROWS:
            raise ConfigurationError(f"Name a metric, and a limit of 1 to {_MOST_ROWS} rows.")
        # First, since where nothing answers there is no need to load MetricFlow.
        warehouse = self._headrace.warehouse
        return MetricTable(*warehouse.ask(self._sql(metrics, by, start, end, limit), _SECONDS))

    def _sql(
        self,
        metrics: Sequence[str],
        by: Sequence[str],
        start: datetime | None,
        end: datetime | None,
        limit: int,
    ) -> str:
        # Imported here: it takes seconds, and a search needs none of it.
        from metricflow.engine.metricflow_engine import MetricFlowQueryRequest
        from metricflow_semantics.errors.error_classes import MetricFlowException

        request = MetricFlowQueryRequest.create(
            metric_names=list(metrics),
            group_by_names=list(by) or None,
            time_constraint_start=start,
            time_constraint_end=end,
            order_by_names=list(by) or None,
            limit=limit,
        )
        try:
            with self._lock:
                return str(self._engine().explain(request).sql_statement.sql)
        except MetricFlowException as error:
            reason = " ".join(str(error).split()).partition("Query Input:")[0].strip()
            raise ConfigurationError(
                f"The metrics {', '.join(metrics)}"
                + (f" by {', '.join(by)}" if by else "")
                + f" cannot be asked for: {reason} `headrace mf list metrics` has what there is."
            ) from error

    def _engine(self) -> Any:  # noqa: ANN401 - MetricFlow is untyped here
        """MetricFlow over the project as it is now: a server outlives a change of its metrics."""
        from metricflow.engine.metricflow_engine import MetricFlowEngine
        from metricflow_semantics.model.dbt_manifest_parser import (
            parse_manifest_from_dbt_generated_manifest,
        )
        from metricflow_semantics.model.semantic_manifest_lookup import SemanticManifestLookup

        dbt = self._headrace.dbt
        written = dbt.semantic_manifest
        if self._read is not None and self._read[0] == written:
            return self._read[1]
        manifest = parse_manifest_from_dbt_generated_manifest(written)
        if not manifest.metrics:
            raise ConfigurationError(f"The dbt project {dbt.project} has no metric.")
        # It is asked for the dialect alone; its protocol has more.
        client: Any = _Dialect(is_bigquery=self._headrace.settings.bigquery is not None)
        engine = MetricFlowEngine(
            semantic_manifest_lookup=SemanticManifestLookup(manifest), sql_client=client
        )
        self._read = (written, engine)
        return engine


class _Dialect:
    """What MetricFlow asks of a warehouse to write a query for it; it is given no connection."""

    def __init__(self, *, is_bigquery: bool) -> None:
        self._is_bigquery = is_bigquery

    @property
    def sql_engine_type(self) -> Any:  # noqa: ANN401
        """The dialect."""
        from metricflow.protocols.sql_client import SqlEngine

        return SqlEngine.BIGQUERY if self._is_bigquery else SqlEngine.POSTGRES

    @cached_property
    def sql_plan_renderer(self) -> Any:  # noqa: ANN401
        """What writes it."""
        if self._is_bigquery:
            from metricflow.sql.render.big_query import BigQuerySqlPlanRenderer

            return BigQuerySqlPlanRenderer()
        from metricflow.sql.render.postgres import PostgresSQLSqlPlanRenderer

        return PostgresSQLSqlPlanRenderer()


def _rounded(value: Any) -> str:  # noqa: ANN401 - whatever number the warehouse has
    """A number with no more than four decimals, and thousands set apart."""
    return f"{value:,.4f}".rstrip("0").rstrip(".")
