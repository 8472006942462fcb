"""Where a document in the index comes from: chunk, document model, dbt run, source row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster_project.core.errors import HeadraceError
from dagster_project.core.index import Generation
from dagster_project.core.retrieval.principals import Principals
from dagster_project.core.warehouse import Delivery, Trace

if TYPE_CHECKING:
    from dagster_project.core.build import Headrace

LINEAGE_COLUMNS = (
    "chunk_id",
    "document_id",
    "doc_type",
    "source_name",
    "title",
    "chunk_index",
    "section_path",
    "chunk_text",
    "header_length",
    "content_hash",
    "approx_tokens",
    "lifecycle_state",
    "source_updated_at",
    "batch_id",
    "dbt_invocation_id",
    "indexed_at",
)
# Numbers of batches are the clock in milliseconds, at least; one below this is no such clock.
_FIRST_CLOCK = 10**12


@dataclass(frozen=True)
class DbtRun:
    """A dbt run that made texts.

    Attributes:
        invocation_id: dbt's id of it.
        batch_id: its batch; None where the ledger does not say.
        ran_at: when it numbered its batch, UTC: the number is the clock, unless that was set back.
    """

    invocation_id: str
    batch_id: int | None
    ran_at: datetime | None


@dataclass(frozen=True)
class ChunkLineage:
    """A chunk in the index.

    Attributes:
        chunk_index: its place in the document, from 0.
        text: the chunk without its header.
        content_hash: of exactly what is embedded.
        approx_tokens: a bound of its tokens.
        run: the dbt run that made its text.
        indexed_at: when its vector was written, UTC.
    """

    chunk_id: str
    chunk_index: int
    section_path: str
    text: str
    content_hash: str
    approx_tokens: int
    run: DbtRun
    indexed_at: datetime


@dataclass(frozen=True)
class Lineage:
    """The way of a document from its source rows to the version that readers see.

    Attributes:
        source_updated_at: when the newest row joined into it changed, as the index has it, UTC.
        batch_id: the batch that wrote its rows last.
        generation: the index's table.
        version: the version that is read.
        model_id: the embedding model.
        chunks: its chunks, in their order.
        document_model: the dbt model that its row is of.
        source_tables: what that model reads, by dbt's last parse of the project.
        delivery: the sync that brought `batch_id` to the index.
        waits_since: when a newer change happened that readers do not see yet, UTC.
        problem: why what the warehouse knows is missing: the five before are empty then.
    """

    document_id: str
    doc_type: str
    source_name: str
    title: str
    lifecycle_state: str
    source_updated_at: datetime
    batch_id: int
    generation: str
    version: int
    model_id: str
    chunks: tuple[ChunkLineage, ...]
    document_model: str | None = None
    source_tables: tuple[str, ...] = ()
    delivery: Delivery | None = None
    waits_since: datetime | None = None
    problem: str = ""

    @property
    def seconds_to_readers(self) -> float | None:
        """From the change of the newest row until readers saw it; None where nobody knows."""
        seen = self.delivery.published_at if self.delivery else None
        return None if seen is None else (seen - self.source_updated_at).total_seconds()


def trace_document(
    headrace: Headrace,
    generation: Generation,
    version: int,
    rows: Sequence[Mapping[str, Any]],
    principals: Principals,
) -> Lineage | None:
    """The lineage of a document from its rows of the index, and from the warehouse if it answers.

    Args:
        headrace: whose warehouse and dbt project these are.
        generation: of which the rows are.
        version: of that.
        rows: of one document, one or more, with `LINEAGE_COLUMNS`.
        principals: the reader's. None is returned where the warehouse has it that the reader may no
            longer read the document: it hears of that before the index does.
    """
    rows = sorted(rows, key=lambda row: int(row["chunk_index"]))
    first, batch_id = rows[0], max(row["batch_id"] for row in rows)
    runs = list(dict.fromkeys(row["dbt_invocation_id"] for row in rows))
    found, problem = _asked(headrace, first["document_id"], generation.name, batch_id, runs)
    if found is not None and not principals.may_read(found.access):
        return None
    by_run = {run: _run(run, found) for run in runs}
    model = found.document_model if found else None
    read_at, now = first["source_updated_at"], found.source_updated_at if found else None
    return Lineage(
        document_id=first["document_id"],
        doc_type=first["doc_type"],
        source_name=first["source_name"],
        title=first["title"],
        lifecycle_state=first["lifecycle_state"],
        source_updated_at=read_at,
        batch_id=batch_id,
        generation=generation.name,
        version=version,
        model_id=generation.model_id,
        chunks=tuple(
            ChunkLineage(
                chunk_id=row["chunk_id"],
                chunk_index=row["chunk_index"],
                section_path=row["section_path"],
                text=row["chunk_text"][row["header_length"] :],
                content_hash=row["content_hash"],
                approx_tokens=row["approx_tokens"],
                run=by_run[row["dbt_invocation_id"]],
                indexed_at=row["indexed_at"],
            )
            for row in rows
        ),
        document_model=model,
        source_tables=_source_tables(headrace, model) if model else (),
        delivery=_delivery(found, generation.name, batch_id),
        waits_since=now if now is not None and now > read_at else None,
        problem=problem,
    )


def _asked(
    headrace: Headrace, document_id: str, generation: str, batch_id: int, runs: Sequence[str]
) -> tuple[Trace | None, str]:
    """What the warehouse says, and why it says nothing."""
    try:
        found = headrace.warehouse.trace(document_id, generation, batch_id, runs)
    except HeadraceError as error:
        # An embedded server that was restarted meanwhile has another address.
        headrace.reconnect()
        return None, str(error)
    if found is None:
        return None, (
            f"The warehouse has no document {document_id} in rag__documents: it was built anew "
            "since, or the index is of another warehouse. `headrace verify` compares them."
        )
    return found, ""


def _run(invocation_id: str, found: Trace | None) -> DbtRun:
    batches = [
        delivery.batch_id
        for delivery in (found.deliveries if found else ())
        if delivery.dbt_invocation_id == invocation_id
    ]
    batch_id = min(batches, default=None)
    return DbtRun(invocation_id, batch_id, None if batch_id is None else _clock(batch_id))


def _clock(batch_id: int) -> datetime | None:
    if batch_id < _FIRST_CLOCK:
        return None
    return datetime.fromtimestamp(batch_id / 1000, timezone.utc)


def _delivery(found: Trace | None, generation: str, batch_id: int) -> Delivery | None:
    for delivery in found.deliveries if found else ():
        after = -1 if delivery.after_batch_id is None else delivery.after_batch_id
        if delivery.generation == generation and after < batch_id <= delivery.batch_id:
            return delivery
    return None


def _source_tables(headrace: Headrace, model: str) -> tuple[str, ...]:
    """The source tables above a model; none where dbt has not read the project in this home."""
    path = headrace.dbt.target / "manifest.json"
    try:
        sources, parents = _graph(path, path.stat().st_mtime_ns)
    except (OSError, ValueError, KeyError):
        return ()
    waiting = [key for key in parents if key.startswith("model.") and key.endswith(f".{model}")]
    seen: set[str] = set()
    while waiting:
        key = waiting.pop()
        if key not in seen:
            seen.add(key)
            waiting.extend(parents.get(key, ()))
    return tuple(sorted(sources[key] for key in seen if key in sources))


@lru_cache(maxsize=2)
def _graph(path: Path, _: int) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The tables of a manifest by id, and the parents of each node; read once for each parse."""
    manifest = json.loads(path.read_text())
    tables = {
        key: f"{source['schema']}.{source['identifier']}"
        for key, source in manifest["sources"].items()
    }
    return tables, manifest["parent_map"]
