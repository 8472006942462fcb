"""A PDF as Markdown, with the place in it where each page begins."""

from __future__ import annotations

import io
import logging
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pdfplumber
from pdfminer.ascii85 import ascii85decode
from pdfminer.pdfdocument import PDFPasswordIncorrect
from pdfminer.pdfparser import PDFSyntaxError
from pdfminer.pdftypes import LITERALS_ASCII85_DECODE, LITERALS_FLATE_DECODE, stream_value
from pdfplumber.page import Page
from pdfplumber.utils.exceptions import PdfminerException

from dagster_project.core.ingest.documents import Parsed, table
from dagster_project.core.ingest.formats.layout import (
    Headings,
    Piece,
    blocks,
    flows,
    joined_over_pages,
    markdown,
    pieces_of,
)
from dagster_project.core.text import letters

# Where running headers and footers stand, as a part of the page's height.
_MARGIN = 0.12
_PAGE_NUMBER = re.compile(r"^\W*(?:page|seite|p\.)?\s*\d+(?:\s*(?:/|of|von)\s*\d+)?\W*$", re.I)
_NAMELESS = re.compile(r"\(cid:\d+\)")
_NO_TITLE = re.compile(r"untitled|anonymous|microsoft word|\.(?:docx?|pdf|tex|indd)$", re.I)


def parse_pdf(data: bytes) -> Parsed:
    """Text in reading order, headings by the size of their type, tables; no running headers.

    Raises:
        ValueError: the file is encrypted, damaged or cut off, or is a scan without text.
    """
    if b"%%EOF" not in data[-2048:]:
        raise ValueError("its end is missing: copy the file again")
    try:
        with _losses_noticed(), pdfplumber.open(io.BytesIO(data)) as document:
            for page in document.pages:
                _check_whole(page)
            pages = [_pieces(page) for page in document.pages]
            heights = [float(page.height) for page in document.pages]
            scanned = [
                number
                for number, page in enumerate(document.pages, start=1)
                if not pages[number - 1] and page.images
            ]
            title = _title(document.metadata)
    except PdfminerException as error:
        cause = error.args[0] if error.args else error
        if isinstance(cause, (MemoryError, RecursionError)):
            raise cause from error
        raise ValueError(_reason(cause)) from error
    except (PDFPasswordIncorrect, PDFSyntaxError) as error:
        raise ValueError(_reason(error)) from error
    if not any(pages):
        raise ValueError(
            "it has no text, only pictures of pages: run a text recognition (OCR) over it first"
            if scanned
            else "it has no text"
        )
    if _is_unreadable(pages):
        raise ValueError("its letters have no names, only shapes: run a text recognition over it")
    body, starts = _document(_without_furniture(pages, heights))
    if not body:
        raise ValueError("it has no text but what repeats on every page")
    return Parsed(body, title, None, starts, scanned)


def _reason(error: object) -> str:
    if isinstance(error, PDFPasswordIncorrect):
        return "it is encrypted: save it without a password"
    return f"it is damaged ({error}): save it again"


@contextmanager
def _losses_noticed() -> Iterator[None]:
    """What the parser cannot unpack it leaves out, and says so in its log alone."""
    lost: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "Data-loss" in record.getMessage():
                lost.append(record.getMessage())

    listener = Listener()
    logger = logging.getLogger("pdfminer")
    logger.addHandler(listener)
    try:
        yield
    finally:
        logger.removeHandler(listener)
    if lost:
        raise ValueError("it is damaged: a part of its text cannot be unpacked: save it again")


def _check_whole(page: Page) -> None:
    """Raise a ValueError where the end of a page's text is missing: the parser says nothing."""
    for number in page.page_obj.contents:
        stream = stream_value(number)
        data = stream.get_rawdata() if stream.decipher is None else None
        for name, _ in stream.get_filters() if data else ():
            if name in LITERALS_ASCII85_DECODE:
                data = ascii85decode(data or b"")
                continue
            if name in LITERALS_FLATE_DECODE and not _inflates(data or b""):
                raise ValueError(
                    f"it is damaged: a part of page {page.page_number} is missing: copy it again"
                )
            break


