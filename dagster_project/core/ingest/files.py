"""Folders and buckets of PDF, Word, HTML, Markdown and text to documents in the warehouse."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePosixPath

from dagster_project.core.ingest.documents import Document, Parsed, clean
from dagster_project.core.ingest.load import (
    IngestReport,
    Load,
    check_source,
    replace_source,
    stored_fingerprints,
)
from dagster_project.core.ingest.markdown import decode, described, read_markdown
from dagster_project.core.ingest.places import Found, list_files
from dagster_project.core.ingest.worker import PARSE_SECONDS, ParserPool
from dagster_project.core.warehouse import EVERYONE, Warehouse

MOST_MB = 50
_KINDS = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".mdx": "markdown",
    ".txt": "text",
    ".html": "html",
    ".htm": "html",
    ".docx": "docx",
    ".pdf": "pdf",
}
# Raise a kind's number when its parser makes another text of the same file.
_VERSIONS = {"markdown": "2", "text": "1", "html": "1", "docx": "1", "pdf": "1"}
_PARSERS = {
    "html": ("beautifulsoup4", "markdownify"),
    "docx": ("mammoth", "markdownify"),
    "pdf": ("pdfplumber", "pdfminer.six"),
}
_MAGIC = {
    b"%PDF-": "a PDF",
    b"PK\x03\x04": "a zip, such as a Word document",
    b"\xd0\xcf\x11\xe0": "an old or encrypted Office file",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"\x1f\x8b": "a gzip archive",
    b"\x7fELF": "a program",
    b"{\\rtf": "an RTF file",
}
_OWN_MAGIC = {"pdf": b"%PDF-", "docx": b"PK\x03\x04"}


@dataclass(frozen=True)
class Limits:
    """How much a file may cost.

    Attributes:
        size: bytes.
        seconds: time to parse it.
        processes: how many files are parsed at once.
    """

    size: int = MOST_MB << 20
    seconds: float = PARSE_SECONDS
    processes: int = min(4, os.cpu_count() or 1)


def ingest_files(
    warehouse: Warehouse,
    location: str,
    source: str,
    limits: Limits | None = None,
    access: Sequence[str] | None = None,
) -> IngestReport:
    """Make the documents of `source` those of a folder or bucket.

    New and changed files come in, those that are gone go out. A file that cannot be read is set
    aside with the reason, and what was loaded of it before stays. One whose size, time and parser
    are those of the last load is not read.

    Args:
        warehouse: where the documents go.
        location: a folder, or a URL such as ``s3://bucket/folder``.
        source: the source's name, in front of every document's id.
        limits: what a file may cost.
        access: who may read a file that does not say so itself; see `Load`.

    Raises:
        ConfigurationError: the location or the source's name cannot be used, or files would become
            everyone's that were not.
        WarehouseError: the warehouse cannot be written.
    """
    check_source(source)
    limits = limits or Limits()
    files = list_files(location)
    stored = stored_fingerprints(warehouse, source)
    load = Load(access)
    waiting: list[Found] = []
    for found in files:
        suffix = PurePosixPath(found.name.rstrip("/")).suffix.lower()
        key = f"{source}:{found.name}"
        if suffix not in _KINDS and not found.name.endswith("/"):
            load.ignore(suffix or "no extension")
        elif problem := found.problem or _unusable(found, limits):
            load.refuse(key, problem)
        elif found.state and stored.get(key) == _fingerprint(found, load.readers):
            load.untouched.add(key)
        else:
            waiting.append(found)
    _read_all(load, waiting, source, limits)
    return replace_source(warehouse, source, load)


def _read_all(load: Load, waiting: list[Found], source: str, limits: Limits) -> None:
    with (
        ParserPool(limits.processes, limits.seconds) as parsers,
        ThreadPoolExecutor(limits.processes) as threads,
    ):

        def read(found: Found) -> Document | str:
            # One bad file never stops the load, whatever is wrong with it.
            try:
                return _read(found, source, limits, parsers)
            except Exception as error:
                known = isinstance(error, (ValueError, OSError))
                return str(error) if known else f"{type(error).__name__}: {error}"

        for found, result in zip(waiting, threads.map(read, waiting), strict=True):
            key = f"{source}:{found.name}"
            if isinstance(result, str):
                load.refuse(key, result or "it cannot be read")
                continue
            load.add(result)
            if found.state:
                load.fingerprints[key] = _fingerprint(found, load.readers)


def _read(found: Found, source: str, limits: Limits, parsers: ParserPool) -> Document:
    with found.open() as file:
        data = file.read(limits.size + 1)
    if len(data) > limits.size:
        raise ValueError(_too_large(len(data), limits))
    kind = _kind(found)
    _check_magic(data, kind)
    if kind == "markdown":
        return read_markdown(data, found.name, source, found.modified)
    parsed = Parsed(decode(data)) if kind == "text" else parsers.parse(kind, data)
    return described({}, parsed, found.name, source, found.modified)


def _kind(found: Found) -> str:
    return _KINDS[PurePosixPath(found.name).suffix.lower()]


def _unusable(found: Found, limits: Limits) -> str:
    """Why a file is not even opened; empty where it is."""
    if clean(found.name) != found.name:
        return "its name is no UTF-8: rename it"
    return _too_large(found.size, limits) if found.size > limits.size else ""


def _too_large(size: int, limits: Limits) -> str:
    return (
        f"it has over {size >> 20} MB, and {limits.size >> 20} are read at most: split it, or "
        "raise HEADRACE_MAX_FILE_MB"
    )


def _check_magic(data: bytes, kind: str) -> None:
    """Raise a ValueError where a file begins as another kind of file does."""
    if not data:
        raise ValueError("it is empty")
    # What a disk that filled up or a crash leaves of a file.
    if not data.strip(b"\x00"):
        raise ValueError("it holds nothing but zeros: copy it again")
    holds = next((what for magic, what in _MAGIC.items() if data.startswith(magic)), None)
    own = _OWN_MAGIC.get(kind)
    if own is None and holds is None:
        return
    # Some programs put a line in front of a PDF.
    if own is not None and (data.startswith(own) or (kind == "pdf" and own in data[:1024])):
        return
    raise ValueError(f"it holds {holds or 'something else'}, not {kind}: give it its own extension")


def _fingerprint(found: Found, readers: list[str]) -> str:
    """What a document is made of: the file as it is, what parses it, and who reads its load."""
    kind = _kind(found)
    parts = [kind, _VERSIONS[kind], *(_version(name) for name in _PARSERS.get(kind, ()))]
    whose = [] if readers == [EVERYONE] else [json.dumps(readers)]
    return ":".join([*parts, found.state, *whose])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
