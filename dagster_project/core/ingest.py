"""Folders of Markdown to documents in the warehouse."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import psycopg
import yaml
from frontmatter.default_handlers import YAMLHandler

from dagster_project.core.errors import ConfigurationError
from dagster_project.core.warehouse import PostgresWarehouse, Refusal

_SUFFIXES = {".md", ".markdown", ".mdx"}
# Read from the front matter under these names; every other key goes to the payload.
_DATES = ("valid_from", "valid_to", "version_date", "review_by")
_TEXTS = ("title", "doc_type", "url", "owner", "language", "version_family")


@dataclass(frozen=True)
class Document:
    """A document, in the order of the document contract of the dbt package."""

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
    access: list[str]
    payload: str
    source_updated_at: datetime


@dataclass(frozen=True)
class IngestReport:
    """What an ingest did, in documents.

    Attributes:
        added: files seen for the first time.
        changed: files whose document is another now.
        deleted: documents whose file is gone.
        unchanged: the rest.
        refused: files that could not be read, each with the reason.
    """

    added: int
    changed: int
    deleted: int
    unchanged: int
    refused: list[Refusal]


def ingest_markdown(warehouse: PostgresWarehouse, directory: Path, source: str) -> IngestReport:
    """Make the documents of `source` those of a folder: new and changed files in, missing ones out.

    A file that cannot be read is set aside with the reason, and what was loaded of it before stays.

    Raises:
        ConfigurationError: the folder or the source's name cannot be used.
        WarehouseError: the warehouse cannot be written.
    """
    if not directory.is_dir():
        raise ConfigurationError(
            f"{directory} is no folder: give the folder that holds the Markdown files."
        )
    if not source or ":" in source:
        raise ConfigurationError(
            f"--source {source!r}: give a name without a colon, such as handbook."
        )
    documents: dict[str, Document] = {}
    refused: list[Refusal] = []
    for path in sorted(
        p for p in directory.rglob("*") if p.suffix.lower() in _SUFFIXES and p.is_file()
    ):
        name = path.relative_to(directory).as_posix()
        try:
            document = read_markdown(path, name, source)
        except (ValueError, OSError) as error:
            refused.append(Refusal(f"{source}:{name}", str(error)))
        else:
            documents[document.document_id] = document
    warehouse.prepare()
    with warehouse.connect() as connection:
        report = _replace(connection, source, documents, refused)
    return report


def read_markdown(path: Path, name: str, source: str) -> Document:
    """The document in a Markdown file.

    Args:
        path: the file.
        name: its path in the folder: with the source it is the document's id.
        source: the source's name.

    Raises:
        ValueError: the file is no UTF-8, or its front matter cannot be used.
    """
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}: save the file as UTF-8") from error
    meta, body = _front_matter(text)
    return _document(meta, body, name, source, _modified(path, meta))


def _front_matter(text: str) -> tuple[dict[str, Any], str]:
    """The `name: value` lines between two rules at the top, and the rest.

    What stands there and is no such list is text, and stays text.
    """
    handler = YAMLHandler()
    if not handler.detect(text):
        return {}, text
    try:
        block, body = handler.split(text)
    except ValueError:
        return {}, text
    try:
        meta = handler.load(block)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        line = f" at line {place.line + 2}" if place is not None else ""
        raise ValueError(
            f"the front matter is not YAML{line}: mend what stands between the --- lines"
        ) from error
    if meta is not None and not isinstance(meta, Mapping):
        return {}, text
    # The blank lines around the text belong to neither.
    return dict(meta or {}), body.strip("\n")


def _modified(path: Path, meta: Mapping[str, Any]) -> datetime:
    """When the document changed: as the front matter says, else the file's time."""
    said = meta.get("updated_at")
    if isinstance(said, str):
        try:
            said = datetime.fromisoformat(said.replace("Z", "+00:00"))
        except ValueError as error:
            raise ValueError(f"updated_at {said!r} is not an ISO date") from error
    if isinstance(said, datetime):
        return said if said.tzinfo else said.replace(tzinfo=timezone.utc)
    if isinstance(said, date):
        return datetime(said.year, said.month, said.day, tzinfo=timezone.utc)
    return datetime.fromtimestamp(path.stat().st_mtime, tz=timezone.utc)


