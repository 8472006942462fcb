"""The answers of Notion's API to documents: pages with their blocks, databases as tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from dagster_project.core.ingest.documents import Document, new_document, table
from dagster_project.core.ingest.load import Load
from dagster_project.core.ingest.notion_blocks import blocks_to_markdown, rich_text

MOST_ROWS = 500
_DATABASES = {"database", "data_source"}
_EDITED = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass
class _Answers:
    """Objects of the API by id, and blocks by what they stand in."""

    pages: dict[str, dict[str, Any]] = field(default_factory=dict)
    databases: dict[str, dict[str, Any]] = field(default_factory=dict)
    blocks: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

    def take(self, found: object) -> int:
        """Sort in an answer; how many objects it held."""
        if isinstance(found, list):
            return sum(self.take(part) for part in found)
        if not isinstance(found, dict):
            return 0
        kind = found.get("object")
        if kind == "list":
            return self.take(found.get("results"))
        key = _id(found.get("id"))
        if not key:
            return 0
        if kind == "page":
            self.pages[key] = self.pages.get(key, {}) | found
            for block in _children(found):
                self._take_block(block, key)
        elif kind in _DATABASES:
            self.databases[key] = found
        elif kind == "block":
            parent = found.get("parent") or {}
            self._take_block(found, _id(parent.get("page_id") or parent.get("block_id")))
        else:
            return 0
        return 1

    def _take_block(self, block: dict[str, Any], parent: str) -> None:
        key = _id(block.get("id")) or str(len(self.blocks.get(parent, {})))
        self.blocks.setdefault(parent, {})[key] = block

    def strays(self) -> int:
        """How many blocks stand in no page or block that there is."""
        known = self.pages.keys() | {key for held in self.blocks.values() for key in held}
        return sum(len(held) for parent, held in self.blocks.items() if parent not in known)

    def below(self, key: str) -> list[dict[str, Any]]:
        """The blocks that stand in a page or block, in the order that they came in."""
        return list(self.blocks.get(key, {}).values())


def api_documents(load: Load, answers: Sequence[tuple[str, bytes]], source: str) -> None:
    """Add the pages and databases of the API's answers to a load.

    A file that is no JSON may have held any page: it is refused in the name of the whole source,
    so that nothing is taken for deleted.

    Args:
        load: what the source holds.
        answers: the names of the files and their content.
        source: the source's name.
    """
    found = _Answers()
    for name, data in answers:
        try:
            held = found.take(json.loads(data))
        except (ValueError, RecursionError, AttributeError, TypeError) as error:
            load.refuse(f"{source}:", f"{name} is no answer of the API ({error}): fetch it again")
            continue
        if not held:
            load.refuse(f"{source}:", f"{name} holds no page, database or block: fetch it again")
    for _ in range(found.strays()):
        load.ignore("blocks of pages that are not there")
    for key, page in found.pages.items():
        _add(load, f"{source}:{key}", page, lambda: _page(found, key, page, source))  # noqa: B023
    for key, database in found.databases.items():
        _add(
            load,
            f"{source}:{key}",
            database,
            lambda: _database(found, key, database, source),  # noqa: B023
        )


def _add(load: Load, key: str, found: Mapping[str, Any], make: Any) -> None:  # noqa: ANN401
    if found.get("archived") or found.get("in_trash"):
        load.ignore("in the trash")
        return
    try:
        load.add(make())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        load.refuse(key, f"it is not as the API gives it ({type(error).__name__}: {error})")


def _id(value: object) -> str:
    return value.replace("-", "") if isinstance(value, str) else ""


def _children(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [*(found.get("blocks") or []), *(found.get("children") or [])]


def _page(found: _Answers, key: str, page: dict[str, Any], source: str) -> Document:
    properties = page.get("properties") or {}
    title = next((_value(p) for p in properties.values() if p.get("type") == "title"), "")
    said = {
        name: text
        for name, value in properties.items()
        if value.get("type") != "title" and (text := _value(value))
    }
    lowered = {name.lower(): text for name, text in said.items()}
    facts = {name: lowered[name] for name in ("status", "tags", "verification") if name in lowered}
    body = blocks_to_markdown(found.below(key), found.below)
    title = title or "Untitled"
    return new_document(
        source,
        key,
        doc_type="notion_page",
        title=title,
        body=f"# {title}\n\n{body}".strip(),
        modified=_edited(page),
        payload={**facts, **({"properties": said} if said else {})},
        url=page.get("url"),
        owner=lowered.get("owner"),
    )


def _edited(found: Mapping[str, Any]) -> datetime:
    said = found.get("last_edited_time")
    return datetime.fromisoformat(said.replace("Z", "+00:00")) if said else _EDITED


def _database(found: _Answers, key: str, database: dict[str, Any], source: str) -> Document:
    head = list(database.get("properties") or {})
    kinds = database.get("properties") or {}
    # The title comes first, as people see it.
    head.sort(key=lambda name: kinds[name].get("type") != "title")
    rows = [
        [_value((page.get("properties") or {}).get(name) or {}) for name in head]
        for page in found.pages.values()
        if key in _parents(page) and not (page.get("archived") or page.get("in_trash"))
    ]
    title = rich_text(database.get("title") or []) or str(database.get("name") or "Untitled")
    return database_document(
        source,
        key,
        title,
        [head or ["Name"], *rows],
        _edited(database),
        path=title,
        url=database.get("url"),
    )


def _parents(page: Mapping[str, Any]) -> set[str]:
    parent = page.get("parent") or {}
    return {_id(parent.get("database_id")), _id(parent.get("data_source_id"))} - {""}


def _value(value: Mapping[str, Any]) -> str:
    """A property as text."""
    found = value.get(str(value.get("type")))
    return ", ".join(_texts(found))


def _texts(found: Any) -> Iterator[str]:  # noqa: ANN401
    """What there is to read in the value of a property, whatever its type."""
    if found is None or found is False:
        return
    if found is True:
        yield "yes"
    elif isinstance(found, (str, int, float)):
        yield str(found)
    elif isinstance(found, list):
        if found and all(isinstance(part, dict) and "plain_text" in part for part in found):
            yield rich_text(found)
        else:
            for part in found:
                yield from _texts(part)
    elif isinstance(found, dict):
        yield from _object_texts(found)


def _object_texts(found: dict[str, Any]) -> Iterator[str]:
    if "start" in found:
        yield " to ".join(str(found[key]) for key in ("start", "end") if found.get(key))
    elif name := found.get("name") or found.get("state"):
        yield str(name)
    elif found.get("type") in found:
        yield from _texts(found[found["type"]])


def database_document(
    source: str,
    key: str,
    title: str,
    rows: list[list[str]],
    modified: datetime,
    *,
    path: str,
    url: str | None = None,
) -> Document:
    """A database as a table: the first row is its head, and a note says what is left out."""
    left_out = max(0, len(rows) - 1 - MOST_ROWS)
    note = f"\n\n{left_out} more rows are not shown here." if left_out else ""
    return new_document(
        source,
        key,
        doc_type="notion_database",
        title=title,
        body=f"# {title}\n\n{table(rows[: MOST_ROWS + 1])}{note}",
        modified=modified,
        payload={"path": path, "rows": len(rows) - 1},
        url=url,
    )
