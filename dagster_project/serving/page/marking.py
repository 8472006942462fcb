"""Marks in a text: the words of the question, and the other names that the glossary asked by."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_WORDS = re.compile(r"[^\W_]+")
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
