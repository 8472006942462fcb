"""Which pages of its document a chunk is on.

The payload of a document with pages says how many characters stand before each of them, white space
left out. The texts of a document's chunks, joined, are its body up to white space: so the lengths
of the chunks before one say where it begins, and no text that is embedded names a page.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from lancedb.table import Table

from dagster_project.core.index import is_one_of
from dagster_project.core.text import letters

_COLUMNS = ["chunk_id", "document_id", "chunk_index", "chunk_text", "header_length"]


def pages_of(table: Table, rows: Sequence[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """The first and the last page of each chunk whose document has pages, by chunk_id.

    A document of which a chunk is missing, such as one in the quarantine, has none.

    Args:
        table: the version of the index that the rows are of.
        rows: rows of the index, with document_id and payload.
    """
    starts = {row["document_id"]: _starts(row["payload"]) for row in rows}
    paged = sorted(key for key, found in starts.items() if found)
    if not paged:
        return {}
    chunks: dict[str, list[dict[str, Any]]] = {}
    # Without a limit a query ends after a few rows.
    query = table.search().where(is_one_of("document_id", paged)).select(_COLUMNS)
    for chunk in query.limit(max(table.count_rows(), 1)).to_list():
        chunks.setdefault(chunk["document_id"], []).append(chunk)
    pages: dict[str, tuple[int, int]] = {}
    for key, found in chunks.items():
        pages |= _pages(sorted(found, key=lambda chunk: int(chunk["chunk_index"])), starts[key])
    return pages


def _starts(payload: str) -> list[int]:
    pages = json.loads(payload).get("pages") if '"pages"' in payload else None
    # Another source may have a fact of this name.
    if not isinstance(pages, list) or not all(type(page) is int for page in pages):
        return []
    return pages if pages == sorted(pages) else []


def _pages(chunks: list[dict[str, Any]], starts: list[int]) -> dict[str, tuple[int, int]]:
    if [chunk["chunk_index"] for chunk in chunks] != list(range(len(chunks))):
        return {}
    lengths = [letters(chunk["chunk_text"][chunk["header_length"] :]) for chunk in chunks]
    ends = list(accumulate(lengths))
    return {
        chunk["chunk_id"]: (
            bisect_right(starts, end - length),
            bisect_right(starts, max(end - 1, end - length)),
        )
        for chunk, length, end in zip(chunks, lengths, ends, strict=True)
    }


def pages_in_words(pages: tuple[int, int] | None) -> str:
    """Such as `page 3` or `pages 3–4`; empty where there are none."""
    if pages is None:
        return ""
    first, last = pages
    return f"page {first}" if first == last else f"pages {first}–{last}"
