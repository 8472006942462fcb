"""A text longer than the model reads is cut into windows, and their vectors are averaged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dagster_project.core.embedding.base import Embeddings, unit_length


def windows(
    text: str, offsets: Sequence[tuple[int, int]], words: Sequence[int | None], room: int
) -> list[str]:
    """Stretches of ``text`` of at most ``room`` tokens each, all of it together.

    Args:
        text: what is cut.
        offsets: where each token starts and ends, in characters, special tokens left out.
        words: the word that each token is of.
        room: tokens of one window, at least 1.
    """
    parts: list[str] = []
    start = 0
    while start < len(offsets):
        end = min(start + room, len(offsets))
        if end < len(offsets):
            # Half a word alone may be more tokens than it was, and the model would cut those off.
            whole = end
            while whole > start and words[whole] == words[whole - 1]:
                whole -= 1
            end = whole if whole > start else end
        parts.append(text[offsets[start][0] : offsets[end - 1][1]])
        start = end
    return parts


def average(vectors: NDArray[np.float32], counts: Sequence[int]) -> Embeddings:
    """One vector a text from one a window.

    Args:
        vectors: shape (windows, dimension), the windows of a text one after the other.
        counts: windows of each text, at least 1; shape (texts,).
    """
    if not counts:
        return Embeddings(vectors, np.empty(0, dtype=np.int32))
    starts = np.cumsum([0, *counts[:-1]])
    pooled = np.add.reduceat(vectors, starts, axis=0)
    return Embeddings(unit_length(pooled), np.asarray(counts, dtype=np.int32))
