"""What the sync and the search ask of an embedding model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Embeddings:
    """Vectors of some texts.

    Attributes:
        vectors: float32, shape (texts, dimension), each of length 1.
        windows: how many stretches of the text were embedded and averaged; 1 where the model read
            the text whole. Shape (texts,).
    """

    vectors: NDArray[np.float32]
    windows: NDArray[np.int32]


class Embedder(Protocol):
    """A model that gives every text a vector of one fixed dimension."""

    @property
    def model_id(self) -> str:
        """The name that every vector of this model carries."""

    @property
    def dimension(self) -> int:
        """The length of a vector."""

    @property
    def max_tokens(self) -> int:
        """Tokens the model reads of one text, its special tokens included."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text by the model's own tokenizer, special tokens included."""

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """The vectors of ``texts``, in their order."""


def unit_length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row divided by its Euclidean length; a row of zeros stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = np.divide(vectors, lengths, out=vectors.copy(), where=lengths > 0)
    return scaled
