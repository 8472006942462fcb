"""Texts to vectors: one protocol, a file a variant."""

from __future__ import annotations

import re

from dagster_project.core.embedding.base import Embedder, Embeddings
from dagster_project.core.embedding.fake import FakeEmbedder
from dagster_project.core.embedding.minilm import MINILM, MINILM_INT8

__all__ = ["Embedder", "Embeddings", "FakeEmbedder", "load_embedder"]


def load_embedder(model: str, backend: str = "onnx") -> Embedder:
    """The embedder of a model name: ``all-MiniLM-L6-v2`` (from its wheel) or any other.

    ``fake`` and ``fake-64``, of any dimension, need no model and know no meaning.

    Args:
        model: the name; with ``@onnx-int8`` it says how its vectors are made, whatever ``backend``.
        backend: what runs all-MiniLM-L6-v2, ``onnx`` or ``torch``: its vectors are the same.

    Raises:
        ConfigurationError: the model cannot be found, or its file is not the one expected.
    """
    if fake := re.fullmatch(r"fake(?:-([1-9]\d*))?", model):
        return FakeEmbedder(int(fake[1] or 384))
    name = model.removeprefix("sentence-transformers/")
    # Imported here: a status or a parse needs none of it, and torch takes seconds.
    if name == MINILM_INT8 or (name == MINILM and backend != "torch"):
        from dagster_project.core.embedding.minilm_onnx import MiniLmOnnxEmbedder

        return MiniLmOnnxEmbedder(int8=name == MINILM_INT8)
    from dagster_project.core.embedding.sentence_transformer import SentenceTransformerEmbedder

    return SentenceTransformerEmbedder(model)
