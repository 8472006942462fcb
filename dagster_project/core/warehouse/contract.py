"""The shapes that pass between a warehouse and the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa

# The columns of rag__chunks that the index keeps, with their types there.
CHUNK_SCHEMA = pa.schema(
    [
        pa.field("chunk_id", pa.string(), nullable=False),
        pa.field("document_id", pa.string(), nullable=False),
        pa.field("source_name", pa.string(), nullable=False),
        pa.field("doc_type", pa.string(), nullable=False),
        pa.field("title", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("chunk_index", pa.int32(), nullable=False),
        pa.field("section_path", pa.string(), nullable=False),
        pa.field("chunk_text", pa.string(), nullable=False),
        pa.field("header_length", pa.int32(), nullable=False),
        pa.field("content_hash", pa.string(), nullable=False),
        pa.field("approx_tokens", pa.int32(), nullable=False),
        pa.field("payload", pa.string(), nullable=False),
        pa.field("access", pa.list_(pa.string()), nullable=False),
        pa.field("valid_from", pa.date32()),
        pa.field("valid_to", pa.date32()),
        pa.field("lifecycle_state", pa.string(), nullable=False),
        pa.field("is_demoted", pa.bool_(), nullable=False),
        pa.field("source_updated_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("row_hash", pa.string(), nullable=False),
        pa.field("batch_id", pa.int64(), nullable=False),
        pa.field("dbt_invocation_id", pa.string(), nullable=False),
    ]
)
KEY_SCHEMA = pa.schema(
    [CHUNK_SCHEMA.field(name) for name in ("chunk_id", "content_hash", "row_hash")]
)
# The mark of a source of which a batch left changes to the next: a state that no table is in.
MORE = "more"
ID_SCHEMA = pa.schema([CHUNK_SCHEMA.field("chunk_id")])
# The principal that all readers have: a document for everyone names it in its `access`.
EVERYONE = "everyone"
# What a loader gives of a document, in the order of the document contract of the dbt package.
RAW_COLUMNS = (
    "document_id",
    "source_name",
    "doc_type",
    "title",
    "body",
    "url",
    "owner",
    "language",
    "valid_from",
    "valid_to",
    "version_family",
    "version_date",
    "review_by",
    "access",
    "payload",
    "source_updated_at",
)


@dataclass(frozen=True)
class Publication:
    """What readers were shown.

    Attributes:
        batch_id: the newest batch in it.
        published_at: when, UTC.
    """

    batch_id: int
    published_at: datetime


@dataclass(frozen=True)
class SqlAlchemyEngine:
    """How SQLAlchemy opens a warehouse: what `create_engine` takes.

    Attributes:
        url: of the warehouse; it may hold a password.
        arguments: the rest, by name.
    """

    url: str = field(repr=False)
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class SourceTable:
    """A table that dbt reads.

    Attributes:
        unique_id: its id in dbt's manifest.
        schema, identifier: where it is.
        database: the project that holds it; Postgres has one database only.
    """

    unique_id: str
    schema: str
    identifier: str
    database: str = ""


# Between the parts of a text that stands for a list, in gold sets and in what became of them.
BAR = "|"


def parts(text: str) -> tuple[str, ...]:
    """The parts of a text with bars between, white space around them off; empty ones left out."""
    return tuple(part for piece in text.split(BAR) if (part := piece.strip()))


@dataclass(frozen=True)
class Refusal:
    """Something set aside, and why.

    Attributes:
        document_id: the document, or the file's path.
        reason: what is wrong and what to do.
        chunk_id: the chunk, where only a chunk is refused.
    """

    document_id: str
    reason: str
    chunk_id: str = ""


@dataclass(frozen=True)
class GoldQuestion:
    """A question of a gold set, and what must and must not answer it.

    Attributes:
        gold_set: the model or seed that it stands in.
        question_id: its id, unique in its gold set.
        question: what is asked.
        doc_type: the kind of document that should answer.
        answers: ids of the documents that answer it.
        helps: ids of documents that say something of it.
        facts: texts that the first hits must hold.
        must_not: ids of documents that must not be among the first.
    """

    gold_set: str
    question_id: str
    question: str
    doc_type: str
    answers: tuple[str, ...]
    helps: tuple[str, ...]
    facts: tuple[str, ...]
    must_not: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """How a version of the index answered a question of a gold set.

    Attributes:
        generation: the index's table.
        version: its version.
        gold_set, question_id, question, doc_type: as in `GoldQuestion`.
        rank: the place of the first document that answers; None where it is not among the first.
        ndcg_at_10, recall_at_5, recall_at_10, mrr_at_10: from 0 to 1; None where no document is
            named that answers.
        facts: how many facts were sought.
        facts_missing: those that were not found.
        must_not_found: documents among the first that must not be there.
        evaluated_at: when, UTC.
    """

    generation: str
    version: int
    gold_set: str
    question_id: str
    question: str
    doc_type: str
    rank: int | None
    ndcg_at_10: float | None
    recall_at_5: float | None
    recall_at_10: float | None
    mrr_at_10: float | None
    facts: int
    facts_missing: tuple[str, ...]
    must_not_found: tuple[str, ...]
    evaluated_at: datetime


@dataclass(frozen=True)
class LedgerRow:
    """What one sync did to one generation of the index; rows unless said.

    Attributes:
        generation: the index's table.
        batch_id: the newest batch that the index held afterwards.
        after_batch_id: the newest batch that it held before; None where it held none.
        dbt_invocation_id: the dbt run that made the newest batch.
        model_id: the embedding model.
        source_watermark: the newest change of a source row among the rows of the batches, UTC.
        rows_added: chunks of new text.
        rows_changed: chunks whose text replaced another of the same document.
        rows_payload_only: rows described anew; their vectors stayed.
        rows_deleted: rows removed, the replaced ones left out.
        rows_unchanged: rows that the index held already as they are.
        rows_embedded: texts that the model read.
        rows_reused: rows new under their id that took a vector the index had.
        rows_quarantined: rows set aside.
        read_seconds, embed_seconds, write_seconds: time by phase.
        started_at, finished_at: when, UTC.
    """

    generation: str
    batch_id: int
    after_batch_id: int | None
    dbt_invocation_id: str | None
    model_id: str
    source_watermark: datetime | None
    rows_added: int
    rows_changed: int
    rows_payload_only: int
    rows_deleted: int
    rows_unchanged: int
    rows_embedded: int
    rows_reused: int
    rows_quarantined: int
    read_seconds: float
    embed_seconds: float
    write_seconds: float
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True)
class Delivery:
    """A sync that brought the batches in (after_batch_id, batch_id] to a generation of the index.

    Attributes:
        dbt_invocation_id: the dbt run that made `batch_id`.
        started_at: when the sync began, which is when dbt had cut the documents, UTC.
        finished_at: when the last row was written, its vector with it, UTC.
        published_version, published_at: the version that showed it to readers, and since when.
    """

    generation: str
    batch_id: int
    after_batch_id: int | None
    dbt_invocation_id: str | None
    started_at: datetime
    finished_at: datetime
    published_version: int | None
    published_at: datetime | None


@dataclass(frozen=True)
class Trace:
    """The way of a document to the index, as the warehouse has it.

    Attributes:
        document_model: the dbt model that its row is of; None where no model has it any more.
        access: the principals who may read it, as of now.
        source_updated_at: when the newest row joined into it changed, as of now, UTC.
        deliveries: the syncs that were asked for.
    """

    document_model: str | None
    access: tuple[str, ...]
    source_updated_at: datetime
    deliveries: tuple[Delivery, ...]


def slices(table: pa.Table, size: int) -> Iterator[pa.Table]:
    """A table in slices of at most `size` rows."""
    for start in range(0, table.num_rows, size):
        yield table.slice(start, size)
