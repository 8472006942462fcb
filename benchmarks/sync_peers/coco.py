"""cocoindex: its Postgres source, a memoized function a document, its LanceDB target."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import asyncpg
import cocoindex as coco
import lancedb as plain_lancedb
import numpy as np
from cocoindex.connectors import lancedb, postgres
from cocoindex.resources.schema import VectorSchema
from common import DIMENSION, SourceDocument, StoredRow, embed
from numpy.typing import NDArray

LANCE = coco.ContextKey[lancedb.LanceAsyncConnection]("lance")
SOURCE = coco.ContextKey[asyncpg.Pool]("source")
# Its own embedders batch so, 64 texts a call; a larger batch is no slower with a fake model.
BATCH = 256


@dataclass
class Row:
    """A row of the LanceDB table."""

    id: str
    document_id: str
    position: int
    text: str
    status: str
    priority: str
    vector: Annotated[NDArray[np.float32], VectorSchema(np.dtype(np.float32), DIMENSION)]


@coco.fn.as_async(batching=True, max_batch_size=BATCH)  # type: ignore[untyped-decorator]
def embed_batch(texts: list[str]) -> list[NDArray[np.float32]]:
    """Vectors of texts that were asked for at the same time."""
    return list(embed(texts))


@coco.fn(memo=True, version=1, logic_tracking="self")  # type: ignore[untyped-decorator]
async def embed_text(text: str) -> NDArray[np.float32]:
    """The vector of a text, remembered: as cocoindex's own embedders do."""
    vector: NDArray[np.float32] = await embed_batch(text)
    return vector


@coco.fn(memo=True)  # type: ignore[untyped-decorator]
async def process_document(document: SourceDocument, table: lancedb.TableTarget[Row]) -> None:
    """Declare the rows of a document."""
    texts = document.texts()
    made = await asyncio.gather(*map(embed_text, texts))
    for position, (text, vector) in enumerate(zip(texts, made, strict=True)):
        table.declare_row(
            row=Row(
                id=f"{document.document_id}/{position}",
                document_id=document.document_id,
                position=position,
                text=text,
                status=document.status,
                priority=document.priority,
                vector=vector,
            )
        )


@coco.fn  # type: ignore[untyped-decorator]
async def app_main() -> None:
    """The source, a component a document, the target."""
    table = await lancedb.mount_table_target(
        LANCE, "chunks", await lancedb.TableSchema.from_class(Row, primary_key=["id"])
    )
    source = postgres.PgTableSource(
        coco.use_context(SOURCE),
        table_name="documents",
        pg_schema_name="app",
        row_type=SourceDocument,
    )
    rows = source.fetch_rows().items(lambda document: document.document_id)
    await coco.mount_each(process_document, rows, table)


class Cocoindex:
    """An app that is updated when it is told to."""

    def __init__(self, url: str, folder: Path, mode: str) -> None:
        """Open its state and both ends."""
        self.uri = str(folder / "lancedb")

        async def lifespan(builder: coco.EnvironmentBuilder) -> AsyncIterator[None]:
            builder.settings.db_path = folder / "cocoindex.db"
            async with asyncpg.create_pool(url) as pool:
                builder.provide(SOURCE, pool)
                builder.provide(LANCE, await lancedb.connect_async(self.uri))
                yield

        coco.lifespan(lifespan)
        self.app = coco.App(coco.AppConfig(name="documents"), app_main)
        coco.start_blocking()

    def prepare(self) -> None:
        """Nothing."""

    def run(self) -> dict[str, float]:
        """Update the app."""
        self.app.update_blocking()
        return {}

    def rows(self) -> Iterable[StoredRow]:
        """What is in the table."""
        table = plain_lancedb.connect(self.uri).open_table("chunks").to_arrow()
        for row in table.to_pylist():
            yield StoredRow(
                row["document_id"], row["text"], row["status"], row["priority"], row["vector"]
            )
