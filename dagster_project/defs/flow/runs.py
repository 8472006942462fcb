"""Which runs of a job are under way, and which were killed without Dagster's knowing."""

import time

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from dagster_project.core.build import Headrace
from dagster_project.resources import run_lock

_UNDER_WAY = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]
# A process that does not show itself this long after its run was made is gone.
START_SECONDS = 60.0
# A run says how it ended within this of freeing its lock.
ENDING_SECONDS = 3.0
# A run that was sent to a worker may wait for another one to end there.
WORKER_SECONDS = 600.0
_SENT_TO_A_WORKER = "dagster-celery/task_id"


def under_way(instance: dg.DagsterInstance, headrace: Headrace, job_name: str) -> dict[str, float]:
    """Seconds since each run of a job was made, by run id, newest first.

    A run whose process is gone is marked as failed.
    """
    ages: dict[str, float] = {}
    for record in instance.get_run_records(RunsFilter(job_name=job_name, statuses=_UNDER_WAY)):
        run = record.dagster_run
        age = time.time() - record.create_timestamp.timestamp()
        patience = WORKER_SECONDS if _SENT_TO_A_WORKER in run.tags else START_SECONDS
        # After the start its process holds the lock from its first step on.
        started = record.start_time is not None and time.time() - record.start_time > 10
        if (age > patience or started) and _is_gone(instance, headrace, run.run_id):
            instance.report_run_failed(run, "The process of this run is gone.")
            # Else the pools would count its steps for ever.
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        else:
            ages[run.run_id] = age
    return ages


def _is_gone(instance: dg.DagsterInstance, headrace: Headrace, run_id: str) -> bool:
    """Whether the process of a run is gone and left the run under way."""
    if headrace.warehouse.is_locked(run_lock(run_id)):
        return False
    # A run that ends frees its lock a moment before it says that it succeeded.
    time.sleep(ENDING_SECONDS)
    run = instance.get_run_by_id(run_id)
    return run is not None and run.status in _UNDER_WAY
