"""Texts to vectors: one protocol, a file a variant."""

from __future__ import annotations

import re

from dagster_project.core.embedding.base import Embedder, Embeddings
from dagster_project.core.embedding.fake import FakeEmbedder

__all__ = ["Embedder", "Embeddings", "FakeEmbedder", "load_embedder"]


def load_embedder(model: str) -> Embedder:
    """The embedder of a model name: ``all-MiniLM-L6-v2`` (from its wheel) or any other.

    ``fake`` and ``fake-64``, of any dimension, need no model and know no meaning.

    Raises:
        ConfigurationError: the model cannot be found, or its file is not the one expected.
    """
    if fake := re.fullmatch(r"fake(?:-([1-9]\d*))?", model):
        return FakeEmbedder(int(fake[1] or 384))
    # Imported here: torch takes seconds, and a status or a parse needs none of it.
    from dagster_project.core.embedding.sentence_transformer import SentenceTransformerEmbedder

    return SentenceTransformerEmbedder(model)
