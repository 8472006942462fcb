"""Which runs are under way, which end at this moment, and which were killed."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from dagster_project.core.build import Headrace
from dagster_project.defs.flow import runs
from dagster_project.resources import run_lock

JOB = "batch"


@dg.job(name=JOB)
def batch() -> None:
    """Does nothing: its runs are reported here."""


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    # Runs that are a moment old are old enough to be looked after.
    monkeypatch.setattr(runs, "START_SECONDS", -1.0)
    monkeypatch.setattr(runs, "ENDING_SECONDS", 1.0)
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def _started(instance: dg.DagsterInstance) -> dg.DagsterRun:
    run = instance.create_run_for_job(batch)
    _report(instance, run, dg.DagsterEventType.RUN_START)
    return run


def _report(instance: dg.DagsterInstance, run: dg.DagsterRun, kind: dg.DagsterEventType) -> None:
    instance.report_dagster_event(dg.DagsterEvent(kind.value, JOB), run.run_id)


def _status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def test_a_run_that_holds_its_lock_is_under_way(
    instance: dg.DagsterInstance, headrace: Headrace
) -> None:
    run = _started(instance)
    with headrace.warehouse.lock(run_lock(run.run_id), 0):
        assert list(runs.under_way(instance, headrace, JOB)) == [run.run_id]
    assert _status(instance, run) is DagsterRunStatus.STARTED


def test_a_run_whose_process_is_gone_has_failed(
    instance: dg.DagsterInstance, headrace: Headrace
) -> None:
    run = _started(instance)
    assert runs.under_way(instance, headrace, JOB) == {}
    assert _status(instance, run) is DagsterRunStatus.FAILURE


def test_a_run_that_ends_as_it_is_looked_at_has_succeeded(
    instance: dg.DagsterInstance, headrace: Headrace
) -> None:
    run = _started(instance)
    # Its lock is free already; that it succeeded, it says a moment later.
    end = threading.Timer(0.2, _report, [instance, run, dg.DagsterEventType.RUN_SUCCESS])
    end.start()
    runs.under_way(instance, headrace, JOB)
    end.join()
    assert _status(instance, run) is DagsterRunStatus.SUCCESS
