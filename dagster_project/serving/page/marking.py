"""A text as a person reads it: in blocks, with what was asked for marked.

Marked are the words of the question, and the other names of its terms that the glossary asked by.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_WORDS = re.compile(r"[^\W_]+")
_BLANK_LINES = re.compile(r"(\n(?:[ \t]*\n)+)")
_FENCE = re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE)
# Lines of Markdown whose ends mean something: lists, quotes, headings, code.
_KEPT_LINES = re.compile(r"^(?: {4}|\t|\s*(?:[-*+>#]|\d+[.)])\s)", re.MULTILINE)
_ENDINGS = ("ing", "ies", "ied", "es", "ed", "ly", "s", "y", "e")
# Stems this short would stand for words that have nothing in common.
_SHORTEST = 3
# Words of nearly every text, which a search by words leaves out, and those that make a question.
_UNMARKED = frozenset(
    """
    a about am an and any are as at be been but by can could did do does for from get had has have
    how i if in into is it its me my no not of on or our shall should so such than that the their
    them then there these they this to too us was we were what when where which who whom whose why
    will with would you your
    """.split()
)


@dataclass(frozen=True)
class Piece:
    """A piece of a text; `kind` is `word`, `name`, or empty where it is not marked."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class Block:
    """A block of a text; `kind` is `flow`, `heading`, `table`, `lines`, or empty between blocks."""

    kind: str
    pieces: list[Piece]


class Marker:
    """Marks what a question asked for, whatever the words' endings."""

    def __init__(self, question: str, names: Iterable[str] = ()) -> None:
        """Take the question and the other names of its terms."""
        self._words = {
            _stem(word)
            for word in _WORDS.findall(question)
            # The s of "customer's" is no word of its own.
            if word.lower() not in _UNMARKED and (len(word) > 1 or word.isdigit())
        }
        stems = {tuple(map(_stem, _WORDS.findall(name))) for name in names}
        self._names = sorted(filter(None, stems), key=len, reverse=True)

    def blocks(self, text: str) -> list[Block]:
        """A text in Markdown in blocks which, joined, are the text."""
        found: list[Block] = []
        is_fenced = False
        for number, part in enumerate(_BLANK_LINES.split(text)):
            fences = len(_FENCE.findall(part))
            kind = "lines" if is_fenced or fences else _kind(part)
            is_fenced = is_fenced != bool(fences % 2)
            if part:
                found.append(Block("" if number % 2 else kind, self.pieces(part)))
        return found

    def pieces(self, text: str) -> list[Piece]:
        """The text in pieces which, joined, are the text."""
        places = list(_WORDS.finditer(text))
        stems = [_stem(place[0]) for place in places]
        found: list[Piece] = []
        done = at = 0
        while at < len(places):
            words, kind = self._mark(stems, at)
            if kind:
                start, end = places[at].start(), places[at + words - 1].end()
                found += [Piece(text[done:start]), Piece(text[start:end], kind)]
                done = end
            at += words
        return [piece for piece in [*found, Piece(text[done:])] if piece.text]

    def _mark(self, stems: list[str], at: int) -> tuple[int, str]:
        """How many words from one on belong together, and how they are marked."""
        for name in self._names:
            if tuple(stems[at : at + len(name)]) == name:
                return len(name), "name"
        return 1, "word" if stems[at] in self._words else ""


def _kind(block: str) -> str:
    if block.startswith("|"):
        return "table"
    if block.startswith("#") and "\n" not in block:
        return "heading"
    return "lines" if _KEPT_LINES.search(block) else "flow"


def _stem(word: str) -> str:
    """What words have in common that differ by their ending: refund, refunds, refunded.

    It marks and finds nothing, so it may be rough; the search has a stemmer of its own.
    """
    stem = word.lower()
    for ending in _ENDINGS:
        if stem.endswith(ending) and len(stem) - len(ending) >= _SHORTEST:
            stem = stem[: -len(ending)]
            break
    # cancel, cancelled, cancelling
    return stem[:-1] if len(stem) > _SHORTEST and stem[-1] == stem[-2] else stem
