"""Small edits to a text, as somebody makes who goes back to it."""

from __future__ import annotations

import random
import re

# A whole number of one to three digits that is neither part of a code, a date, a time, a version or
# an amount, nor the number of a list item.
_NUMBER = re.compile(r"(?<![\w.,:/#$`-])(?<!\A)\d{1,3}(?![\w.,:/`%-]|\)\s)")
_FROZEN = re.compile(r"\s*(#|```|\||\d+\.\s|>|- \*\*TW-|    )")


def change_number(text: str, rng: random.Random) -> str | None:
    """``text`` with one number in its prose raised or lowered, or None where it has none."""
    places: list[tuple[int, int]] = []
    start, fenced = 0, False
    for line in text.splitlines(keepends=True):
        fence = line.lstrip().startswith("```")
        if not fenced and not _FROZEN.match(line):
            found = _NUMBER.finditer(line)
            places += [(start + match.start(), start + match.end()) for match in found]
        fenced ^= fence
        start += len(line)
    if not places:
        return None
    begin, end = rng.choice(places)
    old = int(text[begin:end])
    new = max(1, old + rng.choice((-1, 1)) * max(1, old // rng.choice((4, 6, 10))))
    return f"{text[:begin]}{new if new != old else old + 1}{text[end:]}"


def put_note(body: str, note: str, rng: random.Random) -> str:
    """``body`` (Markdown) with ``note`` as a paragraph at the end of one of its sections.

    The note begins with a bold ``**Label:**``. Where the section ends with a note of that label
    already, it is replaced: a document that is edited for ever must not grow for ever.
    """
    label = note[: note.index(":**")]
    sections = re.split(r"(?m)^(?=##? )", body)
    number = rng.randrange(len(sections))
    paragraphs = sections[number].rstrip().split("\n\n")
    if paragraphs[-1].startswith(label):
        paragraphs.pop()
    sections[number] = "\n\n".join([*paragraphs, note]) + "\n\n"
    return "".join(sections).rstrip() + "\n"
