"""The ways of running all-MiniLM-L6-v2 that benchmarks/embedding.py compares."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from chunkers import ROOT
from safetensors.numpy import load

from dagster_project.core.embedding import Embedder, load_embedder
from dagster_project.core.embedding.base import unit_length
from dagster_project.core.embedding.minilm import MINILM, MINILM_INT8, minilm_weights
from dagster_project.core.embedding.minilm_graph import encoder_graph
from dagster_project.core.embedding.minilm_onnx import MiniLmOnnxEmbedder
from dagster_project.core.embedding.sentence_transformer import SentenceTransformerEmbedder

Encode = Callable[[list[str]], np.ndarray]
"""Texts that the model reads whole to unit vectors, shape (texts, 384)."""

REFERENCE = "SentenceTransformer.encode"
TORCH = "Headrace, torch"
ONNX = "Headrace, onnx (default)"
INT8 = "Headrace, onnx-int8"
_PYTHON = ROOT / ".venv-bench-embedding" / "bin" / "python"


def variants(folder: Path) -> tuple[dict[str, Encode], SentenceTransformerEmbedder]:
    """Name to function; and the embedder of torch, whose vectors are the reference.

    Args:
        folder: for the files that OpenVINO reads; it must outlive the functions.
    """
    reference = load_embedder(MINILM, "torch")
    onnx = load_embedder(MINILM)
    assert isinstance(reference, SentenceTransformerEmbedder)
    assert isinstance(onnx, MiniLmOnnxEmbedder)
    plain = reference._model

    def of(model: torch.nn.Module, **arguments: int) -> Encode:
        def encode(texts: list[str]) -> np.ndarray:
            found: np.ndarray = model.encode(texts, normalize_embeddings=True, **arguments)
            return found

        return encode

    def ours(embedder: Embedder) -> Encode:
        return lambda texts: embedder.embed(texts).vectors

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch means to move it elsewhere
        eight_bit = torch.ao.quantization.quantize_dynamic(
            copy.deepcopy(plain), {torch.nn.Linear}, dtype=torch.qint8
        )
    found = {
        REFERENCE: of(plain),
        "encode, batches of 128": of(plain, batch_size=128),
        "encode, bfloat16": of(copy.deepcopy(plain).bfloat16()),
        "encode, torch int8": of(eight_bit),
        TORCH: ours(reference),
        ONNX: ours(onnx),
        INT8: ours(load_embedder(MINILM_INT8)),
    }
    if _PYTHON.exists():
        weights = load(minilm_weights())
        (folder / "encoder.onnx").write_bytes(encoder_graph(weights, int8=False))
        np.save(folder / "words.npy", onnx._words)
        np.save(folder / "places.npy", onnx._places)
        found["OpenVINO, f32"] = _openvino(folder, "f32", onnx)
    return found, reference


def _openvino(folder: Path, precision: str, onnx: MiniLmOnnxEmbedder) -> Encode:
    peer = subprocess.Popen(
        [_PYTHON, ROOT / "benchmarks" / "openvino_peer.py", folder, precision],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def encode(texts: list[str]) -> np.ndarray:
        assert peer.stdin is not None and peer.stdout is not None
        # The tokens are counted in: every variant starts from texts.
        tokens = [each.ids for each in onnx._tokenizer.encode_batch(texts)]
        peer.stdin.write(json.dumps(tokens) + "\n")
        peer.stdin.flush()
        answer = peer.stdout.readline().strip()
        return unit_length(np.load(answer))

    return encode


STARTS = {
    REFERENCE: (
        "from sentence_transformers import SentenceTransformer;"
        "from dagster_project.core.embedding.minilm import minilm_directory;"
        "SentenceTransformer(str(minilm_directory())).encode(['a question'])"
    ),
    **{
        name: (
            "from dagster_project.core.embedding import load_embedder;"
            f"load_embedder({model!r}, {backend!r}).embed(['a question'])"
        )
        for name, model, backend in (
            (TORCH, MINILM, "torch"),
            (ONNX, MINILM, "onnx"),
            (INT8, MINILM_INT8, "onnx"),
        )
    },
}


def start(name: str) -> None:
    """Run a Python that loads a variant and embeds one question."""
    subprocess.run([sys.executable, "-c", STARTS[name]], check=True, capture_output=True, cwd=ROOT)
