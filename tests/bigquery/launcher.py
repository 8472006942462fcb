"""Starts local-bigquery with five of its gaps mended; runs in the emulator's own venv.

Takes local-bigquery's arguments (``serve --host … --port …``). HOME must be a directory of this
server's own: DuckDB looks for its extensions there. The server ends when its standard input does,
so that none outlives the process that started it, however that ends.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

EXTENSIONS = ("icu", "ducklake", "spatial")
CREATES_FROM_QUERY = "CREATE_TABLE_AS_SELECT"


def link_extensions(home: Path) -> None:
    """Link DuckDB's extensions from their wheels to where it looks, so that it downloads none."""
    import duckdb  # type: ignore[import-not-found]

    version = f"v{duckdb.__version__}"
    platform = duckdb.sql("pragma platform").fetchone()[0]
    folder = home / ".duckdb" / "extensions" / version / platform
    # It is there where the server was started before.
    folder.mkdir(parents=True, exist_ok=True)
    for extension in EXTENSIONS:
        spec = importlib.util.find_spec(f"duckdb_extension_{extension}")
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"duckdb-extension-{extension} is not installed.")
        file = f"{extension}.duckdb_extension"
        (folder / file).unlink(missing_ok=True)
        (folder / file).symlink_to(Path(spec.origin).parent / "extensions" / version / file)


def name_the_table_that_a_query_creates() -> None:
    """CREATE TABLE AS: the job names the new table as its destination, as BigQuery's does.

    dbt reads the destination to say how many rows a model has. The job's results stay empty.
    """
    from local_bigquery.api import jobs as api  # type: ignore[import-not-found]
    from local_bigquery.jobs import query  # type: ignore[import-not-found]

    execute: Callable[..., Any] = query.execute
    results: Callable[..., Any] = api.results

    def execute_with_destination(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        statistics, children, destination = execute(*arguments, **options)
        if not destination and not children and statistics.statementType == CREATES_FROM_QUERY:
            destination = statistics.ddlTargetTable
        return statistics, children, destination

    def results_without_rows(job: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        statistics = job.statistics.query
        if statistics and statistics.statementType == CREATES_FROM_QUERY:
            settings = job.configuration.query.replace(destinationTable=None)
            job = job.replace(configuration=job.configuration.replace(query=settings))
        return results(job, *arguments, **options)

    query.execute = execute_with_destination
    api.results = results_without_rows


def assign_variables_from_a_struct() -> None:
    """SET (a, b) = (SELECT AS STRUCT …), by which dbt finds the partitions that it replaces."""
    import sqlglot
    from local_bigquery.sql import script  # type: ignore[import-not-found]
    from sqlglot import exp

    assign_one: Callable[..., Any] = script.Interpreter.set

    def pairs(statement: str) -> Iterator[tuple[str, Any]]:
        tree = sqlglot.parse_one(statement, dialect=script.BigQueryDialect)
        if len(tree.expressions) != 1:
            return
        target, value = tree.expressions[0].this.this, tree.expressions[0].this.expression
        if not isinstance(target, exp.Tuple | exp.Paren) or not isinstance(
            value, exp.Subquery | exp.Paren
        ):
            return
        select = value.this
        if not isinstance(select, exp.Select) or str(select.args.get("kind")).upper() != "STRUCT":
            return
        variables = target.expressions if isinstance(target, exp.Tuple) else [target.this]
        for variable, column in zip(variables, select.expressions, strict=True):
            part = select.copy()
            part.set("kind", None)
            part.set("expressions", [column.copy()])
            yield variable.name, exp.Subquery(this=part)

    def set_variables(self: Any, statement: Any) -> Any:  # noqa: ANN401
        assignments = list(pairs(statement.text))
        if not assignments:
            return assign_one(self, statement)
        for name, value in assignments:
            self.assign(self.variable(name), value)
        return None

    script.Interpreter.set = set_variables


def keep_the_operands_of_div_together() -> None:
    """DIV(a - 1, b): its translation ``a - 1 // b`` needs parentheses."""
    from local_bigquery.sql import dialect
    from sqlglot import exp

    def divide(operands: list[Any]) -> Any:  # noqa: ANN401
        dividend, divisor = (exp.Paren(this=operand) for operand in operands)
        return exp.IntDiv(this=dividend, expression=divisor)

    dialect.BigQueryDialect.parser_class.FUNCTIONS["DIV"] = divide


def join_an_array_of_nulls_to_an_empty_text() -> None:
    """ARRAY_TO_STRING of nothing but nulls is an empty text; only no array at all gives null."""
    from local_bigquery.sql import dialect
    from sqlglot import exp

    functions = dialect.BigQueryDialect.parser_class.FUNCTIONS
    join: Callable[[list[Any]], Any] = functions["ARRAY_TO_STRING"]

    def join_or_empty(operands: list[Any]) -> Any:  # noqa: ANN401
        no_array = exp.Is(this=exp.Paren(this=operands[0].copy()), expression=exp.Null())
        text = exp.Coalesce(this=join(operands), expressions=[exp.Literal.string("")])
        return exp.Case(ifs=[exp.If(this=no_array, true=exp.Null())], default=text)

    functions["ARRAY_TO_STRING"] = join_or_empty


def say_when_dml_modified_a_table() -> None:
    """A table's last modification is that of its rows too, be they written or deleted."""
    from local_bigquery.catalog import metadata, tables  # type: ignore[import-not-found]
    from local_bigquery.jobs import query

    run: Callable[..., Any] = query._run

    def run_and_say(cur: Any, tree: Any, context: Any, *arguments: Any) -> Any:  # noqa: ANN401
        statistics = run(cur, tree, context, *arguments)
        if statistics.numDmlAffectedRows not in (None, "0"):
            table = query._target(tree, context)
            resource = tables.load(*table).replace(lastModifiedTime=metadata.now())
            metadata.save(resource, *table)
        return statistics

    query._run = run_and_say


def end_with_standard_input() -> None:
    """Watch for the end of the process that holds the other end of the pipe."""

    def watch() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Mend local-bigquery, then run its command line."""
    link_extensions(Path.home())
    name_the_table_that_a_query_creates()
    assign_variables_from_a_struct()
    keep_the_operands_of_div_together()
    join_an_array_of_nulls_to_an_empty_text()
    say_when_dml_modified_a_table()
    end_with_standard_input()

    from local_bigquery.cli import main as run  # type: ignore[import-not-found]

    run()


if __name__ == "__main__":
    main()