def _document(
    meta: dict[str, Any], body: str, name: str, source: str, modified: datetime
) -> Document:
    texts = {key: _text(meta.pop(key, None)) for key in _TEXTS}
    dates = {key: _date(key, meta.pop(key, None)) for key in _DATES}
    access = _access(meta.pop("access", None))
    meta.pop("updated_at", None)
    document = Document(
        document_id=f"{source}:{name}",
        source_name=source,
        doc_type=texts["doc_type"] or "document",
        title=texts["title"] or _title(body) or Path(name).stem,
        body=body,
        url=texts["url"],
        owner=texts["owner"],
        language=texts["language"],
        version_family=texts["version_family"],
        access=access,
        payload=json.dumps({"path": name, **meta}, default=str, ensure_ascii=False, sort_keys=True),
        source_updated_at=modified,
        **dates,
    )
    # Postgres holds no NUL, and a lone surrogate is no character.
    cleaned: dict[str, Any] = {
        key: value.replace("\x00", " ").encode("utf-8", "replace").decode()
        for key, value in vars(document).items()
        if isinstance(value, str)
    }
    return replace(document, **cleaned)


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


def _access(value: object) -> list[str]:
    if value is None:
        return ["everyone"]
    principals = [value] if isinstance(value, str) else value
    if not isinstance(principals, list) or not all(isinstance(p, str) and p for p in principals):
        raise ValueError(
            f"access is {value!r}: write a list of the principals who may read the document"
        )
    if not principals:
        raise ValueError(
            "access is an empty list: name who may read the document, or leave it out for everyone"
        )
    return principals


def _title(body: str) -> str | None:
    """The text of the first heading, where the body begins with one."""
    first = next((line for line in body.splitlines() if line.strip()), "")
    return first.lstrip("#").strip() or None if first.startswith("# ") else None


def _replace(
    connection: psycopg.Connection,
    source: str,
    documents: Mapping[str, Document],
    refused: list[Refusal],
) -> IngestReport:
    columns = list(Document.__dataclass_fields__)
    known: dict[str, tuple[Any, ...]] = {
        row[0]: row
        for row in connection.execute(
            f"select {', '.join(columns)} from headrace_ops.raw_documents where source_name = %s",  # noqa: S608
            (source,),
        )
    }
    added = [key for key in documents if key not in known]
    changed = [
        key
        for key, document in documents.items()
        if key in known and known[key][:-1] != _values(document)[:-1]
    ]
    kept = {refusal.document_id for refusal in refused}
    gone = [key for key in known if key not in documents and key not in kept]
    with connection.cursor() as cursor:
        cursor.executemany(
            f"insert into headrace_ops.raw_documents ({', '.join(columns)}) "  # noqa: S608
            f"values ({', '.join(['%s'] * len(columns))}) on conflict (document_id) do update set "
            + ", ".join(f"{column} = excluded.{column}" for column in columns[1:]),
            [_values(documents[key]) for key in [*added, *changed]],
        )
        cursor.execute(
            "delete from headrace_ops.raw_documents where document_id = any(%s)", (gone,)
        )
        cursor.execute(
            "delete from headrace_ops.quarantine where found_in = %s", (f"ingest {source}",)
        )
        cursor.executemany(
            "insert into headrace_ops.quarantine (found_in, document_id, reason) "
            "values (%s, %s, %s)",
            [(f"ingest {source}", refusal.document_id, refusal.reason) for refusal in refused],
        )
    return IngestReport(
        added=len(added),
        changed=len(changed),
        deleted=len(gone),
        unchanged=len(documents) - len(added) - len(changed),
        refused=refused,
    )


def _values(document: Document) -> tuple[Any, ...]:
    return tuple(vars(document).values())
