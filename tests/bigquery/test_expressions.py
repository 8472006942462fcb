"""The package's expressions have the same value on Postgres and on BigQuery, whatever the text."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .rendering import Rendered, render
from .text_samples import PIECES
from .zetasql_judge import Judge

UTC = datetime.timezone.utc
POSTGRES_TYPES = {
    "STRING": "text",
    "INT64": "bigint",
    "DATE": "date",
    "TIMESTAMP": "timestamptz",
    "ARRAY<STRING>": "text[]",
    "BOOL": "boolean",
}

# Postgres holds no NUL, and UTF-8 no lone surrogate.
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
TEXT = st.lists(st.sampled_from(PIECES) | st.text(CHARACTERS, max_size=4), max_size=8).map("".join)
# In Postgres' patterns a dot is also a newline: they meet lines, which hold none.
LINE = {"x": TEXT.map(lambda text: text.replace("\n", " "))}
INTEGER = st.integers(-(10**9), 10**9)
DATE = st.dates(datetime.date(1000, 1, 1), datetime.date(9999, 12, 31))
TIMESTAMP = st.datetimes(
    datetime.datetime(1000, 1, 1), datetime.datetime(9999, 1, 1), timezones=st.just(UTC)
)
RECENT = st.datetimes(
    datetime.datetime(1500, 1, 1), datetime.datetime(2500, 1, 1), timezones=st.just(UTC)
)
VALUES: Mapping[str, st.SearchStrategy[object]] = {
    "STRING": TEXT,
    "INT64": INTEGER,
    "DATE": DATE,
    "TIMESTAMP": TIMESTAMP,
    "ARRAY<STRING>": st.lists(TEXT, max_size=4),
    "BOOL": st.booleans(),
}


@dataclass(frozen=True)
class Expression:
    """A call of macros over the columns of one row.

    Attributes:
        jinja: the call; it may also name a column as ``given.column``.
        columns: BigQuery's type of each column.
        values: what a column may hold, where its type allows too much.
        canonical: takes away a difference that is allowed.
    """

    jinja: str
    columns: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, st.SearchStrategy[object]] = field(default_factory=dict)
    canonical: Callable[[object], object] = lambda value: value

    def rows(self) -> st.SearchStrategy[dict[str, object]]:
        """Rows of random values, any of which may be null."""
        return st.fixed_dictionaries(
            {
                name: self.values.get(name, st.none() | VALUES[data_type])
                for name, data_type in self.columns.items()
            }
        )


def json_value(text: object) -> object:
    """What a JSON text says, its spelling apart."""
    return json.loads(str(text))


def parts_of(join: str) -> str:
    """Jinja for the array of the parts that a join adds to the row of column x, in order."""
    source = "array(select part.value from (select x as line) as source "
    return f"{source!r} ~ {join} ~ ' order by part.position)'"


X = {"x": "STRING"}
XY = {"x": "STRING", "y": "STRING"}
# Postgres' concat() takes null for an empty text, BigQuery's gives null: these get no nulls.
NO_NULLS = {"x": TEXT, "y": TEXT}
AMOUNT = st.integers(0, 10**9)
EXPRESSIONS = [
    Expression("headrace.hash('x')", X),
    Expression("headrace.document_bucket('x')", X),
    Expression('headrace.text_literal("it\'s  a\\nback\\\\slash")'),
    Expression("headrace.normalize_text('x')", X),
    Expression("headrace.hash(headrace.normalize_text('x'))", X),
    Expression("headrace.joined(['x', 'y'])", XY, NO_NULLS),
    Expression("headrace.ascii_lower('x')", X),
    Expression("headrace.count_characters('x', headrace.punctuation() | trim)", X),
    Expression("headrace.count_characters('x', 'ऀ-෿가-힣')", X),
    Expression("headrace.chunk_header('x', 'y')", XY, NO_NULLS),
    Expression("headrace.matches('x', '[^\\\\x01-\\\\x20\\\\x7f]')", X),
    Expression("headrace.matches('x', '^[ \\\\t]*(```[^`]*|~~~.*)$')", X, LINE),
    Expression("headrace.matches('x', '^ {0,3}#{1,6}([ \\\\t].*)?$')", X, LINE),
    Expression("headrace.matches('x', '^ {0,3}(=+|-{3,})[ \\\\t]*$')", X),
    Expression("headrace.matches('x', '^[ \\\\t]*([-*+]|[0-9]+[.)])[ \\\\t]')", X),
    Expression("headrace.replace_matches('x', '^ *(#+).*$', '\\\\1')", X, LINE),
    Expression("headrace.replace_matches('x', '[ \\\\t\\\\n]+$', '')", X),
    Expression("headrace.replace_matches('x', '([ \\\\t\\\\n]+)', '\\\\1|')", X),
    Expression(
        "headrace.replace_matches('x', "
        "'([.!?][)\\\\x5d\\\\x22\\\\x27*_]*[ \\\\n]+|[。！？])', '\\\\1\\x1f')",
        X,
    ),
    Expression("headrace.character(31)"),
    Expression("headrace.newline()"),
    Expression("headrace.newline(2)"),
    Expression("headrace.text_array(['x', 'y'])", XY),
    Expression("headrace.literal_array(['a', \"it's\", 'back\\\\\\\\slash'])"),
    Expression("headrace.literal_array([])"),
    Expression("headrace.array_to_text('a', ', ')", {"a": "ARRAY<STRING>"}),
    Expression("headrace.array_length('a')", {"a": "ARRAY<STRING>"}),
    Expression(parts_of("headrace.split_rows('source.line', headrace.newline())"), X),
    Expression(parts_of("headrace.split_rows('source.line', \"' '\")"), X),
    Expression(parts_of("headrace.split_rows('source.line', headrace.character(31))"), X),
    Expression(parts_of("headrace.slice_rows('source.line', 3)"), X),
    Expression("headrace.date_text('d')", {"d": "DATE"}),
    Expression("headrace.days_between('d', 'e')", {"d": "DATE", "e": "DATE"}),
    Expression("headrace.utc_date('t')", {"t": "TIMESTAMP"}),
    Expression("headrace.timestamp_text('t')", {"t": "TIMESTAMP"}),
    Expression("headrace.latest(['t', 'u'])", {"t": "TIMESTAMP", "u": "TIMESTAMP"}),
    Expression(
        "headrace.minutes_between('t', 'u')",
        {"t": "TIMESTAMP", "u": "TIMESTAMP"},
        # Minutes fit Postgres' integer for four thousand years.
        dict.fromkeys("tu", RECENT),
    ),
    Expression(
        "headrace.add_days('t', 'n')",
        {"t": "TIMESTAMP", "n": "INT64"},
        {"t": RECENT, "n": st.integers(-100_000, 100_000)},
    ),
    Expression(
        "headrace.integer_divide('n + 1', 'm - 1')",
        {"n": "INT64", "m": "INT64"},
        {"n": AMOUNT, "m": st.integers(2, 10**9)},
    ),
    Expression("headrace.padded('n', 9)", {"n": "INT64"}, {"n": st.integers(0, 10**9 - 1)}),
    Expression(
        "headrace.json_object([['text', 'x'], ['count', 'n'], ['day', 'd'], ['yes', 'b']])",
        X | {"n": "INT64", "d": "DATE", "b": "BOOL"},
        canonical=json_value,
    ),
    Expression(
        "headrace.document_hash('given')",
        {
            **dict.fromkeys(["source_name", "doc_type", "title", "body", "url", "owner"], "STRING"),
            **dict.fromkeys(["language", "version_family", "payload"], "STRING"),
            **dict.fromkeys(["valid_from", "valid_to", "version_date", "review_by"], "DATE"),
            "access": "ARRAY<STRING>",
        },
        {"access": st.lists(TEXT, min_size=1, max_size=3)},
    ),
]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Rendered]:
    calls = ["{{ " + expression.jinja + " }}" for expression in EXPRESSIONS]
    return render([*calls, *map(literal, LITERALS)], tmp_path_factory.mktemp("rendering"))


@pytest.fixture(scope="module")
def postgres(postgres_url: str) -> Iterator[psycopg.RawCursor[tuple[object, ...]]]:
    # Raw: the SQL is full of per cent signs.
    with psycopg.connect(postgres_url, autocommit=True, connect_timeout=10) as connection:
        connection.execute("set time zone 'America/New_York'")
        connection.execute("set statement_timeout = '30s'")
        yield psycopg.RawCursor(connection)


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge()


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=lambda expression: expression.jinja)
def test_an_expression_has_the_same_value_on_both(
    expression: Expression,
    rendered: Mapping[str, Rendered],
    judge: Judge,
    postgres: psycopg.RawCursor[tuple[object, ...]],
) -> None:
    sql = rendered["{{ " + expression.jinja + " }}"]

    @settings(max_examples=100 if expression.columns else 1, deadline=None, database=None)
    @given(row=expression.rows())
    def check(row: dict[str, object]) -> None:
        on_postgres = evaluate_on_postgres(postgres, sql.postgres, expression.columns, row)
        on_bigquery = evaluate_on_bigquery(judge, sql.bigquery, expression.columns, row)
        assert expression.canonical(on_bigquery) == expression.canonical(on_postgres)

    check()


LITERALS = [
    "it's",
    "a \\ b",
    "\\",
    "\\n",
    '"',
    "'''",
    "%s {{ x }}",
    "é😀",
    "$1",
    "--",
    "two\nlines",
]


@pytest.mark.parametrize("value", LITERALS)
def test_a_literal_is_the_text_that_it_was_made_of(
    value: str,
    rendered: Mapping[str, Rendered],
    judge: Judge,
    postgres: psycopg.RawCursor[tuple[object, ...]],
) -> None:
    sql = rendered[literal(value)]
    expected = " ".join(value.split())
    assert evaluate_on_postgres(postgres, sql.postgres, {}, {}) == expected
    assert evaluate_on_bigquery(judge, sql.bigquery, {}, {}) == expected


def literal(value: str) -> str:
    """Jinja that makes a literal of ``value``; JSON's escapes are Jinja's too."""
    return "{{ headrace.literal(" + json.dumps(value, ensure_ascii=False) + ") }}"


def evaluate_on_postgres(
    cursor: psycopg.RawCursor[tuple[object, ...]],
    sql: str,
    columns: Mapping[str, str],
    row: Mapping[str, object],
) -> object:
    """The value of an expression over one row, on Postgres."""
    values = [
        f"cast(${number} as {POSTGRES_TYPES[data_type]}) as {name}"
        for number, (name, data_type) in enumerate(columns.items(), start=1)
    ]
    query = f"select ({sql}) as value from (select {', '.join(values)}) as given"
    found = cursor.execute(query.encode(), [row[name] for name in columns]).fetchone()
    assert found is not None
    # In the hour that New York's clocks repeat, Python calls no two times of two zones equal.
    return found[0].astimezone(UTC) if isinstance(found[0], datetime.datetime) else found[0]


def evaluate_on_bigquery(
    judge: Judge, sql: str, columns: Mapping[str, str], row: Mapping[str, object]
) -> object:
    """The value of an expression over one row, on ZetaSQL."""
    fields = ", ".join(f"{name} {data_type}" for name, data_type in columns.items())
    if not columns:
        return judge.evaluate(sql)
    schema = {**columns, "given": f"STRUCT<{fields}>"}
    return judge.evaluate(sql, schema, {**row, "given": {name: row[name] for name in columns}})
