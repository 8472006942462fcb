"""Great Expectations itself: a suite is run in the warehouse and written down as Data Docs.

Imported where a suite is run, and nowhere else: Great Expectations takes seconds to load.
"""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import great_expectations as gx
from great_expectations.checkpoint.actions import UpdateDataDocsAction
from great_expectations.compatibility import pydantic
from great_expectations.core import ExpectationValidationResult
from great_expectations.data_context.data_context.ephemeral_data_context import EphemeralDataContext
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)
from great_expectations.data_context.types.resource_identifiers import ValidationResultIdentifier
from great_expectations.datasource.fluent.interfaces import (
    GxDatasourceWarning,
    TestConnectionError,
)
from great_expectations.datasource.fluent.sql_datasource import SQLDatasource, TableAsset
from great_expectations.exceptions.exceptions import ExpectationNotFoundError
from great_expectations.expectations.core.unexpected_rows_expectation import (
    UnexpectedRowsExpectation,
)
from great_expectations.expectations.expectation import Expectation as GxExpectation
from great_expectations.expectations.metadata_types import FailureSeverity
from great_expectations.expectations.registry import (
    get_expectation_impl,
    list_registered_expectation_implementations,
)
from sqlalchemy.exc import SAWarning

from dagster_project.core.errors import ConfigurationError, WarehouseError
from dagster_project.core.expectations.suites import Expectation, Severity, Suite
from dagster_project.core.warehouse import SqlAlchemyEngine

_LIVE = {
    "type": "comparison",
    "column": {"name": "is_deleted"},
    "operator": "==",
    "parameter": False,
}
_SEVERITIES = {
    Severity.ERROR: FailureSeverity.CRITICAL,
    Severity.WARN: FailureSeverity.WARNING,
}
# Which batch is looked at is decided here, and how conditions are read is deprecated.
_NOT_FOR_SUITES = {"batch_id", "condition_parser"}
_SITE = "headrace"
_SAMPLES = 5
_SHOWN_CHARACTERS = 80
# GX's pages load their logo from its makers, with the id of the context and the time.
_LOGO = re.compile(r"<img[^>]*dataContextId=[^>]*>")
# Runs of all suites whose pages are kept.
_KEPT_RUNS = 60


@dataclass(frozen=True)
class Failure:
    """An expectation that does not hold.

    Attributes:
        expectation: which.
        found: how much of it, in words.
        samples: some of the rows.
    """

    expectation: Expectation
    found: str
    samples: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Validation:
    """What a run of a suite found.

    Attributes:
        evaluated: how many expectations were looked at.
        failures: those that do not hold, in the order of the suite.
        data_docs: the first page of the Data Docs.
    """

    evaluated: int
    failures: Sequence[Failure]
    data_docs: Path


def validate(
    suite: Suite,
    engine: SqlAlchemyEngine,
    schema: str,
    key: str,
    parameters: Mapping[str, object],
    folder: Path,
) -> Validation:
    """Run a suite on its model, in the warehouse, and add the run to the Data Docs.

    Args:
        suite: what must hold.
        engine: how SQLAlchemy opens the warehouse.
        schema: the schema (dataset) of the model.
        key: the column that names a row in samples.
        parameters: what `$PARAMETER` stands for, by name.
        folder: where suites, results and Data Docs are kept; never the engine.

    Raises:
        ConfigurationError: an entry is not one that Great Expectations knows, or cannot be run.
        WarehouseError: the model cannot be read.
    """
    expectations = [
        _to_gx(expectation, number, parameters)
        for number, expectation in enumerate(suite.expectations)
    ]
    context = _context(folder)
    with _table(context, suite.model, engine, schema) as table:
        definition = gx.ValidationDefinition(
            name=suite.model,
            data=table.add_batch_definition_whole_table(suite.model),
            suite=context.suites.add_or_update(
                gx.ExpectationSuite(name=suite.model, expectations=expectations)
            ),
        )
        checkpoint = gx.Checkpoint(
            name=suite.model,
            validation_definitions=[context.validation_definitions.add(definition)],
            actions=[UpdateDataDocsAction(name="data_docs", site_names=[_SITE])],
            result_format={
                "result_format": "SUMMARY",
                "unexpected_index_column_names": [key],
                "partial_unexpected_count": _SAMPLES,
            },
        )
        _forget_old_runs(context)
        with warnings.catch_warnings():
            # How SQLAlchemy keeps the statements that GX writes is nothing that a user can mend.
            warnings.simplefilter("ignore", SAWarning)
            run = context.checkpoints.add(checkpoint).run(expectation_parameters=dict(parameters))
        (validated,) = run.run_results.values()
        results = {_number(result): result for result in validated.results}
        failures = [
            _failure(suite.expectations[number], results[number], key, definition)
            for number in sorted(results)
            if not results[number].success
        ]
    pages = folder / "data_docs"
    _take_logo_out(pages)
    return Validation(len(results), failures, pages / "index.html")


def _context(folder: Path) -> EphemeralDataContext:
    """A context that keeps the connection in memory, and what it found in files."""

    def files(name: str) -> dict[str, str]:
        return {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder / name)}

    defaults = InMemoryStoreBackendDefaults()
    stores = defaults.stores
    stores[defaults.expectations_store_name]["store_backend"] = files("suites")
    stores[defaults.validation_results_store_name]["store_backend"] = files("results")
    site = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": files("data_docs"),
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }
    config = DataContextConfig(
        store_backend_defaults=defaults, data_docs_sites={_SITE: site}, analytics_enabled=False
    )
    context = gx.get_context(mode="ephemeral", project_config=config)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context


