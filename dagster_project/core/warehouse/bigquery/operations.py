"""What Headrace itself keeps in BigQuery: quarantine, ledger, marks, freshness, raw documents.

A batch's few rows are written by DML, which has no daily limit; what may be thousands of rows goes
through a load job into a table of its own and from there by one MERGE. Rows are never streamed in:
DML cannot touch them for up to ninety minutes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any

from google.cloud import bigquery

from dagster_project.core.profile import BigQueryPlace
from dagster_project.core.warehouse.bigquery.client import BigQueryClient
from dagster_project.core.warehouse.bigquery.locks import FolderLocks
from dagster_project.core.warehouse.bigquery.tables import OPS, TABLES, columns
from dagster_project.core.warehouse.contract import (
    BAR,
    MORE,
    RAW_COLUMNS,
    Answer,
    Delivery,
    LedgerRow,
    Publication,
    Refusal,
    SourceTable,
    Trace,
    parts,
)

_RAW_DOCUMENTS = "source.headrace.headrace_ops.raw_documents"
_LEDGER_TYPES = {"str": "STRING", "int": "INT64", "float": "FLOAT64", "datetime": "TIMESTAMP"}
_REFUSALS = columns("""
    document_id STRING required
    chunk_id STRING required
    reason STRING required
""")


class BigQueryOperations(FolderLocks, BigQueryClient):
    """The tables of the dataset `headrace_ops`; `prepare` makes them."""

    def __init__(self, place: BigQueryPlace, dataset: str, locks: Path) -> None:
        """Take the project, the dataset of dbt's models and the folder of the locks."""
        FolderLocks.__init__(self, locks)
        BigQueryClient.__init__(self, place, dataset)

    def prepare(self) -> None:
        """Create the tables that Headrace itself writes, where they are missing."""
        there = self.tables(OPS)
        for name, wanted in TABLES.items():
            if name in there:
                continue
            table = bigquery.Table(f"{self.place.project}.{OPS}.{name}", schema=wanted.columns)
            table.clustering_fields = list(wanted.cluster_by)
            if wanted.partition_by:
                table.time_partitioning = bigquery.TimePartitioning(field=wanted.partition_by)
            self.create(table)

    def ops(self, name: str) -> str:
        """A table of Headrace's own, as SQL has it."""
        return self.table(name, OPS)

    def set_aside(self, found_in: str, refusals: Sequence[Refusal], model_id: str = "") -> None:
        """Write refusals to the quarantine; one that is there already keeps its place."""
        if not refusals:
            return
        # One a chunk: BigQuery refuses a MERGE in which two rows meet the same one.
        rows = {(r.document_id, r.chunk_id): vars(r) for r in refusals}
        with self.staged(OPS, _REFUSALS, list(rows.values())) as staged:
            self.rows(
                f"merge into {self.ops('quarantine')} as stored using {staged} as made "
                "on stored.found_in = @found_in and stored.model_id = @model_id "
                "and stored.document_id = made.document_id and stored.chunk_id = made.chunk_id "
                "when matched then update set reason = made.reason "
                "when not matched then insert (found_in, document_id, chunk_id, reason, model_id, "
                "quarantined_at) values (@found_in, made.document_id, made.chunk_id, made.reason, "
                "@model_id, current_timestamp())",
                found_in=found_in,
                model_id=model_id,
            )

    def release(self, chunk_ids: Sequence[str], model_id: str) -> None:
        """Take chunks out of the quarantine: `model_id` embeds them after all, or they went."""
        self.rows(
            f"delete from {self.ops('quarantine')} where found_in = 'embedding' "
            "and model_id = @model_id and chunk_id in unnest(@chunk_ids)",
            model_id=model_id,
            chunk_ids=list(chunk_ids),
        )

    def quarantined_chunks(self, model_id: str) -> set[str]:
        """Chunks that `model_id` could not embed; they go out when their chunk is deleted."""
        found = self.rows(
            f"select chunk_id from {self.ops('quarantine')} "
            "where found_in = 'embedding' and model_id = @model_id",
            model_id=model_id,
        )
        return {row["chunk_id"] for row in found}

    def write_ledger(self, row: LedgerRow) -> None:
        """Keep what a sync did; what mends a batch later is added to its row."""
        names = [field.name for field in fields(LedgerRow)]
        add_up = [name for name in names if name.startswith("rows_") or name.endswith("_seconds")]
        again = ", ".join(f"{name} = ledger.{name} + done.{name}" for name in add_up)
        parameters = {
            field.name: (_LEDGER_TYPES[str(field.type).split(" ")[0]], value)
            for field, value in zip(fields(LedgerRow), astuple(row), strict=True)
        }
        made = ", ".join(f"@{name} as {name}" for name in names)
        self.rows(
            f"merge into {self.ops('sync_ledger')} as ledger "
            f"using (select {made}) as done "
            "on ledger.generation = done.generation and ledger.batch_id = done.batch_id "
            f"when matched then update set {again}, finished_at = done.finished_at, "
            "published_version = cast(null as int64) "
            f"when not matched then insert ({', '.join(names)}) "
            f"values ({', '.join(f'done.{name}' for name in names)})",
            **parameters,
        )

    def ledger_published(
        self, generation: str, version: int, check_seconds: float, publish_seconds: float
    ) -> None:
        """Note on every row that readers did not see yet which version shows it to them."""
        self.rows(
            f"update {self.ops('sync_ledger')} set published_version = @version, "
            "published_at = current_timestamp(), check_seconds = @check_seconds, "
            "publish_seconds = @publish_seconds "
            "where generation = @generation and published_version is null",
            generation=generation,
            version=version,
            check_seconds=check_seconds,
            publish_seconds=publish_seconds,
        )

    def last_publication(self, generation: str) -> Publication | None:
        """What readers of a generation were shown last; None where nothing ever."""
        rows = self.rows(
            f"select batch_id, published_at from {self.ops('sync_ledger')} "
            "where generation = @generation and published_at is not null "
            "order by batch_id desc limit 1",
            generation=generation,
        )
        return next((Publication(**row) for row in rows), None)

    def source_states(self, tables: Sequence[SourceTable], *, full: bool) -> dict[str, str]:
        """The state of each source table, by its id; it is another once a row is written.

        What BigQuery says of a table without a query: when it was modified, its rows and bytes, and
        what is still in its streaming buffer. Of a view it says nothing, so where `full` its rows
        are read, which costs what a query costs. A table that is missing has no state.
        """
        states = {}
        for table in tables:
            found = self.facts(table.database, table.schema, table.identifier)
            if found is None:
                continue
            if found.table_type == "VIEW":
                if full:
                    states[table.unique_id] = f"|{self._view_state(table)}"
                else:
                    states[table.unique_id] = "|"
                continue
            buffer = found.streaming_buffer
            state = f"{found.modified} {found.num_rows} {found.num_bytes}" + (
                f" {buffer.estimated_rows} {buffer.oldest_entry_time}" if buffer else ""
            )
            states[table.unique_id] = f"{state}|{state}"
        return states

    def _view_state(self, table: SourceTable) -> str:
        name = f"`{table.database}.{table.schema}.{table.identifier}`"
        row = self.row(
            "select count(*) as number, bit_xor(farm_fingerprint(to_json_string(rows_of_view))) "
            f"as digest from {name} as rows_of_view"
        )
        return f"{row['number']} {row['digest']}"

    def write_read_marks(self, marks: Mapping[str, str]) -> None:
        """Note the states that a batch begins to read."""
        if not marks:
            return
        made = " union all ".join(
            f"select @id_{number} as source_id, @mark_{number} as read_mark"
            for number in range(len(marks))
        )
        parameters = {
            f"{name}_{number}": value
            for number, pair in enumerate(marks.items())
            for name, value in zip(("id", "mark"), pair, strict=True)
        }
        self.rows(
            f"merge into {self.ops('source_marks')} as stored using ({made}) as made "
            "on stored.source_id = made.source_id "
            "when matched then update set read_mark = made.read_mark, "
            "read_at = current_timestamp() "
            "when not matched then insert (source_id, read_mark, read_at) "
            "values (made.source_id, made.read_mark, current_timestamp())",
            **parameters,
        )

    def mark_seen(self, sources: Sequence[str]) -> None:
        """What the last batch of some sources began to read is what readers see now."""
        self.rows(
            f"update {self.ops('source_marks')} set seen_mark = read_mark, "
            "seen_at = current_timestamp() where source_id in unnest(@sources)",
            sources=list(sources),
        )

    def marks(self) -> dict[str, tuple[str, str | None]]:
        """The state of each source that a batch read last, and that readers saw last, if any."""
        found = self.rows(f"select source_id, read_mark, seen_mark from {self.ops('source_marks')}")
        return {row["source_id"]: (row["read_mark"], row["seen_mark"]) for row in found}

    def changed_since(self, sources: Sequence[str]) -> datetime | None:
        """The time after which a change of some sources may not have been read by any batch, UTC.

        None where the last batch was cut, failed, or was none. An hour is to spare for rows that
        are committed late. What `headrace ingest` loaded meanwhile counts, however old its date is.
        """
        row = self.row(
            "select timestamp_sub(min(read_at), interval 1 hour) as since, "
            "countif(seen_mark = read_mark and read_mark <> @more) as seen "
            f"from {self.ops('source_marks')} where source_id in unnest(@sources)",
            sources=list(sources),
            more=MORE,
        )
        since: datetime | None = row["since"] if row["seen"] == len(set(sources)) else None
        if since is None or _RAW_DOCUMENTS not in sources:
            return since
        oldest: datetime | None = self.row(
            f"select min(source_updated_at) as oldest from {self.ops('raw_documents')} "
            "where loaded_at >= @since",
            since=since,
        )["oldest"]
        return min(since, oldest or since)

    def write_published(self, generation: str, after: int, upto: int) -> None:
        """Note when each document of the batches in (after, upto] was changed, cut and seen.

        A change that is older than the publication before by a quarter of an hour came with a first
        load, a rebuild or the clock: it says nothing of how fast the pipeline is.
        """
        self.rows(
            f"insert into {self.ops('published_documents')} (generation, batch_id, document_id, "
            "source_name, source_updated_at, chunked_at, embedded_at, published_at, is_backfill) "
            "with batch as (select max(started_at) as chunked_at, max(finished_at) as embedded_at "
            f"from {self.ops('sync_ledger')} where generation = @generation "
            "and batch_id > @after and batch_id <= @upto), "
            "before as (select max(published_at) as published_at "
            f"from {self.ops('sync_ledger')} where batch_id <= @after) "
            "select @generation, @upto, chunks.document_id, max(chunks.source_name), "
            "max(chunks.source_updated_at), max(batch.chunked_at), max(batch.embedded_at), "
            "current_timestamp(), coalesce(max(chunks.source_updated_at) "
            "< timestamp_sub(max(before.published_at), interval 15 minute), true) "
            f"from {self.table('rag__chunks')} as chunks cross join batch cross join before "
            "where chunks.batch_id > @after and chunks.batch_id <= @upto "
            "and batch.chunked_at is not null group by chunks.document_id",
            generation=generation,
            after=after,
            upto=upto,
        )

    def lag(self, minutes: int) -> list[dict[str, Any]]:
        """Lags in seconds of what was published in the last `minutes`, by source; first loads out.

        Each row has source_name, documents, p50, p95 and max.
        """
        return self.rows(
            "select source_name, count(*) as documents, "
            "approx_quantiles(lag_seconds, 1000)[offset(500)] as p50, "
            "approx_quantiles(lag_seconds, 1000)[offset(950)] as p95, max(lag_seconds) as max "
            "from (select source_name, "
            "timestamp_diff(published_at, source_updated_at, microsecond) / 1e6 as lag_seconds "
            f"from {self.ops('published_documents')} where not is_backfill and published_at > "
            "timestamp_sub(current_timestamp(), interval @minutes minute)) as lags "
            "group by source_name order by source_name",
            minutes=minutes,
        )

    def trace(
        self, document_id: str, generation: str, batch_id: int, runs: Sequence[str]
    ) -> Trace | None:
        """How a document came to the index; None where the warehouse has no such document."""
        # The table is parted by the first 12 bits of the hash of the id: one part is read, not all.
        bucket = int(hashlib.sha256(document_id.encode()).hexdigest()[:3], 16)
        found = self.rows(
            "select document_model, access, source_updated_at "
            f"from {self.table('rag__documents')} "
            "where document_bucket = @bucket and document_id = @document_id",
            bucket=bucket,
            document_id=document_id,
        )
        if not found:
            return None
        names = ", ".join(field.name for field in fields(Delivery))
        deliveries = self.rows(
            f"select {names} from {self.ops('sync_ledger')} "
            "where dbt_invocation_id in unnest(@runs) or (generation = @generation "
            "and batch_id >= @batch_id and coalesce(after_batch_id, -1) < @batch_id) "
            "order by batch_id, generation",
            runs=list(runs),
            generation=generation,
            batch_id=batch_id,
        )
        return Trace(
            document_model=found[0]["document_model"],
            access=tuple(found[0]["access"] or ()),
            source_updated_at=found[0]["source_updated_at"],
            deliveries=tuple(Delivery(**row) for row in deliveries),
        )

    def forget_published(self, days: int) -> None:
        """Drop what was noted of documents that were published more than `days` ago."""
        self.rows(
            f"delete from {self.ops('published_documents')} "
            "where published_at < timestamp_sub(current_timestamp(), interval @days day)",
            days=days,
        )

    def write_answers(self, answers: Sequence[Answer]) -> None:
        """Keep how a version answered its gold sets; what was kept of it before goes."""
        if not answers:
            return
        rows = [{name: _json(value) for name, value in vars(answer).items()} for answer in answers]
        sets = {f"{each.generation}/{each.version}/{each.gold_set}" for each in answers}
        names = ", ".join(rows[0])
        with self.staged(OPS, TABLES["gold_answers"].columns, rows) as staged:
            self.rows(
                f"delete from {self.ops('gold_answers')} where "
                "concat(generation, '/', cast(version as string), '/', gold_set) in unnest(@sets)",
                sets=sorted(sets),
            )
            self.rows(
                f"insert into {self.ops('gold_answers')} ({names}) select {names} from {staged}"
            )

    def answers(self, versions: int) -> list[Answer]:
        """How the last `versions` that were asked answered, the one asked last at the end."""
        names = ", ".join(f"answers.{field.name}" for field in fields(Answer))
        rows = self.rows(
            f"select {names} from {self.ops('gold_answers')} as answers inner join ("
            "select generation, version, max(evaluated_at) as asked_at "
            f"from {self.ops('gold_answers')} group by generation, version "
            "order by asked_at desc limit @versions) as asked "
            "on answers.generation = asked.generation and answers.version = asked.version "
            "order by asked.asked_at, answers.generation, answers.version, answers.gold_set, "
            "answers.question_id",
            versions=versions,
        )
        lists = ("facts_missing", "must_not_found")
        return [Answer(**(row | {name: parts(row[name]) for name in lists})) for row in rows]

    def forget_answers(self, days: int) -> None:
        """Drop how versions answered that were asked more than `days` ago."""
        self.rows(
            f"delete from {self.ops('gold_answers')} "
            "where evaluated_at < timestamp_sub(current_timestamp(), interval @days day)",
            days=days,
        )

    def documents_per_second(self) -> float | None:
        """Documents that the batches of the last hour brought to readers, by second of their work.

        None where there was none: nothing is known of how fast the next would be.
        """
        rate: float | None = self.row(
            "select safe_divide(sum(documents), sum(seconds)) as rate from (select count(*) as "
            "documents, timestamp_diff(max(published_at), min(chunked_at), microsecond) / 1e6 "
            f"as seconds from {self.ops('published_documents')} where published_at > "
            "timestamp_sub(current_timestamp(), interval 1 hour) group by generation, batch_id) "
            "as batches"
        )["rate"]
        return rate

    def stored_fingerprints(self, source: str) -> dict[str, str]:
        """What each document of a source was made of, where that was noted."""
        found = self.rows(
            f"select document_id, fingerprint from {self.ops('raw_documents')} "
            "where source_name = @source and fingerprint is not null and not is_deleted",
            source=source,
        )
        return {row["document_id"]: row["fingerprint"] for row in found}

    def raw_documents(self, source: str) -> dict[str, tuple[Any, ...]]:
        """The documents of a source as they are stored: RAW_COLUMNS, by document_id."""
        found = self.rows(
            f"select {', '.join(RAW_COLUMNS)} from {self.ops('raw_documents')} "
            "where source_name = @source and not is_deleted",
            source=source,
        )
        return {row["document_id"]: tuple(row.values()) for row in found}

    def write_raw(
        self,
        source: str,
        documents: Sequence[tuple[Any, ...]],
        fingerprints: Mapping[str, str | None],
        gone: Sequence[str],
        refused: Sequence[Refusal],
    ) -> None:
        """Write documents of a source, take others out, and note what was refused instead.

        What goes keeps a row without its text, marked and dated: a batch reads what changed lately,
        and would not see that a row is gone.

        Args:
            source: the source's name.
            documents: those that are new or others now, RAW_COLUMNS each.
            fingerprints: what each document was made of, by document_id, these and the rest.
            gone: ids of those to take out.
            refused: what could not be read, one a document, in place of the last load's.
        """
        known = self.stored_fingerprints(source)
        rows = {
            key: {"document_id": key, "fingerprint": made, "change": "stamp"}
            for key, made in fingerprints.items()
            if made is not None and known.get(key) != made
        }
        for values in documents:
            row = dict(zip(RAW_COLUMNS, map(_json, values), strict=True))
            key = row["document_id"]
            rows[key] = row | {"fingerprint": fingerprints.get(key), "change": "write"}
        rows |= {key: {"document_id": key, "change": "drop"} for key in gone}
        if rows:
            self._merge_raw(list(rows.values()))
        found_in = f"ingest {source}"
        self.rows(
            f"delete from {self.ops('quarantine')} where found_in = @found_in "
            "and document_id not in unnest(@refused)",
            found_in=found_in,
            refused=[refusal.document_id for refusal in refused],
        )
        self.set_aside(found_in, refused)

    def _merge_raw(self, rows: Sequence[dict[str, Any]]) -> None:
        # One statement: either all of the load is there or nothing.
        names = [*RAW_COLUMNS, "fingerprint"]
        staging = [
            field
            if field.mode == "REPEATED"
            else bigquery.SchemaField(field.name, field.field_type)
            for field in TABLES["raw_documents"].columns
            if field.name in names
        ] + [bigquery.SchemaField("change", "STRING")]
        new = {name: f"made.{name}" for name in names[1:]}
        # A micro-batch sees an edit by its date, which a file may not have moved.
        later = "timestamp_add(stored.source_updated_at, interval 1 microsecond)"
        new["source_updated_at"] = f"greatest(made.source_updated_at, {later})"
        new |= {"is_deleted": "false", "loaded_at": "current_timestamp()"}
        with self.staged(OPS, staging, rows) as staged:
            self.rows(
                f"merge into {self.ops('raw_documents')} as stored using {staged} as made "
                "on stored.document_id = made.document_id "
                "when matched and made.change = 'drop' then update set is_deleted = true, "
                "body = '', fingerprint = cast(null as string), loaded_at = current_timestamp(), "
                f"source_updated_at = greatest(current_timestamp(), {later}) "
                "when matched and made.change = 'stamp' "
                "then update set fingerprint = made.fingerprint "
                "when matched and made.change = 'write' then update set "
                + ", ".join(f"{name} = {value}" for name, value in new.items())
                + " when not matched and made.change = 'write' then insert "
                f"({', '.join(names)}, is_deleted, loaded_at) "
                f"values ({', '.join(f'made.{name}' for name in names)}, false, "
                "current_timestamp())"
            )


def _json(value: Any) -> Any:  # noqa: ANN401
    """A value as a load job reads it."""
    if isinstance(value, tuple):
        return f" {BAR} ".join(value)
    return value.isoformat() if isinstance(value, (date, datetime)) else value
