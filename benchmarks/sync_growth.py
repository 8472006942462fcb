"""Headrace's sync on tables of growing size: time by phase, and memory.

The rows of `rag__chunks` are written by SQL, since what dbt needs to cut documents is not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
from rich.table import Table
from sync_contender import ContenderProcess
from sync_data import database, drop

from dagster_project.core.build import Headrace
from dagster_project.core.settings import PACKAGE_PROJECT, Settings

# Chunks that one phase edits whatever the size of the table.
FEW = 100
NO_OPS = 5
_TEMPLATE = "growth"
_PER_DOCUMENT = 5
# Sixteen of a thousand phrases of five words make a text: its words repeat as those of prose do.
_PHRASES = """
create temporary table phrases as
select phrase, string_agg(word, ' ' order by place) as words
from generate_series(0, 999) as phrase
cross join lateral (
    select place, 'w' || (hashint8(phrase * 31 + place) & 1023) * (hashint4(place) & 3) as word
    from generate_series(1, 5) as place
) as made
group by phrase;
create unique index on phrases (phrase);
"""
_TEXTS = """
select
    number,
    'guide-' || number / 5 as document_id,
    'Guide ' || number / 5 as title,
    'Guide ' || number / 5 || E'\\n\\n' || string_agg(phrases.words, ' ' order by place)
    || ' ' || number || ' in version ' || %(version)s || '.' as chunk_text
from generate_series(0, %(chunks)s::bigint - 1, %(step)s) as number
cross join generate_series(1, 16) as place
inner join phrases
    on phrases.phrase = (hashint8(number * 16 + place) & 2147483647) %% 1000
group by number
"""
_CHUNKS = f"""
insert into headrace.rag__chunks (
    chunk_id, document_id, source_name, doc_type, title, url, chunk_index, section_path, chunk_text,
    header_length, content_hash, approx_tokens, payload, access, valid_from, valid_to,
    lifecycle_state, is_demoted, source_updated_at, row_hash, chunking_policy, batch_id,
    dbt_invocation_id, is_deleted
)
select
    left(encode(sha256(convert_to(number || '/' || %(version)s, 'UTF8')), 'hex'), 32),
    document_id, 'bench', 'guide', title, null, (number %% 5)::int, '', chunk_text,
    length(title) + 2,
    left(encode(sha256(convert_to(chunk_text, 'UTF8')), 'hex'), 32),
    120, '{{"status": "open", "priority": "normal"}}', array['everyone'], null, null, 'active',
    false, now(), left(encode(sha256(convert_to('row' || number, 'UTF8')), 'hex'), 32),
    '1-256-0', %(batch)s, 'bench', false
from ({_TEXTS}) as texts
"""
# What dbt leaves of a chunk that is not cut any more.
_TOMBSTONES = """
update headrace.rag__chunks
set chunk_text = '', header_length = 0, approx_tokens = 0, payload = '{}', row_hash = '',
    lifecycle_state = 'deleted', is_deleted = true, batch_id = %(batch)s, source_updated_at = now()
where chunk_id in (
    select left(encode(sha256(convert_to(number || '/' || %(before)s, 'UTF8')), 'hex'), 32)
    from generate_series(0, %(chunks)s::bigint - 1, %(step)s) as number
)
"""


def growth(
    server: str, folder: Path, sizes: Sequence[int], say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Measure each size in a database of its own."""
    _make_tables(database(server, _TEMPLATE), folder / _TEMPLATE)
    measured = []
    for chunks in sizes:
        name = f"growth_{chunks}"
        url = database(server, name, _TEMPLATE)
        _write(url, chunks, chunks, version=1)
        say(f"{chunks:,} chunks are in rag__chunks")
        measured.append({"chunks": chunks} | _measure(url, folder / name, chunks, say))
        drop(server, name)
    return measured


def _measure(url: str, folder: Path, chunks: int, say: Callable[[str], None]) -> dict[str, Any]:
    with ContenderProcess("headrace-chunks", url, folder / "cold") as contender:
        found = {"imported": contender.ready, "cold": contender.ask("run")}
    say(f"{chunks:,} chunks: cold in {found['cold']['seconds']:.1f} s")
    # A process of its own, whose memory is not the first load's, on the store that this one made.
    (folder / "cold" / "lancedb").rename(folder / "lancedb")
    with ContenderProcess("headrace-chunks", url, folder / "warm") as contender:
        (folder / "lancedb").rename(folder / "warm" / "lancedb")
        found["no-op"] = _median([contender.ask("run") for _ in range(NO_OPS)])
        for version, (phase, edited) in enumerate(
            {f"edit {FEW}": FEW, "edit 1%": chunks // 100}.items(), start=2
        ):
            _write(url, chunks, edited, version=version)
            found[phase] = contender.ask("run")
            say(f"{chunks:,} chunks: {phase} in {found[phase]['seconds']:.2f} s")
        found["no-op after"] = _median([contender.ask("run") for _ in range(NO_OPS)])
    return found


def _median(answers: list[dict[str, Any]]) -> dict[str, Any]:
    return sorted(answers, key=lambda answer: answer["seconds"])[len(answers) // 2]


def _make_tables(url: str, home: Path) -> None:
    """Have dbt make its empty tables."""
    Headrace(
        Settings(
            home=home,
            dbt_project=PACKAGE_PROJECT,
            postgres_url=url,
            schema="headrace",
            lancedb_uri=str(home / "lancedb"),
            model="fake",
        )
    ).transform()


def _write(url: str, chunks: int, edited: int, version: int) -> None:
    """Write a batch: all chunks the first time, then new texts for every so many of them."""
    values = {
        "chunks": chunks,
        "step": chunks // edited,
        "batch": version,
        "version": str(version),
        "before": str(version - 1),
    }
    # Those that the first edit took have its version, the others still the first one.
    with psycopg.connect(url) as connection:
        connection.execute(_PHRASES.encode())
        if version > 1:
            connection.execute(_TOMBSTONES.encode(), values | {"before": "1"})
            connection.execute(_TOMBSTONES.encode(), values)
        connection.execute(_CHUNKS.encode(), values)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(b"vacuum analyze headrace.rag__chunks")


def growth_table(measured: Sequence[dict[str, Any]]) -> Table:
    """Time and memory by size, and where the time goes."""
    phases = [key for key in measured[0] if key not in {"chunks", "imported"}]
    table = Table(
        title="Headrace sync by the number of chunks",
        caption="Seconds, with those of each phase where it is not nothing; peak memory of the "
        "process that loaded, and of the one that did the rest.",
    )
    for column in ("chunks", *phases, "memory, load", "memory, rest"):
        table.add_column(column, justify="right")
    for row in measured:
        table.add_row(
            f"{row['chunks']:,}",
            *(_cell(row[phase]) for phase in phases),
            *(f"{row[phase]['rss'] / 2**20:,.0f} MiB" for phase in ("cold", "no-op after")),
        )
    return table


def _cell(answer: dict[str, Any]) -> str:
    parts = [f"{key} {value:.3f}" for key, value in answer["phases"].items() if value >= 0.001]
    return "\n".join([f"{answer['seconds']:.3f}", f"{answer['embeds']:,} embeds", *parts])
