"""Checks of the index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from dagster_project.core.build import Headrace
from dagster_project.core.checks.model import SAMPLES, Check, Finding, Status
from dagster_project.core.compare import Difference
from dagster_project.core.index import CUT, OUT_OF_FORCE, VectorIndex

WARN_SECONDS = 60.0
ERROR_SECONDS = 300.0
LEAST_RECALL = 0.95


def same_rows(found: Mapping[str, Difference]) -> Finding:
    """The finding of a comparison of some generations with the warehouse."""
    samples = [
        {"generation": name, "what": kind, "chunk_id": chunk_id}
        for name, difference in found.items()
        for kind, chunk_ids in vars(difference).items()
        for chunk_id in chunk_ids[:SAMPLES]
    ]
    return Finding(
        Status.FAIL if samples else Status.PASS,
        "; ".join(f"{name}: {difference}" for name, difference in found.items())
        or "no index is filled yet",
        samples=samples,
    )


def _holds_what_the_warehouse_holds(headrace: Headrace) -> Finding:
    difference = headrace.verify(content=True, under_way=ERROR_SECONDS)
    return same_rows({headrace.live_generation.name: difference})


def _lag_is_within_the_promise(headrace: Headrace) -> Finding:
    """How long the changes of the last hour took to reach readers."""
    rows = headrace.warehouse.lag(minutes=60)
    worst = max((row["p95"] for row in rows), default=0.0)
    documents = sum(row["documents"] for row in rows)
    return Finding(
        Status.PASS
        if worst <= WARN_SECONDS
        else Status.WARN
        if worst <= ERROR_SECONDS
        else Status.FAIL,
        f"95 % of {documents:,} documents were seen within {worst:.1f} s of their change"
        if documents
        else "no document changed in the last hour",
        figures={"p95_lag_seconds": worst, "documents": documents},
        samples=rows,
    )


def _search_index_is_current(headrace: Headrace) -> Finding:
    index = headrace.live_index
    rows, unindexed = index.count(), index.unindexed_rows()
    return Finding(
        Status.WARN if index.needs_maintenance() else Status.PASS,
        f"{unindexed:,} of {rows:,} rows are outside the search index",
        figures={"rows": rows, "unindexed_rows": unindexed},
    )


def nothing_out_of_force(indexes: Iterable[VectorIndex], *, live: bool = False) -> Finding:
    """Rows of documents that no reader is to find, in the live or the newest versions."""
    return _no_row(
        [
            index.where(OUT_OF_FORCE, ["document_id", "lifecycle_state", "chunk_id"], live=live)
            for index in indexes
        ],
        "chunks are of documents that are not in force",
        "every chunk is of a document in force, or demoted by its policy",
    )


def nothing_cut(indexes: Iterable[VectorIndex], *, live: bool = False) -> Finding:
    """Rows whose text is longer than the model reads, in the live or the newest versions."""
    return _no_row(
        [index.where(CUT, ["document_id", "chunk_id", "windows"], live=live) for index in indexes],
        "chunks are longer than the model reads",
        "the model read every chunk whole",
    )


def _no_row(tables: Iterable[pa.Table], bad: str, good: str) -> Finding:
    rows = [row for table in tables for row in table.to_pylist()]
    return Finding(
        Status.FAIL if rows else Status.PASS,
        f"{len(rows):,} {bad}" if rows else good,
        samples=rows[:SAMPLES],
    )


def _search_finds_the_nearest(headrace: Headrace) -> Finding:
    recall = headrace.live_index.recall()
    if recall is None:
        return Finding(Status.PASS, "there is no vector index: every search compares all vectors")
    return Finding(
        Status.WARN if recall < LEAST_RECALL else Status.PASS,
        f"searches find {recall:.3f} of the ten nearest",
        figures={"recall_at_10": recall},
    )


COMPLETE = Check(
    "holds_what_the_warehouse_holds",
    "index/vectors",
    True,
    "The index holds every chunk once, as the warehouse has it, and nothing else. What is missing "
    "cannot be found; what is left over answers with a text that is gone.",
    "`headrace verify --repair` compares everything and mends it.",
    _holds_what_the_warehouse_holds,
)
LAG = Check(
    "lag_is_within_the_promise",
    "index/published",
    False,
    "95 of 100 changes of the last hour were seen within a minute; over five it is an incident. A "
    "model that reads yesterday's state answers with it.",
    "Look at rag__freshness for the step that is slow and at `headrace status` for what waits; see "
    "whether the sensors or the live run are on.",
    _lag_is_within_the_promise,
)
CURRENT = Check(
    "search_index_is_current",
    "index/published",
    False,
    "Few rows are outside the search indices. Each search scans those that are, so it gets slower.",
    "`headrace maintain` brings them in; the asset index/maintenance does so every hour.",
    _search_index_is_current,
)
IN_FORCE = Check(
    "only_documents_in_force_are_served",
    "index/vectors",
    True,
    "No chunk is of a document that is superseded, expired, deleted or not yet in force, unless "
    "its policy demotes it. The policy of 2022 would answer beside that of 2024.",
    "`headrace build` judges every document by today's date; `headrace verify --repair` then "
    "takes out what is left over.",
    lambda headrace: nothing_out_of_force([headrace.live_index], live=True),
)
FITS = Check(
    "the_model_reads_every_chunk_whole",
    "index/vectors",
    True,
    "No chunk is longer than the model reads, by the model's own tokenizer. A vector of a part "
    "finds that part only, and one averaged over parts finds none well.",
    "Set headrace_chunk_tokens in dbt_project.yml to what the model reads, or take a model that "
    "reads more.",
    lambda headrace: nothing_cut([headrace.live_index], live=True),
)
NEAREST = Check(
    "search_finds_the_nearest",
    "index/published",
    False,
    "Searches find 95 of 100 of the ten nearest chunks, on a sample. What they miss, no model can "
    "be told.",
    "`headrace generations rebuild` and a build make the index anew; HEADRACE_VECTOR_INDEX=exact "
    "and `headrace maintain` do without one.",
    _search_finds_the_nearest,
)
