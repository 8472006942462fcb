"""A Word document as Markdown."""

from __future__ import annotations

import io
import zipfile

import mammoth  # type: ignore[import-untyped]
from bs4 import BeautifulSoup

from dagster_project.core.ingest.archive import Limits, check_archive
from dagster_project.core.ingest.documents import Parsed
from dagster_project.core.ingest.formats.html import to_markdown

_LIMITS = Limits(entries=5_000, size=300_000_000, ratio=200)
_STYLES = "p[style-name='Title'] => h1:fresh\np[style-name='Subtitle'] => p:fresh"


def parse_docx(data: bytes) -> Parsed:
    """Headings, lists, tables and text; what stands in page headers and footers is left out.

    Raises:
        ValueError: the file is no Word document, is damaged, or unpacks to too much.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile as error:
        raise ValueError("it is cut off or damaged: save it again") from error
    with archive:
        check_archive(archive, _LIMITS)
        if "word/document.xml" not in archive.namelist():
            raise ValueError("it is a zip, but no Word document: give it its own extension")
        _check_xml(archive)
        archive.testzip()
    converted = mammoth.convert_to_html(
        io.BytesIO(data),
        style_map=_STYLES,
        convert_image=mammoth.images.img_element(lambda _: {}),
        external_file_access=False,
    )
    body = to_markdown(BeautifulSoup(converted.value, "html.parser"))
    if not body:
        raise ValueError("it has no text")
    return Parsed(body)


def _check_xml(archive: zipfile.ZipFile) -> None:
    """Word declares no document type; entities that stand for gigabytes need one."""
    for name in archive.namelist():
        if name.endswith((".xml", ".rels")) and b"<!DOCTYPE" in archive.read(name):
            raise ValueError(
                f"{name} in it declares a document type: save it with a word processor"
            )
