"""A BigQuery warehouse: chunks come out as Arrow, by the Storage Read API where it may be used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from dagster_project.core.warehouse.bigquery.operations import BigQueryOperations
from dagster_project.core.warehouse.contract import (
    CHUNK_SCHEMA,
    ID_SCHEMA,
    KEY_SCHEMA,
    GoldQuestion,
    parts,
    slices,
)

# More rows than these are not sorted: BigQuery sorts a result on one machine.
_SORTED_ROWS = 2_000_000


class BigQueryWarehouse(BigQueryOperations):
    """A project of BigQuery that dbt builds `rag__chunks` in; see `Warehouse`."""

    def has_chunks(self) -> bool:
        """Whether dbt has built `rag__chunks`."""
        return self.facts(self.place.project, self.schema, "rag__chunks") is not None

    def batch_range(self) -> tuple[int | None, int | None]:
        """The oldest and the newest batch in `rag__chunks`; None where it has no row."""
        row = self.row(
            f"select min(batch_id) as oldest, max(batch_id) as newest from {self._chunks}"
        )
        return row["oldest"], row["newest"]

    def chunking_policy(self) -> str | None:
        """How the chunks were cut: the same for all of them; None where there is none."""
        if not self.has_chunks():
            return None
        policy: str | None = self.row(
            f"select any_value(chunking_policy) as policy from {self._chunks} where not is_deleted"
        )["policy"]
        return policy

    def count_documents(self) -> int:
        """Documents that are not deleted."""
        return self._count(self._documents, "not is_deleted")

    def count_served_documents(self) -> int:
        """Documents that readers find."""
        return self._count(self._documents, "serving <> 'none'")

    def count_chunks(self) -> int:
        """Chunks that are no tombstones: what the index should hold."""
        return self._count(self._chunks, "not is_deleted")

    def document_issues(self, issue: str) -> list[dict[str, Any]]:
        """The rows of rag__document_issues of one kind, as dicts."""
        return self.rows(
            f"select document_id, title, owner, reason from {self.table('rag__document_issues')} "
            "where issue = @issue order by document_id",
            issue=issue,
        )

    def conflicts(self) -> list[dict[str, Any]]:
        """The rows of rag__conflicts, as dicts; what disagrees first."""
        return self.rows(
            "select kind, document_id, other_document_id, passage, other_passage "
            f"from {self.table('rag__conflicts')} "
            "order by kind, similarity desc, document_id, other_document_id, passage"
        )

    def gold_questions(self) -> list[GoldQuestion]:
        """The questions of all gold sets, in the order of their ids; none where dbt built none."""
        if self.facts(self.place.project, self.schema, "rag__gold_questions") is None:
            return []
        rows = self.rows(
            "select gold_set, question_id, question, doc_type, answers, helps, facts, must_not "
            f"from {self.table('rag__gold_questions')} order by gold_set, question_id"
        )
        lists = ("answers", "helps", "facts", "must_not")
        return [GoldQuestion(**(row | {name: parts(row[name]) for name in lists})) for row in rows]

    def successors(self, document_ids: Sequence[str]) -> dict[str, str]:
        """Those of some documents that were superseded, and what is in force instead of each."""
        rows = self.rows(
            f"select document_id, superseded_by from {self._documents} "
            "where document_id in unnest(@document_ids) and superseded_by is not null",
            document_ids=list(document_ids),
        )
        return {row["document_id"]: row["superseded_by"] for row in rows}

    def document_states(self) -> list[dict[str, Any]]:
        """document_id, lifecycle_state, version_family, superseded_by and serving of all."""
        return self.rows(
            "select document_id, lifecycle_state, version_family, superseded_by, serving "
            f"from {self._documents}"
        )

    def glossary(self) -> list[dict[str, Any]]:
        """The rows of rag__glossary, as dicts."""
        return self.rows(f"select * from {self.table('rag__glossary')}")

    def count_changes(self, after: int, upto: int) -> tuple[int, int]:
        """Chunks, and tombstones, of the batches in (after, upto]."""
        row = self.row(
            "select countif(not is_deleted) as chunks, countif(is_deleted) as tombstones "
            f"from {self._chunks} where batch_id > @after and batch_id <= @upto",
            after=after,
            upto=upto,
        )
        return row["chunks"], row["tombstones"]

    def document_batch(self) -> tuple[int | None, int]:
        """The newest batch of `rag__documents`, and how many documents it wrote."""
        found = self.rows(
            f"select batch_id, count(*) as documents from {self._documents} where batch_id = "
            f"(select max(batch_id) from {self._documents}) group by batch_id"
        )
        return (found[0]["batch_id"], found[0]["documents"]) if found else (None, 0)

    def backlog(self) -> tuple[int, datetime | None]:
        """Documents that changed and wait to be cut, and the oldest change among them, UTC."""
        row = self.row(
            "select count(*) as documents, min(incoming.source_updated_at) as oldest "
            f"from {self.table('rag__incoming')} as incoming "
            f"left join {self._documents} as stored "
            "on incoming.document_id = stored.document_id "
            "where incoming.refused_because is null and (stored.document_id is null "
            "or incoming.source_updated_at > stored.source_updated_at)"
        )
        return row["documents"], row["oldest"]

    def changed_chunks(self, after: int, upto: int, size: int) -> Iterator[pa.Table]:
        """Chunks of the batches in (after, upto] that are no tombstones, `size` rows at a time.

        In the order of content_hash, so that equal texts come together, unless there are over two
        million; the columns are CHUNK_SCHEMA's.
        """
        few = sum(self.count_changes(after, upto)) <= _SORTED_ROWS
        found = self.stream(
            f"select {', '.join(CHUNK_SCHEMA.names)} from {self._chunks} "
            "where not is_deleted and batch_id > @after and batch_id <= @upto"
            + (" order by content_hash, chunk_id" if few else ""),
            CHUNK_SCHEMA,
            after=after,
            upto=upto,
        )
        for table in _gathered(found, size):
            yield from slices(table, size)

    def tombstones(self, after: int, upto: int) -> pa.Table:
        """chunk_id of the chunks that went in the batches in (after, upto]."""
        return self._read(
            "is_deleted and batch_id > @after and batch_id <= @upto",
            ID_SCHEMA,
            after=after,
            upto=upto,
        )

    def chunks_by_id(self, chunk_ids: Sequence[str]) -> pa.Table:
        """The chunks of some ids that are no tombstones."""
        return self._read(
            "not is_deleted and chunk_id in unnest(@chunk_ids)",
            CHUNK_SCHEMA,
            chunk_ids=list(chunk_ids),
        )

    def chunks(self, columns: Sequence[str]) -> pa.Table:
        """Some columns of every chunk that is no tombstone."""
        schema = pa.schema([CHUNK_SCHEMA.field(name) for name in columns])
        return self._read("not is_deleted", schema)

    def changed_keys(self, after: int, upto: int) -> pa.Table:
        """The keys of the chunks of the batches in (after, upto] that are no tombstones."""
        return self._read(
            "not is_deleted and batch_id > @after and batch_id <= @upto",
            KEY_SCHEMA,
            after=after,
            upto=upto,
        )

    def touched_after(self, batch_id: int) -> pa.Table:
        """chunk_id of every chunk and tombstone of the batches after one."""
        return self._read("batch_id > @batch_id", ID_SCHEMA, batch_id=batch_id)

    def batch_facts(self, after: int, upto: int) -> tuple[str | None, datetime | None]:
        """The dbt run that made the batch `upto`, and the newest change in (after, upto]."""
        row = self.row(
            f"select (select any_value(dbt_invocation_id) from {self._documents} "
            "where batch_id = @upto) as run, (select max(source_updated_at) "
            f"from {self._chunks} where batch_id > @after and batch_id <= @upto) as newest",
            after=after,
            upto=upto,
        )
        return row["run"], row["newest"]

    @property
    def _chunks(self) -> str:
        return self.table("rag__chunks")

    @property
    def _documents(self) -> str:
        return self.table("rag__documents")

    def _count(self, table: str, where: str) -> int:
        return int(self.row(f"select countif({where}) as number from {table}")["number"])

    def _read(self, where: str, schema: pa.Schema, **parameters: object) -> pa.Table:
        return self.arrow(
            f"select {', '.join(schema.names)} from {self._chunks} where {where}",
            schema,
            **parameters,
        )


def _gathered(tables: Iterator[pa.Table], size: int) -> Iterator[pa.Table]:
    """The same rows in tables of at least `size` rows, the last one aside."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(each.num_rows for each in waiting) >= size:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)
