"""Our side: an index of the benchmark's rows, asked through `Retriever.search`."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import psycopg
import pyarrow as pa
from numpy.typing import NDArray
from retrieval_data import READER
from retrieval_load import Ask

from dagster_project.core.build import Headrace
from dagster_project.core.embedding import Embedder, Embeddings
from dagster_project.core.embedding.minilm import MINILM
from dagster_project.core.retrieval import Filters, Retriever
from dagster_project.core.settings import PACKAGE_PROJECT, Settings
from dagster_project.core.warehouse import CHUNK_SCHEMA

# The batch that the rows are loaded as; what is synced while readers search follows it.
FIRST_BATCH = 1
# Of a text that is edited: the model reads it whole.
_CHARACTERS = 600


class Known:
    """A model that has read the questions before: what is measured then is the search alone."""

    def __init__(self, model: Embedder, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Take the model and the vectors of the questions."""
        self._model = model
        self._vectors = vectors
        self.model_id = model.model_id
        self.dimension = model.dimension
        self.max_tokens = model.max_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See `Embedder`."""
        return self._model.count_tokens(texts)

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """See `Embedder`; the texts are questions that are known."""
        vectors = np.stack([self._vectors[text] for text in texts])
        return Embeddings(vectors, np.ones(len(texts), np.int32))


class Ours:
    """A store with one published generation."""

    def __init__(self, home: Path, warehouse_url: str, model: Embedder) -> None:
        """Make the empty table."""
        shutil.rmtree(home, ignore_errors=True)
        self.settings = Settings(
            home=home,
            dbt_project=PACKAGE_PROJECT,
            postgres_url=warehouse_url,
            schema="headrace",
            lancedb_uri=str(home / "lancedb"),
            model=MINILM,
        )
        self.headrace = Headrace(self.settings)
        self._model = model
        store = self.headrace.store
        self._generation = store.begin(MINILM, model.model_id, model.dimension, "bench")
        self.table = store.index(self._generation)
        self.table.create(model.dimension)

    def add(self, rows: pa.Table) -> None:
        """Append rows."""
        self.table.add(rows)

    def index(self) -> dict[str, float]:
        """Make the indices and publish, as a first load does; its seconds."""
        started = time.perf_counter()
        with self.table.writer():
            self.table.extend_indices()
            self.table.set_mark(FIRST_BATCH)
            self.table.publish()
        self.headrace.store.promote(self._generation.name)
        return {"all": round(time.perf_counter() - started, 1)}

    def retriever(self, model: Embedder) -> Retriever:
        """A reader's, with a model for the questions."""
        headrace = Headrace(self.settings)
        headrace._embedders[MINILM] = model
        return Retriever(headrace, READER)

    def asks(self, retriever: Retriever, questions: Sequence[str], filters: Filters) -> Ask:
        """What a thread asks with; all share the retriever."""
        return lambda turn: retriever.search(questions[turn % len(questions)], 10, filters)

    def near(
        self, retriever: Retriever, vector: NDArray[np.float32], filters: Filters
    ) -> list[str]:
        """The ids that the search for meaning gives to the fusion, nearest first."""
        snapshot = retriever._opened.current()
        conditions = retriever._conditions(filters)
        rows = snapshot.by_meaning(vector, conditions, ["chunk_id"], retriever.ranking.depth)
        return [row["chunk_id"] for row in rows]


def changing(settings: Settings, rows: int, begun: Event, stop: Event) -> None:
    """What a process of its own does while readers search: batches of edits, until it is stopped.

    Each batch gives other texts to so many rows. What dbt would write is written by SQL; it is
    embedded by the real model, synced and published by the real code.
    """
    headrace = Headrace(settings)
    columns = CHUNK_SCHEMA.names
    table = headrace.live_index.live()
    some = table.search().select(columns).limit(rows).to_arrow().to_pylist()
    insert = (
        f"insert into headrace.rag__chunks ({', '.join(columns)}, chunking_policy, is_deleted) "
        f"values ({', '.join(['%s'] * len(columns))}, 'bench', false)"
    ).encode()
    texts = [row["chunk_text"][:_CHARACTERS] for row in some]
    with psycopg.connect(headrace.postgres_url) as connection, connection.cursor() as cursor:
        # A row of the batch that the index holds: what follows it is read, and no more.
        cursor.execute("delete from headrace.rag__chunks")
        cursor.execute(insert, list(some[0].values()))
        batch = FIRST_BATCH
        while not stop.is_set():
            batch += 1
            cursor.execute(
                "update headrace.rag__chunks set is_deleted = true, batch_id = %s "
                "where not is_deleted and batch_id > %s",
                (batch, FIRST_BATCH),
            )
            for number, row in enumerate(some):
                row["chunk_text"] = f"{texts[number]} Revision {batch}."
                row["chunk_id"] = f"edit-{number}-{batch}"
                row["content_hash"] = f"edit-{number}-{batch}"
                row["batch_id"] = batch
            cursor.executemany(insert, [list(row.values()) for row in some])
            connection.commit()
            headrace.sync()
            headrace.publish()
            begun.set()


def tidying(settings: Settings, begun: Event, stop: Event) -> None:
    """The same for `headrace maintain`, over and over."""
    headrace = Headrace(settings)
    begun.set()
    while not stop.is_set():
        headrace.maintain(timedelta(hours=1))
