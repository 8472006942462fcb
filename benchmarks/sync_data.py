"""The source table of the sync benchmark, and what happens to it from phase to phase."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import psycopg
from psycopg import sql

sys.path.insert(0, str(Path(__file__).with_name("sync_peers")))

from common import TABLE  # noqa: E402 - it stands with the contenders, which import it likewise

PARAGRAPHS = 5
# Over half of a chunk's budget, so that Headrace cuts at each blank line, as the peers do.
WORDS = 140
VOCABULARY = (
    "the order was sent to our new store and paid on time by a card that they had used before "
    "when all work is done we close each case with a short note so people can find out what went "
    "wrong how it was fixed and who should know about it next week every team must read this page "
    "first then ask for access open the file set the right date save it again look at the list "
    "call the office or write an email if you need more help with your account price water road"
).split()


def make_source(url: str, documents: int) -> None:
    """Fill the source table with documents that depend on nothing but their number."""
    with psycopg.connect(url) as connection:
        connection.execute("create schema app")
        connection.execute(
            f"create table {TABLE} (document_id text primary key, title text not null, "
            "body text not null, status text not null, priority text not null, "
            "updated_at timestamptz not null)".encode()
        )
        with connection.cursor().copy(f"copy {TABLE} from stdin".encode()) as copy:
            for number in range(documents):
                paragraphs = [_paragraph(number, place, 0) for place in range(PARAGRAPHS)]
                copy.write_row(
                    (
                        _document_id(number),
                        f"Guide {number}",
                        "\n\n".join(paragraphs),
                        "open",
                        "normal",
                        "2026-01-01 00:00:00+00",
                    )
                )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"vacuum analyze {TABLE}".encode())


def change(url: str, phase: str, documents: int) -> None:
    """What happens before a phase, to 1 % of the documents; each phase takes others."""
    some = max(1, documents // 100)
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        if phase == "edit 1%":
            changed = [
                ("\n\n".join(_paragraph(number, place, place == 2) for place in range(PARAGRAPHS)),)
                + (_document_id(number),)
                for number in _spread(documents, some, 0)
            ]
            cursor.executemany(
                f"update {TABLE} set body = %s, updated_at = now() where document_id = %s".encode(),
                changed,
            )
        elif phase == "payload 1%":
            ids = [_document_id(number) for number in _spread(documents, some, 1)]
            cursor.execute(
                f"update {TABLE} set status = 'closed', updated_at = now() "
                "where document_id = any(%s)".encode(),
                (ids,),
            )
        elif phase == "delete 1%":
            ids = [_document_id(number) for number in _spread(documents, some, 2)]
            cursor.execute(f"delete from {TABLE} where document_id = any(%s)".encode(), (ids,))


def expected(phase: str, documents: int) -> tuple[int, int]:
    """How many texts a phase has to embed, and how many rows it leaves."""
    some = max(1, documents // 100)
    embeds = {"cold": documents * PARAGRAPHS, "edit 1%": some}.get(phase, 0)
    gone = some if phase == "delete 1%" else 0
    return embeds, (documents - gone) * PARAGRAPHS


def database(server: str, name: str, template: str | None = None) -> str:
    """Make a database on a server, empty or as a copy; its URL."""
    parts = [sql.SQL("create database {}").format(sql.Identifier(name))]
    if template is not None:
        parts.append(sql.SQL("template {}").format(sql.Identifier(template)))
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL(" ").join(parts))
    return f"{server.rsplit('/', 1)[0]}/{name}"


def drop(server: str, name: str) -> None:
    """Remove a database."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def _spread(documents: int, some: int, offset: int) -> list[int]:
    return [number * (documents // some) + offset for number in range(some)]


def _document_id(number: int) -> str:
    return f"guide-{number:06}"


def _paragraph(number: int, place: int, version: int) -> str:
    words = random.Random(f"{number} {place} {int(version)}").choices(VOCABULARY, k=WORDS)
    return f"{' '.join(words)}."
