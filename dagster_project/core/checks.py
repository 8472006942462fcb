"""What must hold of the index and of what reaches it, for Dagster and for `headrace check`.

Data tests of dbt are the other half; `run_checks` runs both. A check that blocks keeps a version
from its readers: while a batch is published it looks at the batch's own rows, here at everything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

from dagster_project.core.build import Headrace, NotPublishedError
from dagster_project.core.compare import Difference
from dagster_project.core.dbt import DbtError, NodeResult
from dagster_project.core.errors import ConfigurationError
from dagster_project.core.expectations import Severity, read_suite

WARN_SECONDS = 60.0
ERROR_SECONDS = 300.0
_SAMPLES = 5


class Status(StrEnum):
    """What a check says. ERROR is that it could not run, which says nothing of the data."""

    PASS = "pass"  # noqa: S105 - no password
    WARN = "warn"
    FAIL = "fail"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        status: what it says.
        reason: in a line, what is or is not as it should be.
        figures: what it measured, by name.
        samples: some of the rows that are not as they should be.
        remedy: what to do, where it depends on what was found.
    """

    status: Status
    reason: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    samples: Sequence[Mapping[str, Any]] = ()
    remedy: str = ""


@dataclass(frozen=True)
class Check:
    """A check of our own.

    Attributes:
        name: its name, as Dagster and the command line have it.
        asset: the asset that it is about: its group and its name.
        blocks: whether a version that it fails is kept from readers.
        description: what it flags and why that hurts.
        remedy: what to do when it fails.
        look: looks at all there is.
    """

    name: str
    asset: str
    blocks: bool
    description: str
    remedy: str
    look: Callable[[Headrace], Finding]

    def remedy_for(self, found: Finding) -> str:
        """What to do about a finding; nothing where it is as it should be."""
        return "" if found.status is Status.PASS else found.remedy or self.remedy


@dataclass(frozen=True)
class Outcome:
    """A check that ran, of ours or of dbt's; the attributes are those of `Check` and `Finding`."""

    name: str
    asset: str
    status: Status
    reason: str
    remedy: str
    seconds: float
    samples: Sequence[Mapping[str, Any]] = ()


def same_rows(found: Mapping[str, Difference]) -> Finding:
    """The finding of a comparison of some generations with the warehouse."""
    samples = [
        {"generation": name, "what": kind, "chunk_id": chunk_id}
        for name, difference in found.items()
        for kind, chunk_ids in vars(difference).items()
        for chunk_id in chunk_ids[:_SAMPLES]
    ]
    return Finding(
        Status.FAIL if samples else Status.PASS,
        "; ".join(f"{name}: {difference}" for name, difference in found.items())
        or "no index is filled yet",
        samples=samples,
    )


def _holds_what_the_warehouse_holds(headrace: Headrace) -> Finding:
    return same_rows({headrace.live_generation.name: headrace.verify(content=True)})


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


def _meets_expectations(model: str, key: str, headrace: Headrace) -> Finding:
    """What the suite of a model finds; its errors fail the check, its warnings warn."""
    # Imported here: Great Expectations takes seconds to load, and a micro-batch needs none of it.
    from dagster_project.core.expectations.validation import validate

    policy = headrace.warehouse.chunking_policy()
    in_a_day = datetime.now(UTC) + timedelta(days=1)
    found = validate(
        read_suite(model, headrace.settings.dbt_project),
        headrace.postgres_url,
        headrace.settings.schema,
        key,
        {
            # The chunks' own word, since a run may give dbt another value than the project has.
            "chunk_tokens": int(policy.split("-")[1]) if policy else 0,
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
# Asked of what dbt made, before a full build embeds any of it.
GATES = (DOCUMENTS, CHUNKS)
CHECKS = (COMPLETE, LAG, CURRENT, *GATES)


def hold_back(headrace: Headrace) -> None:
    """Stop a build whose documents or chunks are not fit for readers.

    Raises:
        NotPublishedError: a check that blocks fails; names each, with its reason and remedy.
    """
    failed = [
        f"{check.name}: {found.reason}. {check.remedy_for(found)}"
        for check in GATES
        if (found := check.look(headrace)).status is Status.FAIL
    ]
    if failed:
        raise NotPublishedError(
            "Nothing was embedded, and readers keep their version, since checks failed. "
            + " ".join(failed)
        )


def run_checks(headrace: Headrace, names: Sequence[str] = ()) -> list[Outcome]:
    """Run dbt's data tests and our checks on what is there; nothing is built or written.

    Args:
        headrace: what to look at.
        names: only those of these names, or of these models and assets; all where there are none.

    Raises:
        ConfigurationError: a name is nobody's.
        HeadraceError: nothing was published yet, or the warehouse does not answer.
    """
    ours = [check for check in CHECKS if _is_meant(names, check.name, check.asset)]
    tests = {
        key: node
        for key, node in headrace.dbt.manifest["nodes"].items()
        if node["resource_type"] == "test" and _is_meant(names, node["name"], _tested(node))
    }
    known = {(check.name, check.asset) for check in ours}
    known |= {(node["name"], _tested(node)) for node in tests.values()}
    if unknown := [name for name in names if not any(_is_meant([name], *each) for each in known)]:
        raise ConfigurationError(
            f"No check is named or about {', '.join(unknown)}: `headrace check` without --select "
            "prints all of them."
        )
    return [*_run_tests(headrace, tests), *(_run(headrace, check) for check in ours)]


def _is_meant(names: Sequence[str], name: str, asset: str) -> bool:
    return not names or bool({name, asset, asset.split("/")[-1]} & set(names))


def _tested(node: Mapping[str, Any]) -> str:
    """The model or source that a test is about."""
    about = node.get("attached_node") or next(iter(node["depends_on"]["nodes"]), "")
    return str(about).split(".")[-1]


def _run(headrace: Headrace, check: Check) -> Outcome:
    started = time.perf_counter()
    found = check.look(headrace)
    return Outcome(
        check.name,
        check.asset,
        found.status,
        found.reason,
        check.remedy_for(found),
        time.perf_counter() - started,
        () if found.status is Status.PASS else found.samples,
    )


def _run_tests(headrace: Headrace, tests: Mapping[str, Mapping[str, Any]]) -> list[Outcome]:
    if not tests:
        return []
    try:
        results = headrace.dbt.test(sorted(node["name"] for node in tests.values()))
    except DbtError as error:
        # A test that fails is what is asked for; without results dbt itself could not run.
        if not error.results:
            raise
        results = error.results
    return [_outcome(tests[key], result) for key, result in results.items() if key in tests]


def _outcome(node: Mapping[str, Any], result: NodeResult) -> Outcome:
    status = {"pass": Status.PASS, "warn": Status.WARN, "fail": Status.FAIL}.get(
        result.status, Status.ERROR
    )
    return Outcome(
        node["name"],
        _tested(node),
        status,
        result.message or f"{result.failures or 0} rows fail",
        ""
        if status is Status.PASS
        else f"`headrace dbt test --select {node['name']} --store-failures` keeps the rows.",
        result.seconds,
    )
