"""Rows for the benchmark of speed, of any number, made of real chunks and their real vectors.

The first rows are the chunks themselves. Every other row joins two of the same collection: the
first half of the one's sentences and the second half of the other's. Its vector is the sum of both
vectors and a little noise, brought to length 1. The model takes the mean over a text's tokens, so
that is near to what it would say; `likeness` measures how near. All of it follows from the seed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dagster_project.core.embedding import Embedder
from dagster_project.core.index import index_schema
from dagster_project.core.retrieval import Filters, Principals
from dagster_project.core.warehouse import EVERYONE

SEED = 20_261_126
# Standard deviation of the noise in each dimension, against a sum of two vectors of length 1.
NOISE = 0.01
KINDS = 100
# One row in ten is for others than the reader.
READABLE = 0.9
READER = Principals.of("role:support")
ONE_IN_A_HUNDRED = Filters(doc_types=["kind-07"])
BLOCK = 50_000
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Corpus:
    """Real chunks.

    Attributes:
        titles, texts: of each; the text without its header.
        vectors: float32, shape (chunks, dimension), of length 1.
        collections: for each chunk, which one it is of; shape (chunks,).
    """

    titles: list[str]
    texts: list[str]
    vectors: NDArray[np.float32]
    collections: NDArray[np.int64]

    @classmethod
    def of(cls, tables: Sequence[pa.Table]) -> Corpus:
        """The rows of several indexes, each a collection."""
        rows = pa.concat_tables(
            [table.select(["title", "chunk_text", "header_length", "vector"]) for table in tables]
        )
        return cls(
            titles=rows["title"].to_pylist(),
            texts=[
                text[length:]
                for text, length in zip(
                    rows["chunk_text"].to_pylist(), rows["header_length"].to_pylist(), strict=True
                )
            ],
            vectors=vectors_of(rows),
            collections=np.repeat(np.arange(len(tables)), [len(table) for table in tables]),
        )


def vectors_of(rows: pa.Table) -> NDArray[np.float32]:
    """The vectors of rows of the index; shape (rows, dimension)."""
    flat = rows["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors: NDArray[np.float32] = flat.reshape(rows.num_rows, -1)
    return vectors


def blocks(corpus: Corpus, rows: int) -> Iterator[pa.Table]:
    """The first so many rows, in the index's schema, some at a time."""
    halves = [_halves(text) for text in corpus.texts]
    members = [np.flatnonzero(corpus.collections == one) for one in np.unique(corpus.collections)]
    for start in range(0, rows, BLOCK):
        numbers = np.arange(start, min(start + BLOCK, rows))
        rng = np.random.default_rng([SEED, start])
        first = numbers % len(corpus.texts)
        second = np.empty_like(first)
        for own in members:
            here = np.isin(first, own)
            second[here] = rng.choice(own, here.sum())
        is_real = numbers < len(corpus.texts)
        second[is_real] = first[is_real]
        vectors = corpus.vectors[first] + corpus.vectors[second]
        noise = NOISE * rng.standard_normal(vectors.shape, np.float32)
        vectors += np.where(is_real[:, np.newaxis], 0, noise)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        texts = [f"{halves[one][0]} {halves[other][1]}" for one, other in zip(first, second)]  # noqa: B905
        titles = [corpus.titles[one] for one in first]
        kinds = rng.integers(KINDS, size=len(numbers))
        readable = rng.random(len(numbers)) < READABLE
        yield _table(numbers, titles, texts, kinds, readable, vectors.astype(np.float32))


def _halves(text: str) -> tuple[str, str]:
    sentences = _SENTENCE.split(text)
    middle = (len(sentences) + 1) // 2
    return " ".join(sentences[:middle]), " ".join(sentences[middle:])


