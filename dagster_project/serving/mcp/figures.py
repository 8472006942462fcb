"""The tools that give numbers: query_metric, freshness."""

from __future__ import annotations

import logging
import math
from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from dagster_project.core.build import Headrace
from dagster_project.core.errors import HeadraceError
from dagster_project.core.retrieval import Published, Retriever
from dagster_project.serving.log import told
from dagster_project.serving.mcp.schema import Answer, Arguments

logger = logging.getLogger(__name__)

_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Cell = str | int | float | bool | None
_LAG_MINUTES = 60


class QueryMetric(Arguments):
    """Arguments of `query_metric`."""

    metrics: Annotated[
        list[_Name],
        Field(
            min_length=1,
            max_length=10,
            description="Names of metrics, such as mrr; lookup_term gives the name of a term.",
        ),
    ]
    group_by: Annotated[
        list[_Name],
        Field(
            max_length=10,
            description="What to split by, such as customer__plan_name or metric_time__month. "
            "Without it, one value over all there is.",
        ),
    ] = []
    start: Annotated[date | None, Field(description="The first day of metric_time.")] = None
    end: Annotated[date | None, Field(description="The last day of metric_time.")] = None
    limit: Annotated[int, Field(ge=1, le=1_000, description="Rows at most.")] = 100


class MetricRows(Answer):
    """Answer of `query_metric`."""

    columns: list[str]
    rows: Annotated[list[dict[str, _Cell]], Field(description="A row a group, by column.")]
    may_have_more: Annotated[bool, Field(description="Whether the limit was reached.")]
    asked_at: Annotated[datetime, Field(description="When the warehouse was asked, UTC.")]


def query_metric(retriever: Retriever, asked: QueryMetric) -> tuple[str, MetricRows]:
    """Governed values of metrics.

    Raises:
        AccessError: the reader may not see values.
    """
    now = datetime.now(timezone.utc)
    table = retriever.metric(
        asked.metrics,
        asked.group_by,
        start=datetime.combine(asked.start, time.min) if asked.start else None,
        end=datetime.combine(asked.end, time.min) if asked.end else None,
        limit=asked.limit,
    )
    rows = [
        {column: _cell(value) for column, value in zip(table.columns, row, strict=True)}
        for row in table.rows
    ]
    answer = MetricRows(
        columns=list(table.columns),
        rows=rows,
        may_have_more=len(rows) == asked.limit,
        asked_at=now,
    )
    lines = [" | ".join(table.columns)]
    lines += [" | ".join(_written(row[column]) for column in table.columns) for row in rows]
    if answer.may_have_more:
        lines.append(f"(The limit of {asked.limit} rows was reached.)")
    return "\n".join(lines), answer


class Freshness(Arguments):
    """Arguments of `freshness`: it has none."""


class Lag(Answer):
    """Seconds from a change in the source until readers saw it, over the last hour."""

    p50: float
    p95: float
    max: float


class SourceFreshness(Answer):
    """A source of which the reader may read something."""

    source_name: str
    documents: Annotated[int, Field(description="Documents that this reader may read.")]
    newest_change: Annotated[datetime, Field(description="The newest change among those, UTC.")]
    age_seconds: Annotated[int, Field(description="How long ago that was.")]
    lag_seconds: Annotated[
        Lag | None,
        Field(description="From a change to readers; null where nothing changed lately."),
    ]


class Waiting(Answer):
    """Changes in the warehouse that the index does not have yet."""

    documents: int
    oldest_change: datetime | None


class FreshnessReport(Answer):
    """Answer of `freshness`."""

    generation: Annotated[str, Field(description="The index that readers see.")]
    version: Annotated[int, Field(description="Its version that is published.")]
    model_id: Annotated[str, Field(description="Its embedding model.")]
    published_at: Annotated[
        datetime | None, Field(description="When readers were last shown a newer version, UTC.")
    ]
    sources: list[SourceFreshness]
    waiting: Annotated[
        Waiting | None, Field(description="Of all sources; null where the warehouse is silent.")
    ]
    warehouse_problem: Annotated[
        str | None, Field(description="Why lags and what waits are not known.")
    ]
    asked_at: datetime


def freshness(headrace: Headrace, retriever: Retriever) -> tuple[str, FreshnessReport]:
    """How current each source of the reader's is; the index alone answers where it must."""
    published = retriever.published()
    now = datetime.now(timezone.utc)
    lags: dict[str, Lag] = {}
    at: datetime | None = None
    waiting: Waiting | None = None
    problem: str | None = None
    try:
        warehouse = headrace.warehouse
        if shown := warehouse.last_publication(published.generation):
            at = shown.published_at
        lags = {
            row["source_name"]: Lag(**{name: round(row[name], 3) for name in ("p50", "p95", "max")})
            for row in warehouse.lag(_LAG_MINUTES)
        }
        count, oldest = warehouse.backlog()
        waiting = Waiting(documents=count, oldest_change=oldest)
    except HeadraceError as error:
        # An embedded server that was restarted has another address.
        headrace.reconnect()
        problem = told(error)
        logger.warning("freshness is not known: %s", error)
    answer = FreshnessReport(
        generation=published.generation,
        version=published.version,
        model_id=published.model_id,
        published_at=at,
        sources=_sources(published, lags, now),
        waiting=waiting,
        warehouse_problem=problem,
        asked_at=now,
    )
    return _in_words(answer), answer


def _sources(published: Published, lags: dict[str, Lag], now: datetime) -> list[SourceFreshness]:
    return [
        SourceFreshness(
            source_name=source.source_name,
            documents=source.documents,
            newest_change=source.newest_change,
            age_seconds=max(int((now - source.newest_change).total_seconds()), 0),
            lag_seconds=lags.get(source.source_name),
        )
        for source in published.sources
    ]


def _in_words(report: FreshnessReport) -> str:
    at = f", published {report.published_at:%Y-%m-%d %H:%M:%S} UTC" if report.published_at else ""
    lines = [f"Version {report.version} of {report.generation}{at}."]
    for source in report.sources:
        lag = source.lag_seconds
        lines.append(
            f"{source.source_name}: {source.documents:,} documents, the newest change "
            f"{source.newest_change:%Y-%m-%d %H:%M:%S} UTC, {source.age_seconds:,} s ago"
        )
        if lag is not None:
            lines[-1] += (
                f"; in the last hour changes took {lag.p50:.1f} s (median), {lag.p95:.1f} s (95 "
                f"in 100), {lag.max:.1f} s (longest) to reach readers"
            )
    if report.waiting is not None:
        lines.append(f"{report.waiting.documents:,} changed documents wait.")
    if report.warehouse_problem:
        lines.append(f"Lags and what waits are not known: {report.warehouse_problem}")
    return "\n".join(lines)


def _cell(value: object) -> _Cell:
    """A value of the warehouse as JSON has it: numbers stay numbers, what JSON lacks is text."""
    if isinstance(value, Decimal):
        is_whole = value.is_finite() and value == value.to_integral_value()
        value = int(value) if is_whole else float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return value.isoformat() if isinstance(value, (date, datetime)) else str(value)


def _written(value: _Cell) -> str:
    return "" if value is None else str(value)
