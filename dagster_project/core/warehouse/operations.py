"""What Headrace itself keeps in a Postgres warehouse: quarantine, ledger, marks, freshness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields
from datetime import datetime
from typing import Any

from psycopg import sql
from psycopg.rows import dict_row

from dagster_project.core.warehouse.connections import PostgresConnections
from dagster_project.core.warehouse.contract import (
    BAR,
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
from dagster_project.core.warehouse.marks import FACTS, SMALL_ROWS, whole_state


class PostgresOperations(PostgresConnections):
    """The tables of the schema `headrace_ops`; `prepare` makes them."""

    def set_aside(self, found_in: str, refusals: Sequence[Refusal], model_id: str = "") -> None:
        """Write refusals to the quarantine; one that is there already keeps its place."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.executemany(
                "insert into headrace_ops.quarantine "
                "(found_in, document_id, chunk_id, reason, model_id) "
                "values (%s, %s, %s, %s, %s) on conflict (found_in, document_id, chunk_id, "
                "model_id) do update set reason = excluded.reason",
                [(found_in, r.document_id, r.chunk_id, r.reason, model_id) for r in refusals],
            )

    def release(self, chunk_ids: Sequence[str], model_id: str) -> None:
        """Take chunks out of the quarantine: `model_id` embeds them after all, or they went."""
        with self.connect() as connection:
            connection.execute(
                "delete from headrace_ops.quarantine where found_in = 'embedding' "
                "and model_id = %s and chunk_id = any(%s)",
                (model_id, list(chunk_ids)),
            )

    def quarantined_chunks(self, model_id: str) -> set[str]:
        """Chunks that `model_id` could not embed; they go out when their chunk is deleted."""
        with self.connect() as connection:
            rows = connection.execute(
                "select chunk_id from headrace_ops.quarantine "
                "where found_in = 'embedding' and model_id = %s",
                (model_id,),
            ).fetchall()
        return {row[0] for row in rows}

    def write_ledger(self, row: LedgerRow) -> None:
        """Keep what a sync did; what mends a batch later is added to its row."""
        names = [field.name for field in fields(LedgerRow)]
        add_up = [name for name in names if name.startswith("rows_") or name.endswith("_seconds")]
        again = [
            sql.SQL("{0} = ledger.{0} + excluded.{0}").format(sql.Identifier(name))
            for name in add_up
        ]
        with self.connect() as connection:
            connection.execute(
                sql.SQL(
                    "insert into headrace_ops.sync_ledger as ledger ({columns}) values ({values}) "
                    "on conflict (generation, batch_id) do update set {again}, "
                    "finished_at = excluded.finished_at, published_version = null"
                ).format(
                    columns=sql.SQL(", ").join(map(sql.Identifier, names)),
                    values=sql.SQL(", ").join([sql.Placeholder()] * len(names)),
                    again=sql.SQL(", ").join(again),
                ),
                astuple(row),
            )

    def ledger_published(
        self, generation: str, version: int, check_seconds: float, publish_seconds: float
    ) -> None:
        """Note on every row that readers did not see yet which version shows it to them."""
        with self.connect() as connection:
            connection.execute(
                "update headrace_ops.sync_ledger set published_version = %s, published_at = now(), "
                "check_seconds = %s, publish_seconds = %s "
                "where generation = %s and published_version is null",
                (version, check_seconds, publish_seconds, generation),
            )

    def last_publication(self, generation: str) -> Publication | None:
        """What readers of a generation were shown last; None where nothing ever."""
        with self.connect() as connection:
            row = connection.execute(
                "select batch_id, published_at from headrace_ops.sync_ledger "
                "where generation = %s and published_at is not null "
                "order by batch_id desc limit 1",
                (generation,),
            ).fetchone()
        return None if row is None else Publication(*row)

    def source_states(self, tables: Sequence[SourceTable], *, full: bool) -> dict[str, str]:
        """The state of each source table, by its id; it is another once a row is written.

        A state is the server's counters and, after a bar, what the rows themselves say. That is
        read of small tables always, of all where `full`. A table that is missing has no state.
        """
        with self.connect() as connection:
            facts = connection.execute(
                FACTS,
                {
                    "ids": [table.unique_id for table in tables],
                    "schemas": [table.schema for table in tables],
                    "names": [table.identifier for table in tables],
                },
            ).fetchall()
            by_id = {table.unique_id: table for table in tables}
            states = {row[0]: f"{row[3]}|" for row in facts if row[1] is not None}
            whole = [
                (by_id[key], kind)
                for key, kind, rows, _ in facts
                if kind is not None and (full or kind == "v" or rows <= SMALL_ROWS)
            ]
            if whole:
                for key, state in connection.execute(whole_state(whole)).fetchall():
                    states[key] += state
        return states

    def write_read_marks(self, marks: Mapping[str, str]) -> None:
        """Note the states that a batch begins to read."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.executemany(
                "insert into headrace_ops.source_marks (source_id, read_mark, read_at) "
                "values (%s, %s, now()) on conflict (source_id) "
                "do update set read_mark = excluded.read_mark, read_at = excluded.read_at",
                list(marks.items()),
            )

    def mark_seen(self, sources: Sequence[str]) -> None:
        """What the last batch of some sources began to read is what readers see now."""
        with self.connect() as connection:
            connection.execute(
                "update headrace_ops.source_marks set seen_mark = read_mark, seen_at = now() "
                "where source_id = any(%s)",
                (list(sources),),
            )

    def marks(self) -> dict[str, tuple[str, str | None]]:
        """The state of each source that a batch read last, and that readers saw last, if any."""
        with self.connect() as connection:
            rows = connection.execute(
                "select source_id, read_mark, seen_mark from headrace_ops.source_marks"
            ).fetchall()
        return {source_id: (read, seen) for source_id, read, seen in rows}

    def changed_since(self, sources: Sequence[str]) -> datetime | None:
        """None: all dates are compared, by an index."""
        return None

    def write_published(self, generation: str, after: int, upto: int) -> None:
        """Note when each document of the batches in (after, upto] was changed, cut and seen.

        A change that is older than the publication before by a quarter of an hour came with a first
        load, a rebuild or the clock: it says nothing of how fast the pipeline is.
        """
        with self.connect() as connection:
            connection.execute(
                sql.SQL(
                    "insert into headrace_ops.published_documents "
                    "with batch as (select max(started_at) as chunked_at, "
                    "max(finished_at) as embedded_at from headrace_ops.sync_ledger "
                    "where generation = %(generation)s and batch_id > %(after)s "
                    "and batch_id <= %(upto)s), "
                    "before as (select max(published_at) as published_at "
                    "from headrace_ops.sync_ledger where batch_id <= %(after)s) "
                    "select %(generation)s, %(upto)s, chunks.document_id, "
                    "max(chunks.source_name), max(chunks.source_updated_at), "
                    "max(batch.chunked_at), max(batch.embedded_at), now(), "
                    "coalesce(max(chunks.source_updated_at) "
                    "< max(before.published_at) - interval '15 minutes', true) "
                    "from {chunks} as chunks cross join batch cross join before "
                    "where chunks.batch_id > %(after)s and chunks.batch_id <= %(upto)s "
                    "and batch.chunked_at is not null "
                    "group by chunks.document_id on conflict do nothing"
                ).format(chunks=self.table("rag__chunks")),
                {"generation": generation, "after": after, "upto": upto},
            )

    def lag(self, minutes: int) -> list[dict[str, Any]]:
        """Lags in seconds of what was published in the last `minutes`, by source; first loads out.

        Each row has source_name, documents, p50, p95 and max.
        """
        with self.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(
                "select source_name, count(*) as documents, "
                "percentile_disc(0.5) within group (order by lag) as p50, "
                "percentile_disc(0.95) within group (order by lag) as p95, max(lag) as max "
                "from (select source_name, extract(epoch from published_at - source_updated_at)"
                "::double precision as lag from headrace_ops.published_documents "
                "where not is_backfill and published_at > now() - make_interval(mins => %s)) as l "
                "group by source_name order by source_name",
                (minutes,),
            ).fetchall()

    def trace(
        self, document_id: str, generation: str, batch_id: int, runs: Sequence[str]
    ) -> Trace | None:
        """How a document came to the index; None where the warehouse has no such document."""
        names = [field.name for field in fields(Delivery)]
        with self.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
            document = cursor.execute(
                sql.SQL(
                    "select document_model, access, source_updated_at from {} "
                    "where document_id = %s"
                ).format(self.table("rag__documents")),
                (document_id,),
            ).fetchone()
            if document is None:
                return None
            deliveries = cursor.execute(
                sql.SQL(
                    "select {} from headrace_ops.sync_ledger "
                    "where dbt_invocation_id = any(%(runs)s) or (generation = %(generation)s "
                    "and batch_id >= %(batch_id)s and coalesce(after_batch_id, -1) < %(batch_id)s) "
                    "order by batch_id, generation"
                ).format(sql.SQL(", ").join(map(sql.Identifier, names))),
                {"runs": list(runs), "generation": generation, "batch_id": batch_id},
            ).fetchall()
        return Trace(
            document_model=document["document_model"],
            access=tuple(document["access"] or ()),
            source_updated_at=document["source_updated_at"],
            deliveries=tuple(Delivery(**row) for row in deliveries),
        )

    def forget_published(self, days: int) -> None:
        """Drop what was noted of documents that were published more than `days` ago."""
        with self.connect() as connection:
            connection.execute(
                "delete from headrace_ops.published_documents "
                "where published_at < now() - make_interval(days => %s)",
                (days,),
            )

    def write_answers(self, answers: Sequence[Answer]) -> None:
        """Keep how a version answered its gold sets; what was kept of it before goes."""
        names = [field.name for field in fields(Answer)]
        rows = [
            [f" {BAR} ".join(each) if isinstance(each, tuple) else each for each in astuple(answer)]
            for answer in answers
        ]
        sets = {(each.generation, each.version, each.gold_set) for each in answers}
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.executemany(
                "delete from headrace_ops.gold_answers "
                "where generation = %s and version = %s and gold_set = %s",
                sorted(sets),
            )
            cursor.executemany(
                sql.SQL("insert into headrace_ops.gold_answers ({}) values ({})").format(
                    sql.SQL(", ").join(map(sql.Identifier, names)),
                    sql.SQL(", ").join([sql.Placeholder()] * len(names)),
                ),
                rows,
            )

    def answers(self, versions: int) -> list[Answer]:
        """How the last `versions` that were asked answered, the one asked last at the end."""
        names = [field.name for field in fields(Answer)]
        with self.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(
                sql.SQL(
                    "select {} from headrace_ops.gold_answers as answers inner join ("
                    "select generation, version, max(evaluated_at) as asked_at "
                    "from headrace_ops.gold_answers group by generation, version "
                    "order by asked_at desc limit %s) as asked using (generation, version) "
                    "order by asked_at, generation, version, gold_set, question_id"
                ).format(sql.SQL(", ").join(map(sql.Identifier, names))),
                (versions,),
            ).fetchall()
        lists = ("facts_missing", "must_not_found")
        return [Answer(**(row | {name: parts(row[name]) for name in lists})) for row in rows]

    def forget_answers(self, days: int) -> None:
        """Drop how versions answered that were asked more than `days` ago."""
        with self.connect() as connection:
            connection.execute(
                "delete from headrace_ops.gold_answers "
                "where evaluated_at < now() - make_interval(days => %s)",
                (days,),
            )

    def documents_per_second(self) -> float | None:
        """Documents that the batches of the last hour brought to readers, by second of their work.

        None where there was none: nothing is known of how fast the next would be.
        """
        with self.connect() as connection:
            row = connection.execute(
                "select sum(documents) / nullif(sum(seconds), 0) from ("
                "select count(*) as documents, extract(epoch from max(published_at) - "
                "min(chunked_at))::double precision as seconds "
                "from headrace_ops.published_documents "
                "where published_at > now() - interval '1 hour' group by generation, batch_id) as b"
            ).fetchone()
        return None if row is None else row[0]

    def stored_fingerprints(self, source: str) -> dict[str, str]:
        """What each document of a source was made of, where that was noted."""
        with self.connect() as connection:
            rows = connection.execute(
                "select document_id, fingerprint from headrace_ops.raw_documents "
                "where source_name = %s and fingerprint is not null",
                (source,),
            ).fetchall()
        return dict(rows)

    def raw_documents(self, source: str) -> dict[str, tuple[Any, ...]]:
        """The documents of a source as they are stored: RAW_COLUMNS, by document_id."""
        with self.connect() as connection:
            rows = connection.execute(
                sql.SQL("select {} from headrace_ops.raw_documents where source_name = %s").format(
                    sql.SQL(", ").join(map(sql.Identifier, RAW_COLUMNS))
                ),
                (source,),
            )
            return {row[0]: row for row in rows}

    def write_raw(
        self,
        source: str,
        documents: Sequence[tuple[Any, ...]],
        fingerprints: Mapping[str, str | None],
        gone: Sequence[str],
        refused: Sequence[Refusal],
    ) -> None:
        """Write documents of a source, take others out, and note what was refused; or nothing.

        Args:
            source: the source's name.
            documents: those that are new or others now, RAW_COLUMNS each.
            fingerprints: what each document was made of, by document_id, these and the rest.
            gone: ids of those to take out.
            refused: what could not be read, one a document, in place of the last load's.
        """
        names = [*RAW_COLUMNS, "fingerprint"]
        new = {name: f"excluded.{name}" for name in names[1:]}
        # A micro-batch sees an edit by its date, which a file may not have moved.
        new["source_updated_at"] = (
            "greatest(excluded.source_updated_at, "
            "stored.source_updated_at + interval '1 microsecond')"
        )
        write = (
            f"insert into headrace_ops.raw_documents as stored ({', '.join(names)}) "
            f"values ({', '.join(['%s'] * len(names))}) on conflict (document_id) do update set "
            + ", ".join(f"{name} = {value}" for name, value in new.items())
        )
        found_in = f"ingest {source}"
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.executemany(write, [(*row, fingerprints.get(row[0])) for row in documents])
            # A document may be the same though its file is another.
            cursor.execute(
                "update headrace_ops.raw_documents as stored set fingerprint = made.fingerprint "
                "from unnest(%s::text[], %s::text[]) as made (document_id, fingerprint) "
                "where stored.document_id = made.document_id "
                "and stored.fingerprint is distinct from made.fingerprint",
                (list(fingerprints), list(fingerprints.values())),
            )
            cursor.execute(
                "delete from headrace_ops.raw_documents where document_id = any(%s)", (list(gone),)
            )
            cursor.execute("delete from headrace_ops.quarantine where found_in = %s", (found_in,))
            cursor.executemany(
                "insert into headrace_ops.quarantine (found_in, document_id, reason) "
                "values (%s, %s, %s)",
                [(found_in, refusal.document_id, refusal.reason) for refusal in refused],
            )
