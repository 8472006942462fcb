"""ZetaSQL, the language of BigQuery, as the judge of SQL that no BigQuery is there to run.

The `zetasql` wheel holds Google's own parser, analyzer and reference evaluator. An emulator shows
that a statement runs *there*; the judge says whether it is BigQuery SQL at all: functions, types
and names are checked as BigQuery checks them, against a catalog of table schemas.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zetasql.core import exceptions
from zetasql.wasi._pb2.zetasql.local_service import (
    local_service_pb2 as rpc,
)
from zetasql.wasi._pb2.zetasql.proto import simple_catalog_pb2
from zetasql.wasi._pb2.zetasql.public import simple_table_pb2

from dagster_project.core.errors import HeadraceError

from . import planner_rules, zetasql_wire
from .zetasql_wire import Message

Schema = Mapping[str, str]
"""Column name to type, as BigQuery writes it: ``{"id": "INT64", "access": "ARRAY<STRING>"}``."""

INTEGER_ALIASES = ("INT", "SMALLINT", "INTEGER", "BIGINT", "TINYINT", "BYTEINT")


class RefusedSQL(HeadraceError):
    """BigQuery would not take the SQL.

    Attributes:
        message: what is wrong, in ZetaSQL's words where they are its.
        line: line of the SQL, from 1; None where no place is known.
        column: character of the line, from 1; None like ``line``.
    """

    def __init__(self, message: str, sql: str, place: tuple[int, int] | None = None) -> None:
        """Keep the message and the place (line, column), and quote that line of ``sql``."""
        self.message = message
        self.line = place[0] if place else None
        self.column = place[1] if place else None
        quoted = ""
        if place:
            line, column = place
            # ZetaSQL counts columns with tabs expanded to eight.
            text = (sql.splitlines() or [""])[line - 1].expandtabs(8)
            margin = f"line {line}: "
            quoted = f"\n  {margin}{text}\n  {' ' * (len(margin) + column - 1)}^"
        super().__init__(message + quoted)


@dataclass(frozen=True)
class _Prepared:
    id: int
    type: Message


class Judge:
    """Analyzes and evaluates BigQuery SQL against a catalog of tables.

    Args:
        catalog: schema of each table by its full name, ``project.dataset.table``. SQL may quote the
        name
            in any of BigQuery's ways: part by part, as a whole, or without the project.
    """

    def __init__(self, catalog: Mapping[str, Schema] | None = None) -> None:
        """Start with the tables of ``catalog``; more may come by `add_table`."""
        self._tables: dict[str, Schema] = {}
        self._catalog_id: int | None = None
        self._prepared: dict[tuple[str, tuple[tuple[str, str], ...]], _Prepared] = {}
        for name, schema in (catalog or {}).items():
            self.add_table(name, schema)

    def add_table(self, name: str, schema: Schema) -> None:
        """Let later SQL read the table ``project.dataset.table``; a table of that name is replaced.

        Raises:
            ValueError: the name does not have three parts.
        """
        if len(name.split(".")) != 3:
            raise ValueError(f"Table {name}: give its name as project.dataset.table.")
        self._tables[name] = dict(schema)
        self._catalog_id = None

    def analyze(self, sql: str) -> dict[str, str]:
        """Check one query and give its output columns, name to type.

        An output column without a name is called ``$colN``; of columns with the same name the last
        counts: see `table_schema` for a query that becomes a table or a view.

        Raises:
            RefusedSQL: BigQuery would not run the query.
        """
        return dict(self._analyze(sql))

    def table_schema(self, sql: str) -> dict[str, str]:
        """The columns of the table or view that the query would make.

        Raises:
            RefusedSQL: BigQuery would not run the query, or not make a table of it.
        """
        columns = self._analyze(sql)
        seen: set[str] = set()
        for name, _ in columns:
            if name.startswith("$"):
                raise RefusedSQL(f"The output column {name} has no name.", sql)
            if name.lower() in seen:
                raise RefusedSQL(f"The output has two columns named {name}.", sql)
            seen.add(name.lower())
        return dict(columns)

    def evaluate(
        self, expression: str, schema: Schema | None = None, row: Mapping[str, object] | None = None
    ) -> Any:  # noqa: ANN401 - the value's type is the expression's
        """The value of an expression, its columns taken from one row.

        Args:
            expression: a BigQuery expression, which may name the columns of ``schema``.
            schema: type of each column.
            row: value of each column: see `zetasql_wire.encode`.

        Returns:
            A Python value: see `zetasql_wire.decode`.

        Raises:
            RefusedSQL: the expression is wrong, or fails on this row.
        """
        prepared = self._prepare(expression, schema or {})
        request = rpc.EvaluateRequest(
            prepared_expression_id=prepared.id,
            columns=[
                rpc.EvaluateRequest.Parameter(
                    name=name, value=zetasql_wire.encode((row or {})[name])
                )
                for name in schema or {}
            ],
        )
        response = _call("Evaluate", request, rpc.EvaluateResponse, expression)
        return zetasql_wire.decode(response.value, prepared.type)

    def query(
        self, sql: str, rows: Mapping[str, Sequence[Mapping[str, object]]]
    ) -> list[dict[str, Any]]:
        """Run a query in ZetaSQL's reference implementation: right, not fast.

        Args:
            sql: a query; it may read the tables that ``rows`` names, and no others.
            rows: the rows of each table, by its full name.

        Returns:
            The rows, column name to value: see `zetasql_wire.decode`.

        Raises:
            RefusedSQL: the query is wrong, or fails on these rows.
        """
        for name in rows:
            # The evaluator gives rows only to tables whose whole name is one quoted part.
            sql = sql.replace(".".join(f"`{part}`" for part in name.split(".")), f"`{name}`")
        request = rpc.EvaluateQueryRequest(
            sql=sql,
            options=zetasql_wire.analyzer_options(),
            simple_catalog=_catalog({name: self._tables[name] for name in rows}),
        )
        for name, content in rows.items():
            table = request.table_content[name].table_data
            table.SetInParent()
            for row in content:
                cells = [zetasql_wire.encode(row[column]) for column in self._tables[name]]
                table.row.add(cell=cells)
        response = _call("EvaluateQuery", request, rpc.EvaluateQueryResponse, sql)
        columns = response.prepared.columns
        return [
            {
                column.name: zetasql_wire.decode(cell, column.type)
                for column, cell in zip(columns, row.cell, strict=True)
            }
            for row in response.content.table_data.row
        ]

    def _prepare(self, expression: str, schema: Schema) -> _Prepared:
        key = (expression, tuple(schema.items()))
        if key not in self._prepared:
            columns = {name: zetasql_wire.parse_type(type_) for name, type_ in schema.items()}
            request = rpc.PrepareRequest(
                sql=expression,
                options=zetasql_wire.analyzer_options(columns),
                registered_catalog_id=self._register(),
            )
            state = _call("Prepare", request, rpc.PrepareResponse, expression).prepared
            self._prepared[key] = _Prepared(state.prepared_expression_id, state.output_type)
        return self._prepared[key]

    def _analyze(self, sql: str) -> list[tuple[str, str]]:
        request = rpc.AnalyzeRequest(
            sql_statement=sql,
            options=zetasql_wire.analyzer_options(),
            registered_catalog_id=self._register(),
        )
        response = _call("Analyze", request, rpc.AnalyzeResponse, sql)
        query = response.resolved_statement.resolved_query_stmt_node
        for reason, start in planner_rules.refusals(query):
            raise RefusedSQL(reason, sql, None if start is None else _place(sql, start))
        return [
            (item.name, zetasql_wire.type_name(item.column.type))
            for item in query.output_column_list
        ]

    def _register(self) -> int:
        if self._catalog_id is None:
            request = rpc.RegisterCatalogRequest(simple_catalog=_catalog(self._tables))
            response = _call("RegisterCatalog", request, rpc.RegisterResponse, "")
            self._catalog_id = int(response.registered_id)
        return self._catalog_id


def _call(method: str, request: Message, response_type: Message, sql: str) -> Message:
    try:
        return zetasql_wire.call(method, request, response_type)
    except exceptions.ServerError as error:
        text = re.sub(r"^Code: \d+, Message: ", "", error.raw_error)
        found = re.search(r" \[at (\d+):(\d+)\]", text)
        if found is None:
            raise RefusedSQL(text, sql) from error
        words = text[: found.start()] + text[found.end() :]
        raise RefusedSQL(words, sql, (int(found[1]), int(found[2]))) from error


def _place(sql: str, start: int) -> tuple[int, int]:
    """Line and column of a byte."""
    before = sql.encode()[:start].decode(errors="ignore").split("\n")
    return len(before), len(before[-1].expandtabs(8)) + 1


def _catalog(tables: Mapping[str, Schema]) -> Message:
    root = simple_catalog_pb2.SimpleCatalogProto(
        name="bigquery",
        builtin_function_options=zetasql_wire.functions(),
        named_type=[
            simple_catalog_pb2.SimpleCatalogProto.NamedTypeProto(
                name=name, type=zetasql_wire.parse_type("INT64")
            )
            for name in INTEGER_ALIASES
        ],
    )
    for full_name, schema in tables.items():
        columns = [
            simple_table_pb2.SimpleColumnProto(name=name, type=zetasql_wire.parse_type(type_))
            for name, type_ in schema.items()
        ]
        for path in _spellings(full_name):
            folder = root
            for part in path[:-1]:
                folder = _folder(folder, part)
            folder.table.add(name=path[-1], column=columns, full_name=full_name)
    return root


def _spellings(full_name: str) -> Iterator[tuple[str, ...]]:
    """Every way to quote a name: a dot stands between two quoted parts or within one."""
    project, dataset, table = full_name.split(".")
    yield (project, dataset, table)
    yield (project, f"{dataset}.{table}")
    yield (f"{project}.{dataset}", table)
    yield (full_name,)
    yield (dataset, table)
    yield (f"{dataset}.{table}",)


def _folder(parent: Message, name: str) -> Message:
    for child in parent.catalog:
        if child.name == name:
            return child
    return parent.catalog.add(name=name)
