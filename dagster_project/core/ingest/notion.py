"""A Notion export to documents: the Markdown and CSV export, or the answers of the API."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from dagster_project.core.errors import ConfigurationError
from dagster_project.core.ingest.archive import Export
from dagster_project.core.ingest.documents import Document, new_document
from dagster_project.core.ingest.load import IngestReport, Load, check_source, replace_source
from dagster_project.core.ingest.markdown import decode
from dagster_project.core.ingest.notion_api import api_documents, database_document
from dagster_project.core.warehouse import Warehouse

_ID = re.compile(r"^(.*?)[ _-]?([0-9a-f]{32})(_all)?$")
_PROPERTY = re.compile(r"^([^:\n|#>*`\[\]]{1,60}): ?(.*)$")
# What a page that is no row of a database may say of itself.
_OF_PAGES = {"owner", "verification", "last edited", "last edited time", "last edited by"}
_OF_PAGES |= {"created", "created time", "created by", "tags", "status"}
_EDITED = ("last edited", "last edited time")
_TIMES = ("%B %d, %Y %I:%M %p", "%B %d, %Y", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%d/%m/%Y %H:%M")
_LINK = re.compile(r"(!?)\[([^\]\n]*)\]\((?!https?://|mailto:)([^)\n]*)\)")


def ingest_notion(
    warehouse: Warehouse, export: Path, source: str, access: Sequence[str] | None = None
) -> IngestReport:
    """Make the documents of `source` those of an export, or of a folder of the API's answers.

    A page is known by its id, so that one that is renamed or moved stays the same document. One
    that cannot be read is set aside with the reason, and what was loaded of it before stays.

    Args:
        warehouse: where the documents go.
        export: the zip, or the folder that it unpacks to.
        source: the source's name, in front of every document's id.
        access: who may read the pages; see `Load`.

    Raises:
        ConfigurationError: the export or the source's name cannot be used.
        WarehouseError: the warehouse cannot be written.
    """
    check_source(source)
    files = Export(export)
    names = _best(files.names())
    kinds = {PurePosixPath(name).suffix.lower() for name in names}
    if not kinds & {".md", ".csv", ".json"}:
        raise ConfigurationError(
            f"{export} holds no Markdown, CSV or JSON: give an export of Notion. Nothing was "
            "changed."
        )
    load = Load(access)
    databases = {_stem(name) for name in names if name.lower().endswith(".csv")}
    answers: list[tuple[str, bytes]] = []
    for name in names:
        suffix = PurePosixPath(name).suffix.lower()
        try:
            if suffix == ".md":
                load.add(_page(files, name, source, databases))
            elif suffix == ".csv":
                load.add(_database(files, name, source))
            elif suffix == ".json":
                answers.append((name, files.read(name)))
            else:
                load.ignore(suffix or "no extension")
        except (ValueError, csv.Error) as error:
            load.refuse(f"{source}:{_key(name)}", f"{name}: {error}")
    api_documents(load, answers, source)
    return replace_source(warehouse, source, load)


def _best(names: Sequence[str]) -> list[str]:
    """The files, without the CSV of a view where the one of all rows stands beside it."""
    whole = {name.removesuffix("_all.csv") for name in names if name.endswith("_all.csv")}
    return [name for name in names if not (name.endswith(".csv") and name[:-4] in whole)]


def _parted(name: str) -> tuple[str, str | None]:
    """The title and the id in the name of a file or folder."""
    found = _ID.match(name)
    return (found.group(1).strip() or found.group(2), found.group(2)) if found else (name, None)


def _stem(name: str) -> str:
    """The path without extension, as the folder of a page or database is called."""
    return re.sub(r"(_all)?\.\w+$", "", name)


def _key(name: str) -> str:
    path = PurePosixPath(name)
    return _parted(path.stem)[1] or name


def _path(name: str) -> str:
    """The titles above a page, and its own."""
    path = PurePosixPath(name)
    return " / ".join(_parted(part)[0] for part in (*path.parts[:-1], path.stem))


def _is_row(name: str, databases: set[str]) -> bool:
    """Whether a page is a row of a database: newer exports leave the id out of folders."""
    folder = str(PurePosixPath(name).parent)
    return any(
        folder == database
        or (
            PurePosixPath(folder).parent == PurePosixPath(database).parent
            and _parted(PurePosixPath(folder).name)[0] == _parted(PurePosixPath(database).name)[0]
        )
        for database in databases
    )


def _page(files: Export, name: str, source: str, databases: set[str]) -> Document:
    text = decode(files.read(name)).replace("\r\n", "\n")
    title, _ = _parted(PurePosixPath(name).stem)
    lines = text.split("\n")
    if lines and lines[0].startswith("# "):
        # The file's name is cut and has no slashes; the heading is the title.
        title = lines[0][2:].strip() or title
    said, rest = _properties(lines, is_row=_is_row(name, databases))
    lowered = {key.lower(): value for key, value in said.items()}
    edited = next((time for key in _EDITED if (time := _time(lowered.get(key)))), None)
    facts: dict[str, object] = {
        key: lowered[key] for key in ("status", "tags", "verification") if key in lowered
    }
    if "tags" in facts:
        facts["tags"] = [tag.strip() for tag in lowered["tags"].split(",") if tag.strip()]
    return new_document(
        source,
        _key(name),
        doc_type="notion_page",
        title=title,
        body=_LINK.sub(r"\2", rest).strip(),
        # An export says when a page was edited only where the page shows it.
        modified=edited or _UNKNOWN,
        payload={"path": _path(name), **facts, **({"properties": said} if said else {})},
        owner=lowered.get("owner") or None,
    )


# The same at every load, so that an export that brings nothing new changes nothing.
_UNKNOWN = datetime(1970, 1, 1, tzinfo=timezone.utc)


def _properties(lines: list[str], *, is_row: bool) -> tuple[dict[str, str], str]:
    """The `Key: value` lines under the title, and the page without them."""
    start = 1 if lines and lines[0].startswith("# ") else 0
    while start < len(lines) and not lines[start].strip():
        start += 1
    end = start
    found: dict[str, str] = {}
    while end < len(lines) and (match := _PROPERTY.match(lines[end])):
        found[match.group(1).strip()] = match.group(2).strip()
        end += 1
    alone = end == len(lines) or not lines[end].strip()
    known = all(key.lower() in _OF_PAGES for key in found)
    if not found or not alone or not (is_row or known):
        return {}, "\n".join(lines)
    return found, "\n".join([*lines[: 1 if lines[0].startswith("# ") else 0], "", *lines[end:]])


def _time(text: str | None) -> datetime | None:
    for form in _TIMES if text else ():
        try:
            return datetime.strptime(str(text), form).replace(tzinfo=timezone.utc)
        except ValueError:
            continue
    return None


def _database(files: Export, name: str, source: str) -> Document:
    rows = [row for row in csv.reader(io.StringIO(decode(files.read(name)), newline="")) if row]
    if not rows:
        raise ValueError("it has no columns")
    title, _ = _parted(PurePosixPath(name).stem)
    return database_document(source, _key(name), title, rows, _UNKNOWN, path=unquote(_path(name)))
