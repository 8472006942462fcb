"""One build on documents that break naive pipelines: each is whole, or set aside with a reason."""

from __future__ import annotations

import re
from collections import defaultdict

import psycopg
import pytest

from dagster_project.core.build import Headrace

SENTENCE = "Shifts that overlap are refused, and the manager is told which. "
BODIES = {
    "no dates": "Text without any date.",
    "huge": "\n\n".join(f"## Part {n}\n\n" + SENTENCE * 10 for n in range(7_700)),
    "word": "x" * 100_000,
    "control": "a\x01b\x08c \x0b\x0c\x1f d\x7fe",
    "fence": "before\n\n```python\nnever = 'closed'\n# no heading\n\nafter",
    "crlf": "# One\r\n\r\ntext\r\n\r\n## Two\r\nmore\rlast\r\n",
    "emoji": "👩‍👩‍👧🇩🇪❤️‍🔥 " * 400,
    "right to left": "# مرحبا\n\n" + "שלום עולם. \u202eabc\u202c مرحبا بالعالم. " * 100,
    "html": "<div onclick=\"x('1')\"><script>alert(1)</script>&amp;<!-- # no --></div>\n" * 20,
    "heading": "# " + "heading " * 1_250 + "\n\ntext",
    "quotes": "'; drop table x; -- \\1 $1 %s {{ x }} {% y %}",
    "combining": "e" + "\u0301" * 3_000,
    "invisible": "\u200b\ufeff\u00ad",
}
REFUSED = {
    "empty": ("", "the body has no text"),
    "blank": (" \n\t\r\n ", "the body has no text"),
    "only control": ("\x01\x02\x7f", "the body has no text"),
}


@pytest.fixture(scope="module")
def built(headrace: Headrace) -> Headrace:
    bodies = BODIES | {key: body for key, (body, _) in REFUSED.items()}
    headrace.warehouse.prepare()
    _load(headrace.postgres_url, bodies)
    headrace.build()
    return headrace


def _load(url: str, bodies: dict[str, str]) -> None:
    rows = [(key, key, body, ["everyone"]) for key, body in bodies.items()]
    rows.append(("nobody", "nobody", "Text that nobody may read.", []))
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "insert into headrace_ops.raw_documents (document_id, source_name, doc_type, title, "
            "body, access, payload, source_updated_at) "
            "values (%s, 'bad', 'document', %s, %s, %s, '{}', '2026-01-01')",
            rows,
        )


def _squeezed(text: str) -> str:
    return re.sub(r"[\x00-\x20\x7f]", "", text)


def test_every_document_with_text_is_indexed_whole(built: Headrace) -> None:
    assert len(BODIES["huge"]) > 5_000_000
    assert built.verify().is_clean
    texts: dict[str, list[str]] = defaultdict(list)
    for row in built.index.dump():
        texts[row["document_id"]].append(row["text"])
    assert set(texts) == set(BODIES)
    for key, body in BODIES.items():
        assert _squeezed("".join(texts[key])) == _squeezed(body), key


def test_every_chunk_is_within_the_budget(built: Headrace) -> None:
    with psycopg.connect(built.postgres_url) as connection:
        row = connection.execute(
            "select min(approx_tokens), max(approx_tokens), bool_and(chunk_text <> ''), "
            "bool_and(header_length < length(chunk_text)) from headrace.rag__chunks"
        ).fetchone()
    assert row is not None
    least, most, has_text, has_body = row
    assert 0 < least and most <= 256
    assert has_text and has_body


def test_every_other_document_is_set_aside_with_a_reason(built: Headrace) -> None:
    with psycopg.connect(built.postgres_url) as connection:
        rows = connection.execute("select document_id, reason from headrace.rag__quarantine")
        found: dict[str, str] = dict(rows.fetchall())
    nobody = found.pop("nobody")
    assert nobody.startswith("access names nobody")
    assert found == {key: reason for key, (_, reason) in REFUSED.items()}


def test_a_second_build_writes_nothing(built: Headrace) -> None:
    version = built.index.version
    assert built.build().sync.is_empty
    assert built.index.version == version
