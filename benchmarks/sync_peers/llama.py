"""LlamaIndex: an ingestion pipeline with upserts and deletes, LanceDB as the vector store."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import lancedb
import psycopg
from common import StoredRow, embed, read_documents
from llama_index.core import Document
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.node_parser import TextSplitter
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.vector_stores.lancedb import LanceDBVectorStore

# The default of 10 texts a call would count calls rather than work.
BATCH = 256


class Paragraphs(TextSplitter):  # type: ignore[misc]
    """A node a paragraph."""

    def split_text(self, text: str) -> list[str]:
        """Paragraphs of a body."""
        return text.split("\n\n")


class FakeEmbedding(BaseEmbedding):  # type: ignore[misc]
    """The plain function as LlamaIndex wants it."""

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return embed(texts).tolist()  # type: ignore[no-any-return]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


class MendedStore(LanceDBVectorStore):  # type: ignore[misc]
    """The store with the quotes of its delete mended.

    Since lancedb 0.38 what stands in double quotes is a column, so that the released one fails:
    https://github.com/run-llama/llama_index/pull/23087.
    """

    def delete(self, ref_doc_id: str, **delete_kwargs: object) -> None:
        """Delete the nodes of a document."""
        self.table.delete(f"{self.doc_id_key} = '{ref_doc_id}'")


class LlamaIndex:
    """`IngestionPipeline.run` over every document, the document store kept on disk."""

    def __init__(self, url: str, folder: Path, mode: str) -> None:
        """Open the database and the store."""
        self.uri = str(folder / "lancedb")
        self.documents = str(folder / "docstore.json")
        self.connection = psycopg.connect(url, autocommit=True)
        store = MendedStore if mode == "mended" else LanceDBVectorStore
        # Its cache knows a whole set of documents only, and would be written out at every run.
        self.pipeline = IngestionPipeline(
            transformations=[
                Paragraphs(include_prev_next_rel=False),
                FakeEmbedding(model_name="fake", embed_batch_size=BATCH),
            ],
            vector_store=store(uri=self.uri, table_name="chunks"),
            docstore=SimpleDocumentStore(),
            docstore_strategy=DocstoreStrategy.UPSERTS_AND_DELETE,
            disable_cache=True,
        )

    def prepare(self) -> None:
        """Nothing."""

    def run(self) -> dict[str, float]:
        """Read the documents, run the pipeline, keep what it knows."""
        documents = [
            Document(
                id_=document.document_id,
                text=document.body,
                metadata={
                    "title": document.title,
                    "status": document.status,
                    "priority": document.priority,
                },
                # So that the title and the paragraph are embedded, as with the others.
                excluded_embed_metadata_keys=["status", "priority"],
                metadata_template="{value}",
                text_template="{metadata_str}\n\n{content}",
            )
            for document in read_documents(self.connection)
        ]
        self.pipeline.run(documents=documents)
        self.pipeline.docstore.persist(self.documents)
        return {}

    def rows(self) -> Iterable[StoredRow]:
        """What is in the table."""
        table = lancedb.connect(self.uri).open_table("chunks").to_arrow()
        for row in table.to_pylist():
            told = row["metadata"]
            text = f"{told['title']}\n\n{row['text']}"
            yield StoredRow(row["doc_id"], text, told["status"], told["priority"], row["vector"])
