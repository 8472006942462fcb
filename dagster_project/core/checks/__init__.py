"""What must hold of the index and of what reaches it, for Dagster and for `headrace check`.

Data tests of dbt are the other half; `run_checks` runs both. A check that blocks keeps a version
from its readers: while a batch is published it looks at the batch's own rows, here at everything.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from dagster_project.core.build import Headrace, NotPublishedError
from dagster_project.core.checks.answers import ANSWERS, good_answers
from dagster_project.core.checks.documents import (
    AGREE,
    CHUNKS,
    DOCUMENTS,
    FRESH,
    ONE_VERSION,
    OWNERS,
    REVIEWS,
)
from dagster_project.core.checks.index import (
    COMPLETE,
    CURRENT,
    ERROR_SECONDS,
    FITS,
    IN_FORCE,
    LAG,
    NEAREST,
    nothing_cut,
    nothing_out_of_force,
    same_rows,
)
from dagster_project.core.checks.model import Check, Finding, Outcome, Status
from dagster_project.core.dbt import DbtError, NodeResult
from dagster_project.core.errors import ConfigurationError

# Asked of what dbt made, before a full build embeds any of it.
GATES = (DOCUMENTS, CHUNKS, ONE_VERSION)
# Of what dbt made, none of which keeps anything back.
ADVICE = (OWNERS, REVIEWS, FRESH, AGREE)
CHECKS = (COMPLETE, IN_FORCE, FITS, ANSWERS, LAG, CURRENT, NEAREST, *GATES, *ADVICE)

__all__ = [
    "ADVICE",
    "ANSWERS",
    "CHECKS",
    "CHUNKS",
    "COMPLETE",
    "CURRENT",
    "DOCUMENTS",
    "ERROR_SECONDS",
    "FITS",
    "GATES",
    "IN_FORCE",
    "LAG",
    "NEAREST",
    "Check",
    "Finding",
    "Outcome",
    "Status",
    "good_answers",
    "hold_back",
    "nothing_cut",
    "nothing_out_of_force",
    "run_checks",
    "same_rows",
]


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
