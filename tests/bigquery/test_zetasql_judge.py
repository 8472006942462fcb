"""The judge takes what BigQuery takes, and refuses what it refuses."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest

from .zetasql_judge import Judge, RefusedSQL

SCHEMA = {
    "id": "INT64",
    "body": "STRING",
    "access": "ARRAY<STRING>",
    "moment": "TIMESTAMP",
    "day": "DATE",
    "payload": "JSON",
}


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge({"a-project.rag.t": SCHEMA, "a-project.rag.u": SCHEMA})


@pytest.mark.parametrize(
    "name",
    [
        "`a-project`.`rag`.`t`",
        "`a-project.rag.t`",
        "`a-project`.rag.t",
        "`a-project.rag`.t",
        "`a-project`.`rag.t`",
        "a-project.rag.t",
        "rag.t",
        "`rag.t`",
    ],
)
def test_a_table_is_found_however_its_name_is_quoted(judge: Judge, name: str) -> None:
    assert judge.table_schema(f"select * from {name}") == SCHEMA


@pytest.mark.parametrize(
    "sql",
    [
        "with recursive r as (select 1 as n union all select n + 1 from r where n < 5) select n"
        " from r",
        "select id from rag.t qualify row_number() over (partition by body order by id) = 1",
        "select * from (select body, id from rag.t) pivot (sum(id) for body in ('x', 'y'))",
        "select json_value(payload, '$.a') as a, to_json_string(json_object('b', id)) as b"
        " from rag.t",
        "select part.value, part.place from rag.t cross join unnest(array(select as struct"
        " piece as value, place from unnest(split(body, ',')) as piece with offset as place))"
        " as part",
        "select cast(id as integer) as id, cast(body as decimal) as amount from rag.t",
        "select left_side.id from rag.t as left_side left join rag.u as right_side"
        " on left_side.id = right_side.id and left_side.moment > right_side.moment",
        "select id from rag.t where exists (select 1 from rag.u where u.id = t.id)",
        "select id from rag.t where id in (select id from rag.u where u.body = t.body)",
        "select id, (select max(word) from unnest(access) as word) as word from rag.t",
        "from rag.t |> where id > 1 |> select id",
    ],
)
def test_what_bigquery_takes_passes(judge: Judge, sql: str) -> None:
    judge.table_schema(sql)


@pytest.mark.parametrize(
    ("sql", "complaint"),
    [
        ("select body::text from rag.t", "Syntax error"),
        ("select string_to_array(body, ',') from rag.t", "Function not found"),
        ("select cast(id as text) from rag.t", "Type not found"),
        ("select id from rag.t where body ilike 'x'", "Syntax error"),
        ("select id from rag.t where day > moment", "No matching signature"),
        ("select body || day as x from rag.t", "No matching signature"),
        ("select count(*) filter (where id > 1) as n from rag.t", "Syntax error"),
        ("select t.id, part.x from rag.t cross join lateral (select t.id as x) as part", "LATERAL"),
        ("select id from rag.t where access = ['everyone']", "Equality is not defined"),
        ("select distinct payload from rag.t", "cannot be used in SELECT DISTINCT"),
        ("select array_includes(access, 'x') as x from rag.t", "Function not found"),
        ("select id from rag.t union select id from rag.u", "Syntax error"),
        ("select unknown from rag.t", "Unrecognized name"),
        ("select id from rag.missing", "Table not found"),
        ("select id as a, body as A from rag.t", "two columns"),
        ("select id + 1 from rag.t", "has no name"),
        ("create table rag.x (id int64)", "not supported"),
        ("select t.id from rag.t left join rag.u on t.moment > u.moment", "outer join"),
        ("select t.id from rag.t full join rag.u on t.id = u.id or t.day = u.day", "outer join"),
        (
            "select id from rag.t where exists (select 1 from rag.u where u.moment > t.moment)",
            "write a join",
        ),
        (
            "select (select body from rag.u where u.id = t.id order by moment limit 1) as b"
            " from rag.t",
            "write a join",
        ),
    ],
)
def test_what_bigquery_refuses_is_refused(judge: Judge, sql: str, complaint: str) -> None:
    with pytest.raises(RefusedSQL, match=complaint):
        judge.table_schema(sql)


@pytest.mark.parametrize(
    ("sql", "place", "quoted"),
    [
        ("select\n    id,\n    boddy\nfrom rag.t", (3, 5), "line 3:     boddy\n" + " " * 14 + "^"),
        (
            "select 'é', t.id\nfrom rag.t\nleft join rag.u on t.moment > u.moment",
            (3, 1),
            "line 3: left join",
        ),
    ],
)
def test_a_refusal_names_the_place(
    judge: Judge, sql: str, place: tuple[int, int], quoted: str
) -> None:
    with pytest.raises(RefusedSQL) as caught:
        judge.analyze(sql)
    assert (caught.value.line, caught.value.column) == place
    assert quoted in str(caught.value)


def test_a_query_feeds_the_next_one(judge: Judge) -> None:
    schema = judge.table_schema(
        "select id / 2 as half, [struct(day as day, body as body)] as days, null as nothing"
        " from rag.t"
    )
    assert schema == {
        "half": "FLOAT64",
        "days": "ARRAY<STRUCT<day DATE, body STRING>>",
        "nothing": "INT64",
    }
    downstream = Judge({"a-project.rag.halves": schema})
    assert downstream.table_schema("select d.day from rag.halves, unnest(days) as d") == {
        "day": "DATE"
    }


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2", 3),
        ("cast(null as string)", None),
        ("array<string>[]", []),
        ("[1, null]", [1, None]),
        ("struct(true as yes, 1.5 as half)", {"yes": True, "half": 1.5}),
        ("numeric '-1.25'", Decimal("-1.25")),
        ("date '2026-02-28'", datetime.date(2026, 2, 28)),
        ("json '{\"a\":1}'", '{"a":1}'),
        ("b'\\x00a'", b"\x00a"),
        # UTC, whatever the default of ZetaSQL and of this machine.
        ("string(timestamp '2026-01-01 00:00:00')", "2026-01-01 00:00:00+00"),
        ("extract(hour from timestamp '2026-01-01 05:00:00+00')", 5),
        (
            "timestamp '2026-01-01 05:00:00.123456+00'",
            datetime.datetime(2026, 1, 1, 5, 0, 0, 123456, tzinfo=datetime.timezone.utc),
        ),
    ],
)
def test_an_expression_has_its_value(judge: Judge, expression: str, value: object) -> None:
    assert judge.evaluate(expression) == value


def test_columns_of_every_type_go_in_and_come_out(judge: Judge) -> None:
    row = {
        "text": "é😀\r\n\x00",
        "number": -7,
        "half": 0.5,
        "yes": False,
        "raw": b"\xff\x00",
        "day": datetime.date(1969, 12, 31),
        "moment": datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=datetime.timezone.utc),
        "words": ["", "a", None],
        "nothing": None,
    }
    schema = {
        "text": "STRING",
        "number": "INT64",
        "half": "FLOAT64",
        "yes": "BOOL",
        "raw": "BYTES",
        "day": "DATE",
        "moment": "TIMESTAMP",
        "words": "ARRAY<STRING>",
        "nothing": "STRING",
    }
    for name, value in row.items():
        assert judge.evaluate(name, schema, row) == value
    # The text that went in is not another one that also comes out right.
    assert judge.evaluate("char_length(text)", schema, row) == 5


def test_an_expression_that_fails_on_a_row_says_why(judge: Judge) -> None:
    assert judge.evaluate("10 / x", {"x": "INT64"}, {"x": 4}) == 2.5
    with pytest.raises(RefusedSQL, match="division by zero"):
        judge.evaluate("10 / x", {"x": "INT64"}, {"x": 0})


def test_a_query_reads_the_rows_it_is_given() -> None:
    judge = Judge(
        {"p.d.words": {"id": "INT64", "words": "ARRAY<STRING>"}, "p.d.nothing": {"id": "INT64"}}
    )
    rows = {
        "p.d.words": [{"id": 1, "words": ["b", "a"]}, {"id": 2, "words": []}],
        "p.d.nothing": [],
    }
    sql = """
        select words.id, string_agg(word, ',' order by word) as line, count(nothing.id) as found
        from `p`.`d`.`words` as words
        left join `p.d.nothing` as nothing on words.id = nothing.id
        left join unnest(words.words) as word
        group by words.id
        order by words.id
    """
    assert judge.query(sql, rows) == [
        {"id": 1, "line": "a,b", "found": 0},
        {"id": 2, "line": None, "found": 0},
    ]
    with pytest.raises(RefusedSQL, match="division by zero"):
        judge.query("select 1 / (id - 1) as x from `p.d.words`", rows)
