"""What Headrace asks of a warehouse, whichever it is.

Every method raises a WarehouseError where the warehouse does not answer or lacks a table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa

from dagster_project.core.warehouse.contract import (
    Answer,
    GoldQuestion,
    LedgerRow,
    Publication,
    Refusal,
    SourceTable,
    SqlAlchemyEngine,
    Trace,
)


class Locks(Protocol):
    """One process at a time."""

    def lock(self, name: str, wait_seconds: float) -> AbstractContextManager[None]:
        """Hold a lock that one process at a time has; it ends with the process."""

    def presence(self, name: str) -> AbstractContextManager[None]:
        """Show that a process lives, to whoever asks `is_locked`; several may at once."""

    def is_locked(self, name: str) -> bool:
        """Whether a process holds a lock."""


class Chunks(Protocol):
    """What dbt made: batches are its runs, and (after, upto] is a span of them."""

    schema: str

    def engine(self) -> SqlAlchemyEngine:
        """How SQLAlchemy, and so Great Expectations, opens the warehouse."""

    def ask(self, query: str, seconds: int) -> tuple[tuple[str, ...], tuple[tuple[Any, ...], ...]]:
        """The columns and rows of a query of somebody else's, which may only read.

        Args:
            query: one SELECT in the warehouse's SQL.
            seconds: how long it may take.
        """

    def has_chunks(self) -> bool:
        """Whether dbt has built `rag__chunks`."""

    def batch_range(self) -> tuple[int | None, int | None]:
        """The oldest and the newest batch in `rag__chunks`; None where it has no row."""

    def chunking_policy(self) -> str | None:
        """How the chunks were cut: the same for all of them; None where there is none."""

    def count_documents(self) -> int:
        """Documents that are not deleted."""

    def count_served_documents(self) -> int:
        """Documents that readers find."""

    def count_chunks(self) -> int:
        """Chunks that are no tombstones: what the index should hold."""

    def count_changes(self, after: int, upto: int) -> tuple[int, int]:
        """Chunks, and tombstones, of the batches in (after, upto]."""

    def document_batch(self) -> tuple[int | None, int]:
        """The newest batch of `rag__documents`, and how many documents it wrote."""

    def document_issues(self, issue: str) -> list[dict[str, Any]]:
        """The rows of rag__document_issues of one kind, as dicts."""

    def conflicts(self) -> list[dict[str, Any]]:
        """The rows of rag__conflicts, as dicts; what disagrees first."""

    def gold_questions(self) -> list[GoldQuestion]:
        """The questions of all gold sets, in the order of their ids; none where dbt built none."""

    def successors(self, document_ids: Sequence[str]) -> dict[str, str]:
        """Those of some documents that were superseded, and what is in force instead of each."""

    def document_states(self) -> list[dict[str, Any]]:
        """document_id, lifecycle_state, version_family, superseded_by and serving of all."""

    def glossary(self) -> list[dict[str, Any]]:
        """The rows of rag__glossary, as dicts."""

    def backlog(self) -> tuple[int, datetime | None]:
        """Documents that changed and wait to be cut, and the oldest change among them, UTC."""

    def changed_chunks(self, after: int, upto: int, size: int) -> Iterator[pa.Table]:
        """Chunks of the batches in (after, upto] that are no tombstones, `size` rows at a time.

        In the order of content_hash, so that equal texts come together; the columns are
        CHUNK_SCHEMA's.
        """

    def tombstones(self, after: int, upto: int) -> pa.Table:
        """chunk_id of the chunks that went in the batches in (after, upto]."""

    def chunks_by_id(self, chunk_ids: Sequence[str]) -> pa.Table:
        """The chunks of some ids that are no tombstones."""

    def chunks(self, columns: Sequence[str]) -> pa.Table:
        """Some columns of every chunk that is no tombstone."""

    def changed_keys(self, after: int, upto: int) -> pa.Table:
        """The keys of the chunks of the batches in (after, upto] that are no tombstones."""

    def touched_after(self, batch_id: int) -> pa.Table:
        """chunk_id of every chunk and tombstone of the batches after one."""

    def batch_facts(self, after: int, upto: int) -> tuple[str | None, datetime | None]:
        """The dbt run that made the batch `upto`, and the newest change in (after, upto]."""


class Operations(Protocol):
    """What Headrace itself keeps in the warehouse, in the schema `headrace_ops`."""

    def prepare(self) -> None:
        """Create the tables that Headrace itself writes, where they are missing."""

    def set_aside(self, found_in: str, refusals: Sequence[Refusal], model_id: str = "") -> None:
        """Write refusals to the quarantine; one that is there already keeps its place."""

    def release(self, chunk_ids: Sequence[str], model_id: str) -> None:
        """Take chunks out of the quarantine: `model_id` embeds them after all, or they went."""

    def quarantined_chunks(self, model_id: str) -> set[str]:
        """Chunks that `model_id` could not embed; they go out when their chunk is deleted."""

    def write_ledger(self, row: LedgerRow) -> None:
        """Keep what a sync did; what mends a batch later is added to its row."""

    def ledger_published(
        self, generation: str, version: int, check_seconds: float, publish_seconds: float
    ) -> None:
        """Note on every row that readers did not see yet which version shows it to them."""

    def last_publication(self, generation: str) -> Publication | None:
        """What readers of a generation were shown last; None where nothing ever."""

    def source_states(self, tables: Sequence[SourceTable], *, full: bool) -> dict[str, str]:
        """The state of each source table, by its id; it is another once a row is written.

        A state is what a look costs nothing to see and, after a bar, what the rows themselves say
        where they were read: of what is small or cheap always, of all where `full`. A table that is
        missing has no state.
        """

    def write_read_marks(self, marks: Mapping[str, str]) -> None:
        """Note the states that a batch begins to read."""

    def mark_seen(self, sources: Sequence[str]) -> None:
        """What the last batch of some sources began to read is what readers see now."""

    def marks(self) -> dict[str, tuple[str, str | None]]:
        """The state of each source that a batch read last, and that readers saw last, if any."""

    def changed_since(self, sources: Sequence[str]) -> datetime | None:
        """The time after which a change of some sources may not have been read by any batch, UTC.

        None where a batch compares all dates: where that is cheap, and where the last batch was
        cut, failed, or was none.
        """

    def write_published(self, generation: str, after: int, upto: int) -> None:
        """Note when each document of the batches in (after, upto] was changed, cut and seen.

        A change that is older than the publication before by a quarter of an hour came with a first
        load, a rebuild or the clock: it says nothing of how fast the pipeline is.
        """

    def lag(self, minutes: int) -> list[dict[str, Any]]:
        """Lags in seconds of what was published in the last `minutes`, by source; first loads out.

        Each row has source_name, documents, p50, p95 and max.
        """

    def trace(
        self, document_id: str, generation: str, batch_id: int, runs: Sequence[str]
    ) -> Trace | None:
        """How a document came to the index; None where the warehouse has no such document.

        Args:
            document_id: the document.
            generation: the index's table.
            batch_id: a batch of its chunks, for the sync that brought it to the generation.
            runs: dbt runs, for the syncs of what they made, to whatever generation.
        """

    def forget_published(self, days: int) -> None:
        """Drop what was noted of documents that were published more than `days` ago."""

    def write_answers(self, answers: Sequence[Answer]) -> None:
        """Keep how a version answered its gold sets; what was kept of it before goes."""

    def answers(self, versions: int) -> list[Answer]:
        """How the last `versions` that were asked answered, the one asked last at the end."""

    def forget_answers(self, days: int) -> None:
        """Drop how versions answered that were asked more than `days` ago."""

    def documents_per_second(self) -> float | None:
        """Documents that the batches of the last hour brought to readers, by second of their work.

        None where there was none: nothing is known of how fast the next would be.
        """

    def stored_fingerprints(self, source: str) -> dict[str, str]:
        """What each document of a source was made of, where that was noted."""

    def raw_documents(self, source: str) -> dict[str, tuple[Any, ...]]:
        """The documents of a source as they are stored: RAW_COLUMNS, by document_id."""

    def write_raw(
        self,
        source: str,
        documents: Sequence[tuple[Any, ...]],
        fingerprints: Mapping[str, str | None],
        gone: Sequence[str],
        refused: Sequence[Refusal],
    ) -> None:
        """Write documents of a source, take others out, and note what was refused instead.

        Args:
            source: the source's name.
            documents: those that are new or others now, RAW_COLUMNS each.
            fingerprints: what each document was made of, by document_id, these and the rest.
            gone: ids of those to take out.
            refused: what could not be read, one a document, in place of the last load's.
        """


class Warehouse(Locks, Chunks, Operations, Protocol):
    """A warehouse that dbt builds `rag__chunks` in."""
