"""Real documents through the whole pipeline: files, dbt, chunks, vectors, a published index.

Cranfield's abstracts are asked its questions; with the pages of a public handbook they are also
what the rows of the benchmark of speed are made of.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pyarrow as pa
from chunk_retrieval import read_cranfield
from chunkers import DATA
from sync_data import database, drop

from dagster_project.core.build import Headrace
from dagster_project.core.embedding.minilm import MINILM
from dagster_project.core.ingest import ingest_files
from dagster_project.core.settings import PACKAGE_PROJECT, Settings

EVENTS = DATA / "handbook" / "events.jsonl.gz"
_HEADING = re.compile(r"^#+ +(.+?)[ #]*$", re.MULTILINE)
_FEWEST_WORDS = 3


def built(server: str, home: Path, source: str, pages: Mapping[str, str], tokens: int) -> Headrace:
    """Files loaded, cut by dbt on a database of their own, embedded and published.

    What stands in the home already is taken as it is.

    Args:
        server: URL of a Postgres that may make databases.
        home: where the files and the index go; its name names the database too.
        source: of the documents.
        pages: the files' texts, by name.
        tokens: a chunk's at most.
    """
    settings = Settings(
        home=home,
        dbt_project=PACKAGE_PROJECT,
        postgres_url=f"{server.rsplit('/', 1)[0]}/{home.name}",
        schema="headrace",
        lancedb_uri=str(home / "lancedb"),
        model=MINILM,
    )
    headrace = Headrace(settings)
    if headrace.store.live() is not None:
        return headrace
    fresh(server, home.name)
    for name, text in pages.items():
        path = home / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    report = ingest_files(headrace.warehouse, str(home / "files"), source)
    # An abstract of Cranfield's has no text, and its file is refused as empty.
    assert len(report.refused) < 5, report.refused
    headrace.build(["--vars", json.dumps({"headrace_chunk_tokens": tokens})])
    return headrace


def fresh(server: str, name: str, template: str | None = None) -> str:
    """An empty database, or one as its template is, whatever an earlier run left; its URL."""
    with psycopg.connect(server, autocommit=True) as connection:
        found = connection.execute("select 1 from pg_database where datname = %s", (name,))
        if found.fetchone() is not None:
            drop(server, name)
    return database(server, name, template)


def cranfield_pages() -> dict[str, str]:
    """Cranfield's documents as Markdown, by file name."""
    texts, _, _ = read_cranfield()
    return {
        page_name(number): f"---\ntitle: {json.dumps(title or 'Untitled')}\n---\n\n{body}\n"
        for number, (title, body) in enumerate(texts)
        if title or body
    }


def page_name(number: int) -> str:
    """The file of a document of Cranfield's."""
    return f"{number:04}.md"


def handbook_pages() -> dict[str, str]:
    """The handbook as of its first commit: Markdown by path."""
    pages: dict[str, str] = {}
    with gzip.open(EVENTS, "rt") as lines:
        first = None
        for line in lines:
            event = json.loads(line)
            first = first or event["commit"]
            if event["commit"] != first:
                break
            pages[event["path"]] = event["body"]
    return {path: body for path, body in pages.items() if body.strip()}


def headings(pages: Mapping[str, str]) -> list[str]:
    """Headings of three words or more, each once: what somebody might type."""
    found = (title for body in pages.values() for title in _HEADING.findall(body))
    return [
        title for title in dict.fromkeys(found) if len(re.findall(r"\w+", title)) >= _FEWEST_WORDS
    ]


def rows_of(headrace: Headrace) -> pa.Table:
    """All rows that readers of an index see, vectors included."""
    table = headrace.live_index.live()
    return table.search().limit(table.count_rows()).to_arrow()
