"""Checks of what dbt made: documents, their lives, and chunks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

from dagster_project.core.build import Headrace
from dagster_project.core.checks.model import SAMPLES, Check, Finding, Status
from dagster_project.core.expectations import Severity, read_suite

STALE_SHARE = 0.2
# The bound where no chunk was cut, so that none can be over it: the largest number of the column.
_NO_BOUND = 2**31 - 1
_DOCUMENTS = "documents/rag__documents"


def _meets_expectations(model: str, key: str, headrace: Headrace) -> Finding:
    """What the suite of a model finds; its errors fail the check, its warnings warn."""
    # Imported here: Great Expectations takes seconds to load, and a micro-batch needs none of it.
    from dagster_project.core.expectations.validation import validate

    policy = headrace.warehouse.chunking_policy()
    in_a_day = datetime.now(UTC) + timedelta(days=1)
    found = validate(
        read_suite(model, headrace.settings.dbt_project),
        headrace.warehouse.engine(),
        headrace.settings.schema,
        key,
        {
            # The chunks' own word, since a run may give dbt another value than the project has.
            "chunk_tokens": int(policy.split("-")[1]) if policy else _NO_BOUND,
            "latest_date": in_a_day.date(),
            "latest_time": in_a_day,
        },
        headrace.settings.home / "gx",
    )
    failures = found.failures
    errors = [each for each in failures if each.expectation.severity is Severity.ERROR]
    return Finding(
        Status.FAIL if errors else Status.WARN if failures else Status.PASS,
        "; ".join(f"not so: {each.expectation.description} ({each.found})" for each in failures)
        or f"all {found.evaluated} expectations hold",
        figures={
            "expectations": found.evaluated,
            "failed": len(failures),
            "data_docs": found.data_docs,
        },
        samples=[row for each in failures for row in each.samples],
        remedy=" ".join(
            [*(each.expectation.remedy for each in failures), f"Data Docs: {found.data_docs}"]
        ),
    )


def _issues(issue: str, status: Status, noun: str, headrace: Headrace) -> Finding:
    """What rag__document_issues has of one kind."""
    rows = headrace.warehouse.document_issues(issue)
    return Finding(
        status if rows else Status.PASS,
        f"{len(rows):,} {noun}",
        figures={"documents": len(rows)},
        samples=rows[:SAMPLES],
    )


def _few_are_stale(headrace: Headrace) -> Finding:
    rows = headrace.warehouse.document_issues("stale")
    share = len(rows) / max(headrace.warehouse.count_served_documents(), 1)
    return Finding(
        Status.WARN if share > STALE_SHARE else Status.PASS,
        f"{share:.0%} of the documents that are served are stale",
        figures={"stale": len(rows), "stale_share": share},
        samples=rows[:SAMPLES],
    )


def _documents_agree(headrace: Headrace) -> Finding:
    rows = headrace.warehouse.conflicts()
    kinds = sorted({row["kind"] for row in rows})
    return Finding(
        Status.WARN if rows else Status.PASS,
        ", ".join(f"{sum(row['kind'] == kind for row in rows)} of {kind}" for kind in kinds)
        or "no two documents that are served contradict or double each other",
        figures={"conflicts": len(rows)},
        samples=[row for kind in kinds for row in rows if row["kind"] == kind][:SAMPLES],
    )


DOCUMENTS = Check(
    "documents_meet_expectations",
    "documents/rag__documents",
    True,
    "The expectations of rag__documents hold: ids, dates, languages, titles and names are as they "
    "should be. A wrong date answers with what is not in force; a title that says nothing is "
    "embedded with every chunk.",
    "Mend the document model or its source; expectations/rag__documents.yml says what must hold.",
    partial(_meets_expectations, "rag__documents", "document_id"),
)
CHUNKS = Check(
    "chunks_meet_expectations",
    "chunks/rag__chunks",
    True,
    "The expectations of rag__chunks hold: ids, token bounds, and few texts that are copies or "
    "boilerplate. Those push what answers the question out of the answer.",
    "Mend the document model or its source; expectations/rag__chunks.yml says what must hold.",
    partial(_meets_expectations, "rag__chunks", "chunk_id"),
)
ONE_VERSION = Check(
    "one_version_of_a_family_is_served",
    _DOCUMENTS,
    True,
    "No two versions of a document are served as current. A model that finds both answers with "
    "either.",
    "`headrace build` judges all versions together; where the two are no versions of one document, "
    "give each its own version_family.",
    partial(_issues, "two_versions", Status.FAIL, "documents are one of several versions served"),
)
OWNERS = Check(
    "documents_have_owners",
    _DOCUMENTS,
    False,
    "Every document has an owner where its policy asks for one. What nobody owns, nobody corrects.",
    "Fill owner in the document model or the source.",
    partial(_issues, "no_owner", Status.WARN, "documents have no owner"),
)
REVIEWS = Check(
    "reviews_are_done",
    _DOCUMENTS,
    False,
    "No document that is served is past the day of its review. It may still be right; nobody "
    "knows.",
    "Ask the owner to review it and to set review_by, or let the policy demote or drop what is "
    "stale.",
    partial(_issues, "review_overdue", Status.WARN, "reviews are overdue"),
)
FRESH = Check(
    "few_documents_are_stale",
    _DOCUMENTS,
    False,
    "At most a fifth of what is served is stale. Answers rest on what nobody has looked at.",
    "Review the oldest first; `when_stale: demote` or `drop` in headrace_lifecycle takes them "
    "back.",
    _few_are_stale,
)
AGREE = Check(
    "documents_agree",
    _DOCUMENTS,
    False,
    "No two documents that are served are near-duplicates, disagree on a number or a day, or "
    "differ in their version alone. A model quotes whichever it finds first.",
    "rag__conflicts has both passages. Withdraw one, name what it `supersedes`, or let "
    "find_versions in headrace_lifecycle unite them.",
    _documents_agree,
)