@contextmanager
def _table(
    context: EphemeralDataContext, model: str, engine: SqlAlchemyEngine, schema: str
) -> Iterator[TableAsset]:
    """A model as GX reads it; its connections are closed in the end."""
    source: SQLDatasource | None = None
    try:
        with warnings.catch_warnings():
            # The generic source and its schema are meant: they are the same on every warehouse.
            warnings.simplefilter("ignore", GxDatasourceWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            # The stub of the manager does not know `kwargs`, which the datasource has.
            arguments: dict[str, Any] = {"kwargs": dict(engine.arguments)}
            source = context.data_sources.add_sql(
                "warehouse", connection_string=engine.url, **arguments
            )
            table = source.add_table_asset(model, table_name=model, schema_name=schema)
        yield table
    except TestConnectionError as error:
        raise WarehouseError(
            f"{schema}.{model} cannot be read ({' '.join(str(error).split())}): "
            "run `headrace build`, and see whether the user may read the schema."
        ) from error
    finally:
        if source is not None:
            source.get_engine().dispose()


def _to_gx(
    expectation: Expectation, number: int, parameters: Mapping[str, object]
) -> GxExpectation:
    """An entry as Great Expectations has it; its number says which it was.

    Raises:
        ConfigurationError: a name of it is unknown, or a value cannot be used.
    """
    try:
        kind = get_expectation_impl(expectation.type)
    except ExpectationNotFoundError as error:
        types = list_registered_expectation_implementations()
        near = difflib.get_close_matches(expectation.type, types, n=3) or sorted(types)
        raise ConfigurationError(
            f"{expectation.place}: type {expectation.type!r} is no expectation of Great "
            f"Expectations; known: {', '.join(near)}."
        ) from error
    known = set(kind.__fields__) - set(GxExpectation.__fields__) - _NOT_FOR_SUITES
    if unknown := sorted(set(expectation.kwargs) - known):
        raise ConfigurationError(
            f"{expectation.place}: {expectation.type} takes no {', '.join(unknown)}; known: "
            f"{', '.join(sorted(known))}."
        )
    for value in expectation.kwargs.values():
        name = value.get("$PARAMETER") if isinstance(value, dict) else None
        if name is not None and name not in parameters:
            raise ConfigurationError(
                f"{expectation.place}: there is no parameter {name!r}; known: "
                f"{', '.join(sorted(parameters))}."
            )
    # GX would print that to the output, between the lines of JSON.
    if "{batch}" not in expectation.kwargs.get("unexpected_rows_query", "{batch}"):
        raise ConfigurationError(
            f"{expectation.place}: the query must read {{batch}}, which stands for the model."
        )
    live = {"row_condition": _LIVE} if "row_condition" in known else {}
    try:
        return kind(
            **live | dict(expectation.kwargs),
            description=expectation.description,
            severity=_SEVERITIES[expectation.severity],
            notes=expectation.remedy,
            meta={"entry": number},
        )
    except (pydantic.ValidationError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"{expectation.place}: {reason}") from error


def _number(result: ExpectationValidationResult) -> int:
    config = result.expectation_config
    assert config is not None and config.meta is not None
    return int(config.meta["entry"])


def _failure(
    expectation: Expectation,
    result: ExpectationValidationResult,
    key: str,
    definition: gx.ValidationDefinition,
) -> Failure:
    """What of an expectation does not hold.

    Raises:
        ConfigurationError: it could not be looked at.
    """
    if reason := _exception(result):
        raise ConfigurationError(
            f"{expectation.place}: {expectation.type} cannot be run: {' '.join(reason.split())}"
        )
    found = result.result
    rows: Sequence[Mapping[str, Any]] = found.get("partial_unexpected_index_list") or []
    if query := expectation.kwargs.get("unexpected_rows_query"):
        # GX counts the rows of a query; some of them are read here.
        few = f"select * from ({query.rstrip().rstrip(';')}) as unexpected limit {_SAMPLES}"
        rows = definition.get_unexpected_rows(UnexpectedRowsExpectation(unexpected_rows_query=few))
        count = found["observed_value"]
    else:
        count = found.get("unexpected_count")
    return Failure(
        expectation,
        f"found {found.get('observed_value')}" if count is None else f"{count:,} rows",
        [_sample(expectation, row, key) for row in rows[:_SAMPLES]],
    )


def _sample(expectation: Expectation, row: Mapping[str, Any], key: str) -> dict[str, Any]:
    values = ", ".join(f"{name}: {value}" for name, value in row.items() if name != key)
    return {
        "expectation": expectation.description,
        key: row.get(key),
        "found": values[:_SHOWN_CHARACTERS],
    }


def _exception(result: ExpectationValidationResult) -> str | None:
    """Why an expectation could not be looked at: GX says it at once, or for each metric."""
    info = result.exception_info or {}
    for found in (info, *info.values()):
        if isinstance(found, dict) and found.get("raised_exception"):
            return str(found["exception_message"])
    return None


def _forget_old_runs(context: EphemeralDataContext) -> None:
    """Remove the oldest results; the Data Docs remove the pages that have none."""
    store = context.validation_results_store
    runs = [run for run in store.list_keys() if isinstance(run, ValidationResultIdentifier)]
    for run in sorted(runs, key=lambda run: run.run_id.run_time)[: -_KEPT_RUNS + 1]:
        store.remove_key(run)  # type: ignore[no-untyped-call]


def _take_logo_out(pages: Path) -> None:
    """Nobody hears of it when a page is opened."""
    for page in pages.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        silent = _LOGO.sub("Data Docs", text)
        if silent != text:
            page.write_text(silent, encoding="utf-8")
