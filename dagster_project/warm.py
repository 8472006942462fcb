"""The worker that runs are sent to where `dagster.yaml` names the launcher of dagster-celery.

It starts a run in no time: everything is imported, the model is loaded, the dbt project is read.
`headrace dev` starts it; elsewhere `celery --app dagster_project.warm worker --pool solo`.
"""

from __future__ import annotations

from contextlib import suppress

from celery import signals  # type: ignore[import-untyped]
from dagster import DagsterInstance
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tasks import create_execute_job_task

from dagster_project.core.errors import ConfigurationError, HeadraceError
from dagster_project.resources import HeadraceResource

instance = DagsterInstance.get()
launcher = instance.run_launcher
if not isinstance(launcher, CeleryRunLauncher):
    raise ConfigurationError(
        f"{instance.root_directory}/dagster.yaml names no CeleryRunLauncher: "
        "dagster_project/warm.yaml has the lines to add, with a folder for QUEUE."
    )
# Broker and queue are those that runs are sent to.
app = launcher.celery
execute_job = create_execute_job_task(app)


@signals.worker_ready.connect  # type: ignore[untyped-decorator]
def warm_up(**_: object) -> None:
    """Do once what each run would wait for; what fails here fails in a run too, and says why."""
    import dagster_project.definitions  # noqa: F401, PLC0415 - a warm import is the purpose

    with suppress(HeadraceError):
        HeadraceResource().headrace.warm_up()
