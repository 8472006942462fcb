"""Words on a page to paragraphs in reading order.

Words close together on a line are a piece. Pieces fall into bands, from the top down; bands that
share an empty strip from top to bottom are columns or a table without lines. Columns are read one
after the other, each by the same rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from dagster_project.core.ingest.documents import table
from dagster_project.core.text import letters

_BULLET = re.compile(r"^(?:[•‣◦▪●○∙·–*-]|\(?\d{1,3}[.)]|[a-z][.)])$")
_STARTS_LIST = re.compile(r"^([•‣◦▪●○∙·–*-]|\(?\d{1,3}[.)])\s+(?=\S)")
_LEVELS = 4


@dataclass(frozen=True)
class Piece:
    """Words of one line, or a whole table; lengths in points, from the top left of the page.

    Attributes:
        text: the words, or the table as Markdown.
        size: of the type; 0 for a table.
        bold: whether all of it is.
    """

    text: str
    x0: float
    x1: float
    top: float
    bottom: float
    size: float
    bold: bool = False

    @property
    def is_table(self) -> bool:
        """Whether it is a table and no words."""
        return self.size == 0


@dataclass(frozen=True)
class Block:
    """A paragraph, a table or a heading.

    Attributes:
        piece: all its text, with the size of its type.
        rows: lines of the page that it has.
        page: where it begins, from 1.
        breaks: for each page that begins within it, the page and the characters before.
    """

    piece: Piece
    rows: int
    page: int
    breaks: tuple[tuple[int, int], ...] = ()


def pieces_of(words: Sequence[Piece]) -> list[Piece]:
    """Words joined to pieces, where less than about a letter's width is between them."""
    pieces: list[Piece] = []
    for row in _rows(words):
        last: Piece | None = None
        for word in row:
            if last is not None and _belongs(last, word):
                last = _join(last, word)
                continue
            if last is not None:
                pieces.append(last)
            last = word
        if last is not None:
            pieces.append(last)
    return pieces


def _belongs(piece: Piece, word: Piece) -> bool:
    gap = word.x0 - piece.x1
    size = max(piece.size, word.size)
    # What stands before an item of a list is far from it and no column.
    return gap < 1.2 * size or (gap < 4 * size and bool(_BULLET.match(piece.text)))


def _join(left: Piece, right: Piece) -> Piece:
    touches = right.x0 - left.x1 < 0.1 * left.size and abs(right.top - left.top) < left.size
    return Piece(
        text=left.text + ("" if touches else " ") + right.text,
        x0=min(left.x0, right.x0),
        x1=max(left.x1, right.x1),
        top=min(left.top, right.top),
        bottom=max(left.bottom, right.bottom),
        size=left.size if len(left.text) >= len(right.text) else right.size,
        bold=left.bold and right.bold,
    )


def _rows(items: Sequence[Piece]) -> list[list[Piece]]:
    """Items on the same height, each row from the left."""
    rows: list[list[Piece]] = []
    middle = float("-inf")
    for item in sorted(items, key=lambda item: (item.top + item.bottom) / 2):
        here = (item.top + item.bottom) / 2
        if rows and here - middle < 0.4 * max(item.size, 4):
            rows[-1].append(item)
        else:
            rows.append([item])
            middle = here
    return [sorted(row, key=lambda item: item.x0) for row in rows]


