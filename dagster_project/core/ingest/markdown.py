"""Markdown with front matter, and plain text, to documents."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timezone
from pathlib import PurePosixPath
from typing import Any

import yaml
from frontmatter.default_handlers import YAMLHandler

from dagster_project.core.ingest.documents import (
    Document,
    Parsed,
    cleaned,
    heading_of,
    new_document,
)

# Read from the front matter under these names; every other key goes to the payload.
_DATES = ("valid_from", "valid_to", "version_date", "review_by")
_TEXTS = ("title", "doc_type", "url", "owner", "language", "version_family")
_MOST_FRONT_MATTER = 100_000
# What stands above a text, in so many characters.
_TOP = 2_000
_NAMES_READERS = re.compile(r"\s*---.*?^\W*access\W*:", re.DOTALL | re.IGNORECASE | re.MULTILINE)


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases: a few lines of them stand for gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("the front matter uses an alias (*name): write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        if sum(_is_access(key.value) for key, _ in node.value) > 1:
            raise ValueError("access stands there more than once: leave one")
        return super().construct_mapping(node, deep)


def read_markdown(data: bytes, name: str, source: str, modified: datetime) -> Document:
    """The document in a Markdown file.

    Args:
        data: what the file holds.
        name: its path in the folder: with the source it is the document's id.
        source: the source's name.
        modified: when the file changed; the front matter may say otherwise.

    Raises:
        ValueError: the file is no UTF-8, or its front matter cannot be used.
    """
    meta, body = _front_matter(decode(data))
    return described(meta, Parsed(body), name, source, modified)


def decode(data: bytes) -> str:
    """The text of a file.

    Raises:
        ValueError: it is no UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}: save the file as UTF-8") from error


def _front_matter(text: str) -> tuple[dict[str, Any], str]:
    """The `name: value` lines between two rules at the top, and the rest.

    What stands there and is no such list is text, and stays text.
    """
    handler = YAMLHandler()
    if not handler.detect(text):
        return {}, _plain(text)
    try:
        block, body = handler.split(text)
    except ValueError:
        return {}, _plain(text)
    if len(block) > _MOST_FRONT_MATTER:
        raise ValueError(
            f"the front matter has {len(block)} characters: keep it under {_MOST_FRONT_MATTER}"
        )
    try:
        meta = yaml.load(block, _PlainLoader)  # noqa: S506
    except RecursionError as error:
        raise ValueError("the front matter is nested too deeply: make it flat") from error
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        line = f" at line {place.line + 2}" if place is not None else ""
        raise ValueError(
            f"the front matter is not YAML{line}: mend what stands between the --- lines"
        ) from error
    if meta is not None and not isinstance(meta, Mapping):
        return {}, _plain(text)
    # The blank lines around the text belong to neither.
    return dict(meta or {}), body.strip("\n")


def _plain(text: str) -> str:
    """A text that has no front matter.

    Raises:
        ValueError: it looks as if it were to say who may read it: taken for a text, it would be
            read by others.
    """
    if _NAMES_READERS.match(text[:_TOP]):
        raise ValueError(
            "its line access: is not read as front matter: the first line and the one after the "
            "last are to be --- alone, and a space stands after each colon"
        )
    return text


def described(
    meta: dict[str, Any], parsed: Parsed, name: str, source: str, modified: datetime
) -> Document:
    """The document of a file, from what its front matter and its text say.

    Raises:
        ValueError: the front matter cannot be used.
    """
    meta = dict(meta)
    modified = _modified(meta.pop("updated_at", None), modified)
    texts = {key: _text(meta.pop(key, None)) for key in _TEXTS}
    dates: dict[str, Any] = {key: _date(key, meta.pop(key, None)) for key in _DATES}
    access = _access(meta)
    pages: dict[str, Any] = {"pages": parsed.pages} if parsed.pages else {}
    if parsed.scanned:
        pages["scanned_pages"] = parsed.scanned
    title = heading_of(parsed.body) or parsed.title or PurePosixPath(name).stem
    document = new_document(
        source,
        name,
        doc_type=texts["doc_type"] or "document",
        title=texts["title"] or title,
        body=parsed.body,
        modified=modified,
        payload={"path": name, **meta, **pages},
        access=access,
        url=texts["url"],
        owner=texts["owner"],
        language=texts["language"] or parsed.language,
    )
    return cleaned(replace(document, version_family=texts["version_family"], **dates))


def _modified(said: object, modified: datetime) -> datetime:
    """When the document changed: as the front matter says, else the file's time."""
    if isinstance(said, str):
        try:
            said = datetime.fromisoformat(said.replace("Z", "+00:00"))
        except ValueError as error:
            raise ValueError(f"updated_at {said!r} is not an ISO date") from error
    if isinstance(said, datetime):
        return said if said.tzinfo else said.replace(tzinfo=timezone.utc)
    if isinstance(said, date):
        return datetime(said.year, said.month, said.day, tzinfo=timezone.utc)
    return modified


def _text(value: object) -> str | None:
    return None if value is None or value == "" else str(value)


def _date(key: str, value: object) -> date | None:
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError as error:
        raise ValueError(f"{key} is {value!r}: write it as YYYY-MM-DD") from error


def _is_access(name: object) -> bool:
    return str(name).strip().lower() == "access"


def _access(meta: dict[str, Any]) -> list[str] | None:
    """Who may read the document, where its front matter says so; a slip must not open it to all."""
    name = next((name for name in meta if _is_access(name)), None)
    if name is None:
        return None
    value = meta.pop(name)
    if value is None or value == "":
        raise ValueError("access is empty: name who may read the document, or leave the line out")
    principals = [value] if isinstance(value, str) else value
    if not isinstance(principals, list) or not all(isinstance(p, str) and p for p in principals):
        raise ValueError(
            f"access is {value!r}: write a list of the principals who may read the document"
        )
    if not principals:
        raise ValueError(
            "access is an empty list: name who may read the document, or leave the line out"
        )
    return principals
