"""LangChain: `index()` with a record manager in SQLite and LanceDB as the vector store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import lancedb
import psycopg
from common import TABLE, SourceDocument, StoredRow, embed, read_documents
from langchain_classic.indexes import SQLRecordManager
from langchain_community.vectorstores import LanceDB
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.indexing import index

BATCH = 100


class FakeEmbeddings(Embeddings):  # type: ignore[misc]
    """The plain function as LangChain wants it."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors of texts."""
        return embed(texts).tolist()  # type: ignore[no-any-return]

    def embed_query(self, text: str) -> list[float]:
        """The vector of a text."""
        return self.embed_documents([text])[0]


class LangChain:
    """`index()` over every document in mode "full" or "incremental".

    "watermark" hands the incremental mode only what changed since the run before, by `updated_at`:
    LangChain keeps no such mark, so its user does.
    """

    def __init__(self, url: str, folder: Path, mode: str) -> None:
        """Open the database, the record manager and the store."""
        self.mode = mode
        self.uri = str(folder / "lancedb")
        self.connection = psycopg.connect(url, autocommit=True)
        # With "overwrite", the default, each batch of documents would replace the one before.
        self.store = LanceDB(
            embedding=FakeEmbeddings(), uri=self.uri, table_name="chunks", mode="append"
        )
        self.records = SQLRecordManager(
            "lancedb/chunks", db_url=f"sqlite:///{folder / 'records.sqlite'}"
        )
        self.records.create_schema()
        self.seen = datetime.min

    def prepare(self) -> None:
        """Nothing."""

    def run(self) -> dict[str, float]:
        """Read and index the documents."""
        done: dict[str, Any] = index(
            self._documents(),
            self.records,
            self.store,
            batch_size=BATCH,
            cleanup="full" if self.mode == "full" else "incremental",
            source_id_key="document_id",
            key_encoder="blake2b",
        )
        return {name: float(number) for name, number in done.items()}

    def _documents(self) -> Iterator[Document]:
        if self.mode != "watermark":
            documents = read_documents(self.connection)
        else:
            newest = self.connection.execute(
                f"select max(updated_at) from {TABLE}".encode()
            ).fetchone()
            documents = read_documents(self.connection, "updated_at > %s", self.seen)
            self.seen = newest[0] if newest else self.seen
        for document in documents:
            yield from _chunks(document)

    def rows(self) -> Iterable[StoredRow]:
        """What is in the table."""
        table = lancedb.connect(self.uri).open_table("chunks").to_arrow()
        for row in table.to_pylist():
            told = row["metadata"]
            yield StoredRow(
                told["document_id"], row["text"], told["status"], told["priority"], row["vector"]
            )


def _chunks(document: SourceDocument) -> Iterator[Document]:
    for position, text in enumerate(document.texts()):
        yield Document(
            page_content=text,
            metadata={
                "document_id": document.document_id,
                "position": position,
                "status": document.status,
                "priority": document.priority,
            },
        )
