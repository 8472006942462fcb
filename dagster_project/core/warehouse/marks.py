"""The states of source tables, as SQL on Postgres."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from dagster_project.core.warehouse.contract import SourceTable

# Tables up to this many rows are read whole at every look, in some milliseconds.
SMALL_ROWS = 100_000


FACTS = sql.SQL(
    "select wanted.id, class.relkind::text, class.reltuples::bigint, "
    "concat_ws(' ', pg_stat_get_tuples_inserted(class.oid), "
    "pg_stat_get_tuples_updated(class.oid), pg_stat_get_tuples_deleted(class.oid), "
    "class.relfilenode) "
    "from unnest(%(ids)s::text[], %(schemas)s::text[], %(names)s::text[]) "
    "as wanted (id, schema_name, table_name) "
    "left join pg_namespace as namespace on namespace.nspname = wanted.schema_name "
    "left join pg_class as class "
    "on class.relnamespace = namespace.oid and class.relname = wanted.table_name"
)


def whole_state(tables: Sequence[tuple[SourceTable, str]]) -> sql.Composed:
    """One query for the id and the state of each table, read whole; a table comes with its relkind.

    Every version of a row carries the transaction that wrote it, so that an insert, an update and a
    delete each change the count or the sum, whatever the row's own timestamp says and whenever the
    transaction commits. What is no table has no such column: there the rows' text is summed.
    """
    return sql.SQL(" union all ").join(
        sql.SQL(
            "select {id}, concat_ws(' ', count(*), coalesce(sum({term}), 0)) from {table} as t"
        ).format(
            id=sql.Literal(table.unique_id),
            term=sql.SQL("hashint8(xmin::text::bigint)::bigint")
            if kind in {"r", "p", "m"}
            else sql.SQL("hashtext(t::text)::bigint"),
            table=sql.Identifier(table.schema, table.identifier),
        )
        for table, kind in tables
    )
