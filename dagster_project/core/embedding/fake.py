"""Vectors that depend on nothing but the text: for tests and benchmarks without a model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from dagster_project.core.embedding.base import Embeddings, unit_length


class FakeEmbedder:
    """A deterministic pseudo-random unit vector a text, without a model."""

    max_tokens = 256

    def __init__(self, dimension: int = 384) -> None:
        """Take the length of the vectors; each length is a model of its own."""
        self.dimension = dimension
        self.model_id = f"fake-{dimension}"

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Words of each text, and two."""
        return [len(text.split()) + 2 for text in texts]

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """A vector seeded by the text's hash."""
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            seed = f"{self.model_id}\n{text}".encode()
            digest = hashlib.shake_256(seed).digest(self.dimension)
            vectors[row] = np.frombuffer(digest, dtype=np.uint8).astype(np.float32) - 127.5
        return Embeddings(unit_length(vectors), np.ones(len(texts), dtype=np.int32))