def _inflates(data: bytes) -> bool:
    """Whether compressed data has an end; the checksum behind it is often left out."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    waiting, made = data[2:], b"-"
    try:
        while (waiting or made) and not inflater.eof:
            made = inflater.decompress(waiting, 1 << 20)
            waiting = inflater.unconsumed_tail
    except zlib.error:
        return False
    return inflater.eof


def _pieces(page: Page) -> list[Piece]:
    """The words and the ruled tables of a page."""
    found = [
        (ruled, rows)
        for ruled in page.find_tables()
        if len(rows := ruled.extract()) > 1 and len(rows[0]) > 1
    ]
    tables = [
        Piece(table([[cell or "" for cell in row] for row in rows]), *_box(ruled.bbox), size=0)
        for ruled, rows in found
    ]
    words = [
        Piece(
            # A letter that the font has no name for; alone it is the mark of a list.
            text=_NAMELESS.sub("•", word["text"]),
            x0=word["x0"],
            x1=word["x1"],
            top=word["top"],
            bottom=word["bottom"],
            size=max(word["size"], 1.0),
            bold=bool(re.search("bold|black|heavy", word["fontname"], re.I)),
        )
        for word in page.extract_words(extra_attrs=["size", "fontname"])
    ]
    outside = [word for word in words if not any(_is_in(word, area) for area in tables)]
    pieces = pieces_of(outside) + tables
    page.close()
    return pieces


def _is_unreadable(pages: list[list[Piece]]) -> bool:
    text = "".join(piece.text for pieces in pages for piece in pieces)
    return text.count("•") > 0.2 * letters(text)


def _box(bbox: Sequence[float]) -> tuple[float, float, float, float]:
    x0, top, x1, bottom = bbox
    return x0, x1, top, bottom


def _is_in(word: Piece, area: Piece) -> bool:
    middle = (word.top + word.bottom) / 2
    center = (word.x0 + word.x1) / 2
    return area.x0 <= center <= area.x1 and area.top <= middle <= area.bottom


def _title(metadata: dict[str, Any]) -> str | None:
    title = metadata.get("Title")
    if not isinstance(title, str) or not title.strip() or _NO_TITLE.search(title):
        return None
    return " ".join(title.split())


def _without_furniture(pages: list[list[Piece]], heights: list[float]) -> list[list[Piece]]:
    """The pages without what stands at the same place of many: headers, footers, page numbers."""
    sizes: Counter[float] = Counter()
    for piece in (piece for pieces in pages for piece in pieces if not piece.is_table):
        sizes[round(piece.size, 1)] += len(piece.text)
    usual = max(sizes, key=lambda size: sizes[size], default=0.0)
    marginal = [
        [piece for piece in pieces if _is_marginal(piece, height, usual)]
        for pieces, height in zip(pages, heights, strict=True)
    ]
    seen = Counter(
        mark
        for number, pieces in enumerate(marginal, start=1)
        for mark in {mark for piece in pieces for mark in _marks(piece, number)}
    )
    enough = max(2, len(pages) / 3)
    running = {
        id(piece)
        for number, pieces in enumerate(marginal, start=1)
        for piece in pieces
        if _PAGE_NUMBER.match(piece.text)
        or any(seen[mark] >= enough for mark in _marks(piece, number))
    }
    return [[piece for piece in pieces if id(piece) not in running] for pieces in pages]


def _is_marginal(piece: Piece, height: float, usual: float) -> bool:
    """Whether a piece may be a running header: what is set larger than the text is a heading."""
    return (
        not piece.is_table
        and piece.size < 1.05 * usual
        and (piece.bottom < _MARGIN * height or piece.top > (1 - _MARGIN) * height)
    )


def _marks(piece: Piece, page: int) -> set[tuple[str, int]]:
    """What a running header has in common on all pages: its text, but for the page's number."""
    counted = re.sub(r"\d+", lambda found: f"#{int(found.group()) - page}", piece.text)
    place = round(piece.top / 4)
    return {(piece.text, place), (counted, place)}


def _document(pages: list[list[Piece]]) -> tuple[str, list[int]]:
    """The body, and for each page the characters before it, white space left out."""
    parts = [
        block
        for number, pieces in enumerate(pages, start=1)
        for flow in flows(pieces)
        for block in blocks(flow, number)
    ]
    parts = joined_over_pages(parts)
    headings = Headings(parts)
    texts: list[str] = []
    starts: dict[int, int] = {}
    before = 0
    for block in parts:
        text = markdown(block, headings.level(block))
        starts.setdefault(block.page, before)
        # What Markdown puts in front of the words moves the breaks within them.
        shift = letters(text) - letters(block.piece.text)
        for page, offset in block.breaks:
            starts.setdefault(page, before + offset + shift)
        before += letters(text)
        texts.append(text)
    return _spaced(texts), _every_page(starts, len(pages), before)


def _spaced(texts: Sequence[str]) -> str:
    """Blocks with an empty line between them, but for the items of a list."""
    is_item = [bool(re.match(r"- |\d+\. ", text)) for text in texts]
    parts = [
        ("\n" if number and is_item[number] and is_item[number - 1] else "\n\n") + text
        for number, text in enumerate(texts)
    ]
    return "".join(parts).strip()


def _every_page(starts: dict[int, int], pages: int, total: int) -> list[int]:
    """A start for pages without text too: where the next page begins."""
    filled: list[int] = []
    following = total
    for page in range(pages, 0, -1):
        following = starts.get(page, following)
        filled.append(following)
    return filled[::-1]
