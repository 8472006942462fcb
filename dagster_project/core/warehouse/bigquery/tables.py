"""The tables that Headrace itself writes in BigQuery, as `tables.sql` has them for Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from google.cloud import bigquery

OPS = "headrace_ops"


@dataclass(frozen=True)
class OpsTable:
    """A table of the dataset `headrace_ops`.

    Attributes:
        columns: its columns.
        cluster_by: the columns that its rows are looked up by.
        partition_by: the timestamp by whose day it is cut, if it is.
    """

    columns: Sequence[bigquery.SchemaField]
    cluster_by: Sequence[str]
    partition_by: str = ""


def columns(text: str) -> list[bigquery.SchemaField]:
    """Columns from lines of a name, a type and, where it may not be null, `required`."""
    found = []
    for line in text.strip().splitlines():
        name, kind, *mode = line.split()
        found.append(bigquery.SchemaField(name, kind, mode[0].upper() if mode else "NULLABLE"))
    return found


_RAW = """
    document_id STRING required
    source_name STRING required
    doc_type STRING required
    title STRING required
    body STRING required
    url STRING
    owner STRING
    language STRING
    valid_from DATE
    valid_to DATE
    version_family STRING
    version_date DATE
    review_by DATE
    access STRING repeated
    payload STRING required
    source_updated_at TIMESTAMP required
    is_deleted BOOL required
    loaded_at TIMESTAMP required
    fingerprint STRING
"""
_QUARANTINE = """
    found_in STRING required
    document_id STRING required
    chunk_id STRING required
    reason STRING required
    model_id STRING required
    quarantined_at TIMESTAMP required
"""
_LEDGER = """
    generation STRING required
    batch_id INT64 required
    after_batch_id INT64
    dbt_invocation_id STRING
    model_id STRING required
    source_watermark TIMESTAMP
    rows_added INT64 required
    rows_changed INT64 required
    rows_payload_only INT64 required
    rows_deleted INT64 required
    rows_unchanged INT64 required
    rows_embedded INT64 required
    rows_reused INT64 required
    rows_quarantined INT64 required
    read_seconds FLOAT64 required
    embed_seconds FLOAT64 required
    write_seconds FLOAT64 required
    started_at TIMESTAMP required
    finished_at TIMESTAMP required
    check_seconds FLOAT64
    publish_seconds FLOAT64
    published_version INT64
    published_at TIMESTAMP
"""
_PUBLISHED = """
    generation STRING required
    batch_id INT64 required
    document_id STRING required
    source_name STRING required
    source_updated_at TIMESTAMP required
    chunked_at TIMESTAMP required
    embedded_at TIMESTAMP required
    published_at TIMESTAMP required
    is_backfill BOOL required
"""
_MARKS = """
    source_id STRING required
    read_mark STRING required
    read_at TIMESTAMP required
    seen_mark STRING
    seen_at TIMESTAMP
"""
_ANSWERS = """
    generation STRING required
    version INT64 required
    gold_set STRING required
    question_id STRING required
    question STRING required
    doc_type STRING required
    rank INT64
    ndcg_at_10 FLOAT64
    recall_at_5 FLOAT64
    recall_at_10 FLOAT64
    mrr_at_10 FLOAT64
    facts INT64 required
    facts_missing STRING required
    must_not_found STRING required
    evaluated_at TIMESTAMP required
"""
TABLES = {
    "raw_documents": OpsTable(columns(_RAW), ("source_name", "document_id")),
    "quarantine": OpsTable(columns(_QUARANTINE), ("found_in", "model_id")),
    "sync_ledger": OpsTable(columns(_LEDGER), ("generation", "batch_id")),
    "published_documents": OpsTable(
        columns(_PUBLISHED), ("source_name", "document_id"), "published_at"
    ),
    "gold_answers": OpsTable(columns(_ANSWERS), ("generation", "version")),
    "source_marks": OpsTable(columns(_MARKS), ("source_id",)),
}
