"""The same documents are cut into the same chunks on Postgres and on BigQuery, to the character."""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Callable, Sequence

import psycopg
import pytest
from psycopg.rows import dict_row

from .compiled_project import DBT_PROJECT
from .rendering import render
from .text_samples import PIECES
from .zetasql_judge import Judge

SEED = 20261122
DOCUMENTS = 60
# White space behind a heading, part of its name or not.
TRAILING = ["", "", " \t", "\u00a0", "\u2003"]
# A small budget makes many cuts in documents short enough for ZetaSQL's slow evaluator.
SETTINGS = {"headrace_chunk_tokens": 48, "headrace_chunk_overlap_tokens": 8}
GIVEN = "test-proj.headrace.given"
VOCABULARY = "test-proj.headrace.headrace_vocabulary"
HASHED_CHUNKS = """
select chunks.*, {{ headrace.hash('chunk_text') }} as content_hash
from ({{ headrace.chunk_documents('given') }}) as chunks
order by document_id, chunk_index
"""

Row = dict[str, object]


@pytest.fixture(scope="module")
def documents() -> list[Row]:
    random_source = random.Random(SEED)
    return [
        {
            "document_id": f"document-{number}",
            "title": random_source.choice(["", "A title", "Heading", "Ünïcode  — title\n"]),
            "body": markdown(random_source),
        }
        for number in range(DOCUMENTS)
    ]


@pytest.fixture(scope="module")
def vocabulary(documents: Sequence[Row]) -> list[str]:
    """The tokens that the documents' words could be: the rest of the vocabulary changes nothing."""
    text = " ".join(f"{row['title']} {row['body']}" for row in documents).lower()
    words = set(re.findall("[a-z0-9]+", text))
    with (DBT_PROJECT / "seeds" / "headrace_vocabulary.csv").open(newline="") as file:
        tokens = {row["token"] for row in csv.DictReader(file)}
    return sorted(words & tokens)


def test_chunks_are_the_same_on_both(
    documents: list[Row],
    vocabulary: list[str],
    postgres_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    scratch = tmp_path_factory.mktemp("chunking")
    sql = render([HASHED_CHUNKS], scratch, SETTINGS)[HASHED_CHUNKS]
    on_postgres = chunks_on_postgres(sql.postgres, postgres_url, documents, vocabulary)
    on_bigquery = chunks_on_bigquery(sql.bigquery, documents, vocabulary)

    assert len(on_postgres) > 2 * DOCUMENTS
    for document in documents:
        mine = [row for row in on_bigquery if row["document_id"] == document["document_id"]]
        theirs = [row for row in on_postgres if row["document_id"] == document["document_id"]]
        assert mine == theirs, f"{document}"


def markdown(random_source: random.Random) -> str:
    """A document with every kind of block, and with text that breaks text."""
    words = ["the", "scheduling", "of", "shifts", "payroll", "it's", "API", "2026", "Überstunden"]

    def phrase(length: int) -> str:
        return " ".join(random_source.choice(words) for _ in range(length))

    blocks: dict[str, Callable[[], str]] = {
        "prose": lambda: ". ".join(phrase(random_source.randint(1, 8)) for _ in range(3)) + ".",
        "long sentence": lambda: phrase(random_source.randint(40, 60)),
        "heading": lambda: (
            "#" * random_source.randint(1, 6) + " " + phrase(2) + random_source.choice(TRAILING)
        ),
        "underlined": lambda: phrase(2) + "\n" + random_source.choice(["===", "---"]),
        "list": lambda: "\n".join(f"- {phrase(3)}" for _ in range(random_source.randint(1, 9))),
        "table": lambda: "| a | b |\n|---|---|\n" + f"| {phrase(2)} | 1 |\n" * 6,
        "code": lambda: "```sql\nselect 1\n\n# no heading\n```",
        "open fence": lambda: "~~~\n" + phrase(3),
        "one word": lambda: "x" * random_source.randint(40, 150),
        "other scripts": lambda: "中文文本。" * 12 + " हिन्दी 가나다 " * 4,
        "noise": lambda: "".join(random_source.choices(PIECES, k=12)),
    }
    kinds = list(blocks)
    chosen = random_source.choices(kinds, k=random_source.randint(0, 6))
    ends = ["\n\n", "\n", "\r\n\r\n", "\r", "\n\n\n \n"]
    return "".join(blocks[kind]() + random_source.choice(ends) for kind in chosen)


def chunks_on_postgres(
    sql: str, url: str, documents: Sequence[Row], vocabulary: Sequence[str]
) -> list[Row]:
    """The chunks as Postgres cuts them."""
    sql = sql.replace('"headrace"."headrace"."headrace_vocabulary"', "pg_temp.headrace_vocabulary")
    with psycopg.connect(url, connect_timeout=10, row_factory=dict_row) as connection:
        connection.execute("set local statement_timeout = '60s'")
        connection.execute("create temporary table given (document_id text, title text, body text)")
        connection.execute("create temporary table headrace_vocabulary (token text)")
        cursor = connection.cursor()
        cursor.executemany(
            "insert into given values (%(document_id)s, %(title)s, %(body)s)", documents
        )
        cursor.executemany(
            "insert into headrace_vocabulary values (%s)", [[token] for token in vocabulary]
        )
        return cursor.execute(sql.encode()).fetchall()


def chunks_on_bigquery(sql: str, documents: Sequence[Row], vocabulary: Sequence[str]) -> list[Row]:
    """The chunks as ZetaSQL cuts them."""
    columns = dict.fromkeys(["document_id", "title", "body"], "STRING")
    judge = Judge({GIVEN: columns, VOCABULARY: {"token": "STRING"}})
    sql = sql.replace("from given", f"from `{GIVEN}`")
    tokens: list[Row] = [{"token": token} for token in vocabulary]
    return judge.query(sql, {GIVEN: documents, VOCABULARY: tokens})
