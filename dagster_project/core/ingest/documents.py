"""A document, as the loaders make it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

# A body beyond this is data, not a text that somebody reads.
MOST_CHARACTERS = 10_000_000


@dataclass(frozen=True)
class Document:
    """A document, in the order of the document contract of the dbt package.

    Where it does not say who may read it, `access` is None until a load takes it in.
    """

    document_id: str
    source_name: str
    doc_type: str
    title: str
    body: str
    url: str | None
    owner: str | None
    language: str | None
    valid_from: date | None
    valid_to: date | None
    version_family: str | None
    version_date: date | None
    review_by: date | None
    access: list[str] | None
    payload: str
    source_updated_at: datetime


@dataclass(frozen=True)
class Parsed:
    """What a parser finds in a file.

    Attributes:
        body: the text as Markdown.
        title: what the file says its title is.
        language: the language that it names, such as ``en``.
        pages: characters before each page, white space left out; empty where there are no pages.
        scanned: the pages, from 1, that show a picture and no text.
    """

    body: str
    title: str | None = None
    language: str | None = None
    pages: list[int] = field(default_factory=list)
    scanned: list[int] = field(default_factory=list)


def new_document(
    source: str,
    key: str,
    *,
    doc_type: str,
    title: str,
    body: str,
    modified: datetime,
    payload: Mapping[str, Any],
    access: list[str] | None = None,
    url: str | None = None,
    owner: str | None = None,
    language: str | None = None,
) -> Document:
    """A document without dates of validity.

    Args:
        source: the source's name.
        key: what tells the document from the others of its source.
        doc_type: the kind of document.
        title: its title.
        body: its text, Markdown.
        modified: when it changed last.
        payload: facts to show and to filter by; never embedded.
        access: who may read it, where it says so.
        url: where people read it.
        owner: who answers for it.
        language: its language, such as ``en``.
    """
    document = Document(
        document_id=f"{source}:{key}",
        source_name=source,
        doc_type=doc_type,
        title=title,
        body=body,
        url=url,
        owner=owner,
        language=language,
        valid_from=None,
        valid_to=None,
        version_family=None,
        version_date=None,
        review_by=None,
        access=access,
        payload=as_json(payload),
        source_updated_at=modified,
    )
    return cleaned(document)


def as_json(payload: Mapping[str, Any]) -> str:
    """A payload as the column holds it: the same facts give the same text.

    Raises:
        ValueError: a number is infinite or none.
    """
    try:
        return json.dumps(
            _plain(payload), default=str, ensure_ascii=False, sort_keys=True, allow_nan=False
        )
    except ValueError as error:
        raise ValueError("a number among the facts is infinite or none: write it out") from error


def _plain(value: Any) -> Any:  # noqa: ANN401
    """A value whose texts the warehouse can hold, and whose keys are texts."""
    if isinstance(value, Mapping):
        return {clean(str(key)): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return clean(value) if isinstance(value, str) else value


def cleaned(document: Document) -> Document:
    """The document with texts that every warehouse can hold."""
    texts: dict[str, Any] = {
        key: clean(value) for key, value in vars(document).items() if isinstance(value, str)
    }
    if document.access is not None:
        texts["access"] = [clean(principal) for principal in document.access]
    return replace(document, **texts)


def clean(text: str) -> str:
    """A text without NUL, which Postgres does not hold, and lone surrogates, no characters."""
    return text.replace("\x00", " ").encode("utf-8", "replace").decode()


def heading_of(body: str) -> str | None:
    """The text of the first heading, where the body begins with one."""
    first = next((line for line in body.splitlines() if line.strip()), "")
    return first.lstrip("#").strip() or None if first.startswith("# ") else None


def first_words(text: str, most: int = 60) -> str:
    """The beginning of a text, as a title: whole words, at most `most` characters."""
    line = " ".join(re.sub(r"[*_`#>|]+", " ", text).split())
    if len(line) <= most:
        return line
    return line[:most].rsplit(" ", 1)[0].rstrip(",;:") + " …"


def table(rows: list[list[str]]) -> str:
    """Rows of texts as a Markdown table; the first is its head."""
    width = max(len(row) for row in rows)
    lines = [
        "| " + " | ".join([*(_cell(cell) for cell in row), *[""] * (width - len(row))]) + " |"
        for row in rows
    ]
    return "\n".join([lines[0], "|" + " --- |" * width, *lines[1:]])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