def flows(items: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Lines in reading order: one list a column, its lines and tables from the top."""
    flow: list[Piece] = []
    for run in _runs(_bands(items)):
        columns = _columns(run)
        if len(columns) > 1 and all(_is_prose(column) for column in columns):
            yield flow
            flow = []
            for column in columns:
                yield from flows(column)
        elif len(columns) > 1 and (grid := _grid(run, columns)):
            flow.append(grid)
        else:
            flow += [_line(row) for row in _rows(run)]
    yield flow


def _line(row: Sequence[Piece]) -> Piece:
    line = row[0]
    for piece in row[1:]:
        line = _join(line, piece)
    return line


def _bands(items: Sequence[Piece]) -> list[list[Piece]]:
    """Items whose heights overlap, from the top."""
    bands: list[list[Piece]] = []
    end = float("-inf")
    for item in sorted(items, key=lambda item: item.top):
        # Lines that are set tight overlap a little.
        slack = 0.15 * item.size
        if bands and item.top + slack < end:
            bands[-1].append(item)
        else:
            bands.append([item])
        end = max(end, item.bottom - slack)
    return bands


def _runs(bands: list[list[Piece]]) -> Iterator[list[Piece]]:
    """Bands joined as long as an empty strip goes through all of them."""
    run: list[Piece] = []
    for band in bands:
        if run and len(_columns(run)) > 1 and len(_columns(run + band)) > 1:
            run = run + band
            continue
        if run:
            yield run
        run = list(band)
    if run:
        yield run


def _columns(items: Sequence[Piece]) -> list[list[Piece]]:
    """Items parted by the empty strips that go from top to bottom, from the left."""
    least = 0.8 * median(item.size or 10 for item in items)
    columns: list[list[Piece]] = []
    end = float("-inf")
    for item in sorted(items, key=lambda item: item.x0):
        if columns and item.x0 - end < least:
            columns[-1].append(item)
        else:
            columns.append([item])
        end = max(end, item.x1)
    return columns


def _is_prose(column: Sequence[Piece]) -> bool:
    lines = [item for item in column if not item.is_table]
    return len(lines) >= 3 and median(len(line.text.split()) for line in lines) >= 3


def _grid(run: Sequence[Piece], columns: list[list[Piece]]) -> Piece | None:
    """A table without lines, where at least three rows fill at least two columns each."""
    place = {id(item): number for number, column in enumerate(columns) for item in column}
    rows: list[list[str]] = []
    for row in _rows(run):
        cells = [""] * len(columns)
        for item in row:
            number = place[id(item)]
            cells[number] = f"{cells[number]} {item.text}".strip()
        if rows and not cells[0]:
            # The second line of a cell.
            rows[-1] = [
                f"{above} {below}".strip() for above, below in zip(rows[-1], cells, strict=True)
            ]
        else:
            rows.append(cells)
    full = sum(1 for row in rows if sum(map(bool, row)) > 1)
    if full < 3 or full < 0.6 * len(rows) or any(item.is_table for item in run):
        return None
    box = _line(list(run))
    return replace(box, text=table(rows), size=0, bold=False)


def blocks(lines: Sequence[Piece], page: int) -> list[Block]:
    """The lines of a column joined to paragraphs."""
    if not lines:
        return []
    gaps = [
        below.top - above.bottom
        for above, below in pairwise(lines)
        if not (above.is_table or below.is_table) and abs(above.size - below.size) < 0.6
    ]
    usual = median(gaps) if gaps else 0.0
    right = max(line.x1 for line in lines)
    made = [Block(lines[0], 1, page)]
    for above, below in pairwise(lines):
        if _goes_on(above, below, usual, right):
            last = made[-1]
            text = _hyphenated(last.piece.text, below.text)
            made[-1] = replace(
                last,
                piece=replace(
                    last.piece, text=text, bottom=below.bottom, bold=last.piece.bold and below.bold
                ),
                rows=last.rows + 1,
            )
        else:
            made.append(Block(below, 1, page))
    return made


def _goes_on(above: Piece, below: Piece, usual: float, right: float) -> bool:
    """Whether a line belongs to the paragraph of the line above it."""
    if above.is_table or below.is_table or abs(above.size - below.size) > 0.6:
        return False
    if above.bold != below.bold and above.x1 < 0.9 * right:
        return False
    if below.top - above.bottom > max(0.35 * below.size, 1.4 * usual) + 0.1:
        return False
    if _STARTS_LIST.match(below.text):
        return False
    return not (above.x1 < 0.8 * right and above.text.endswith((".", "!", "?")))


def _hyphenated(above: str, below: str) -> str:
    """Two lines as one text; a word parted at the end of the first is whole again."""
    if re.search(r"[^\W\d]-$", above) and below[:1].islower():
        return above[:-1] + below
    return f"{above} {below}"


def joined_over_pages(parts: Sequence[Block]) -> list[Block]:
    """Blocks, where a paragraph that the end of a page or column cuts is one again."""
    made: list[Block] = []
    for block in parts:
        last = made[-1] if made else None
        if last is None or not _is_cut(last.piece, block.piece):
            made.append(block)
            continue
        text = _hyphenated(last.piece.text, block.piece.text)
        breaks = last.breaks
        if block.page != (breaks[-1][0] if breaks else last.page):
            breaks = (*breaks, (block.page, letters(text) - letters(block.piece.text)))
        made[-1] = replace(
            last, piece=replace(last.piece, text=text), rows=last.rows + block.rows, breaks=breaks
        )
    return made


def _is_cut(above: Piece, below: Piece) -> bool:
    return (
        not (above.is_table or below.is_table)
        and abs(above.size - below.size) < 0.6
        and above.bold == below.bold
        and not above.text.endswith((".", "!", "?", ":"))
        and below.text[:1].islower()
    )


class Headings:
    """Which sizes of type are headings, and of which level."""

    def __init__(self, parts: Sequence[Block]) -> None:
        """Take all blocks of a document: what most characters are set in is the text."""
        weights: dict[float, int] = {}
        for block in parts:
            if not block.piece.is_table:
                size = _rounded(block.piece.size)
                weights[size] = weights.get(size, 0) + len(block.piece.text)
        self.text_size = max(weights, key=lambda size: weights[size]) if weights else 0.0
        self._sizes = sorted(
            {_rounded(block.piece.size) for block in parts if self._is_large(block)}, reverse=True
        )

    def _is_large(self, block: Block) -> bool:
        piece = block.piece
        return (
            piece.size > 1.12 * self.text_size
            and block.rows <= 3
            and len(piece.text) <= 200
            and any(map(str.isalpha, piece.text))
        )

    def level(self, block: Block) -> int | None:
        """The level of a heading, from 1; None for any other block."""
        piece = block.piece
        if piece.is_table:
            return None
        if self._is_large(block):
            return min(self._sizes.index(_rounded(piece.size)) + 1, _LEVELS)
        stands_out = piece.bold and block.rows == 1 and len(piece.text) <= 100
        if (
            stands_out
            and piece.size > 0.98 * self.text_size
            and not piece.text.endswith(tuple(".,;:"))
        ):
            return min(len(self._sizes) + 1, _LEVELS)
        return None


def _rounded(size: float) -> float:
    return round(2 * size) / 2


def markdown(block: Block, level: int | None) -> str:
    """A block as Markdown."""
    text = block.piece.text
    if block.piece.is_table:
        return text
    if level is not None:
        return "#" * level + " " + text
    if found := _STARTS_LIST.match(text):
        mark = found.group(1)
        number = re.sub(r"\D", "", mark)
        return f"{number}. {text[found.end() :]}" if number else f"- {text[found.end() :]}"
    # Words that happen to begin as a heading, a quotation or a table does.
    return "\\" + text if text[:1] in {"#", ">", "|"} else text