def _table(
    numbers: NDArray[np.int64],
    titles: list[str],
    texts: list[str],
    kinds: NDArray[np.int64],
    readable: NDArray[np.bool_],
    vectors: NDArray[np.float32],
) -> pa.Table:
    count = len(numbers)
    chunk_texts = [f"{title}\n\n{text}" for title, text in zip(titles, texts, strict=True)]
    columns = {
        "chunk_id": [hashlib.md5(b"%d" % number).hexdigest() for number in numbers],
        "document_id": [f"doc-{number // 4:07}" for number in numbers],
        "source_name": ["bench"] * count,
        "doc_type": [f"kind-{kind:02}" for kind in kinds],
        "title": titles,
        "url": [None] * count,
        "chunk_index": numbers % 4,
        "section_path": titles,
        "chunk_text": chunk_texts,
        "header_length": [len(title) + 2 for title in titles],
        "content_hash": [hashlib.md5(text.encode()).hexdigest() for text in chunk_texts],
        "approx_tokens": [len(text) // 4 for text in chunk_texts],
        "payload": [f'{{"number": {number}}}' for number in numbers],
        "access": [[EVERYONE] if is_open else ["role:board"] for is_open in readable],
        "valid_from": [None] * count,
        "valid_to": [None] * count,
        "lifecycle_state": ["active"] * count,
        "is_demoted": [False] * count,
        "source_updated_at": [_NOW] * count,
        "row_hash": ["row"] * count,
        "batch_id": [1] * count,
        "dbt_invocation_id": ["bench"] * count,
        "vector": pa.FixedSizeListArray.from_arrays(vectors.reshape(-1), vectors.shape[1]),
        "windows": [1] * count,
        "model_id": ["all-MiniLM-L6-v2"] * count,
        "indexed_at": [_NOW] * count,
    }
    schema = index_schema(vectors.shape[1])
    return pa.table(
        {name: pa.array(columns[name], schema.field(name).type) for name in schema.names}, schema
    )


class Nearest:
    """The exact ten nearest of what a reader may read, found block by block."""

    def __init__(self, asked: NDArray[np.float32], filters: Filters, k: int = 10) -> None:
        """Take the questions' vectors, shape (questions, dimension), and what narrows them."""
        self._asked = asked
        self._kinds = list(filters.doc_types)
        self._scores = np.full((len(asked), k), -np.inf, np.float32)
        self._ids = np.full((len(asked), k), "", "U32")

    def see(self, rows: pa.Table) -> None:
        """Look at more rows."""
        keep = np.array([READER.may_read(access) for access in rows["access"].to_pylist()])
        if self._kinds:
            keep &= np.isin(np.array(rows["doc_type"].to_pylist()), self._kinds)
        ids = np.array(rows["chunk_id"].to_pylist())[keep]
        scores = self._asked @ vectors_of(rows)[keep].T
        k = min(self._scores.shape[1], scores.shape[1])
        new = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        scores = np.hstack([self._scores, np.take_along_axis(scores, new, axis=1)])
        known = np.hstack([self._ids, ids[new]])
        best = np.argsort(-scores, axis=1)[:, : self._scores.shape[1]]
        self._scores = np.take_along_axis(scores, best, axis=1)
        self._ids = np.take_along_axis(known, best, axis=1)

    def recall(self, found: Sequence[Sequence[str]]) -> float:
        """The share of the nearest that are among the first of what was found, of all questions."""
        k = self._ids.shape[1]
        pairs = zip(self._ids, found, strict=True)
        return float(np.mean([len({*wanted} & {*ids[:k]}) / k for wanted, ids in pairs]))


def likeness(corpus: Corpus, model: Embedder, rows: int = 200) -> float:
    """The mean cosine of made vectors with those that the model has for the made texts."""
    count = len(corpus.texts)
    made = pa.concat_tables(blocks(corpus, count + rows)).slice(count)
    true = model.embed(made["chunk_text"].to_pylist()).vectors
    return float((vectors_of(made) * true).sum(axis=1).mean())
