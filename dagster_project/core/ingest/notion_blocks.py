"""Blocks of Notion's API as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from dagster_project.core.ingest.documents import table

_HEADINGS = {"heading_1": "## ", "heading_2": "### ", "heading_3": "#### "}
_LIST_ITEMS = {"bulleted_list_item", "numbered_list_item", "to_do", "toggle"}
_LINKED = {"image", "file", "video", "audio", "pdf", "bookmark", "embed", "link_preview"}
# Blocks that only hold others.
_HOLDERS = {"column_list", "column", "synced_block", "template"}
_DEEPEST = 50

Block = Mapping[str, Any]
Below = Callable[[str], list[dict[str, Any]]]


def blocks_to_markdown(blocks: Sequence[Block], below: Below) -> str:
    """Blocks and what stands in them, nested by indentation.

    Args:
        blocks: blocks as the API gives them.
        below: the blocks that came apart from the one that they stand in, by its id.

    Raises:
        ValueError: they are nested too deeply.
    """
    return "\n".join(_lines(blocks, below, 0)).strip()


def rich_text(parts: Sequence[Mapping[str, Any]]) -> str:
    """Rich text as Markdown; colour and underlining are left out."""
    return "".join(_annotated(part) for part in parts)


def _annotated(part: Mapping[str, Any]) -> str:
    text = str(part.get("plain_text") or "")
    core = text.strip()
    if not core:
        return text
    marks = part.get("annotations") or {}
    before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    if part.get("type") == "equation":
        core = f"${core}$"
    for name, mark in (("code", "`"), ("bold", "**"), ("italic", "_"), ("strikethrough", "~~")):
        if marks.get(name):
            core = f"{mark}{core}{mark}"
    # A link within Notion has no address of its own.
    if str(href := part.get("href") or "").startswith(("http", "mailto:")):
        core = f"[{core}]({href})"
    return before + core + after


def _children(block: Block, below: Below) -> list[dict[str, Any]]:
    content = block.get(str(block.get("type"))) or {}
    held = content.get("children") or block.get("children") or block.get("blocks")
    return held or below(str(block.get("id") or "").replace("-", ""))


def _lines(blocks: Sequence[Block], below: Below, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise ValueError(f"its blocks are nested over {_DEEPEST} deep")
    number = 0
    was_item = False
    for block in blocks:
        if block.get("archived") or block.get("in_trash"):
            continue
        kind = str(block.get("type"))
        number = number + 1 if kind == "numbered_list_item" else 0
        is_item = kind in _LIST_ITEMS
        if not (is_item and was_item):
            yield ""
        was_item = is_item
        yield from _block(block, kind, number, below, depth)


def _block(block: Block, kind: str, number: int, below: Below, depth: int) -> Iterator[str]:
    children = _children(block, below)
    if kind == "table":
        rows = [
            [rich_text(cell) for cell in (row.get("table_row") or {}).get("cells") or []]
            for row in children
        ]
        if rows:
            yield table(rows)
        return
    yield from _own_text(block, kind, number).split("\n")
    nested = list(_lines(children, below, depth + 1)) if children else []
    if kind in {*_HOLDERS, *_HEADINGS}:
        yield from nested
        return
    margin = "> " if kind in {"quote", "callout"} else "  "
    for line in nested[1:]:
        yield (margin + line).rstrip()


def _own_text(block: Block, kind: str, number: int) -> str:
    content = block.get(kind) or {}
    text = rich_text(content.get("rich_text") or content.get("text") or [])
    if kind in _HEADINGS:
        return _HEADINGS[kind] + " ".join(text.split())
    if kind in _LIST_ITEMS:
        # A line break within an item stays in it.
        return _mark(content, kind, number) + text.replace("\n", "\n  ")
    if kind in {"quote", "callout"}:
        return "> " + text.replace("\n", "\n> ")
    if kind == "code":
        language = str(content.get("language") or "").replace("plain text", "")
        return f"```{language}\n{text}\n```"
    return _other(content, kind, text)


def _mark(content: Block, kind: str, number: int) -> str:
    if kind == "numbered_list_item":
        return f"{number}. "
    if kind == "to_do":
        return "- [x] " if content.get("checked") else "- [ ] "
    return "- "


def _other(content: Block, kind: str, text: str) -> str:
    if kind == "divider":
        return "---"
    if kind == "equation":
        return f"$${content.get('expression', '')}$$"
    if kind in {"child_page", "child_database"}:
        return str(content.get("title") or "")
    if kind in _LINKED:
        caption = rich_text(content.get("caption") or [])
        address = str(content.get("url") or (content.get("external") or {}).get("url") or "")
        name = caption or str(content.get("name") or "")
        if not address:
            return f"({kind}: {name})" if name else ""
        return f"[{name}]({address})" if name else address
    return text
