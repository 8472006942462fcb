"""The warehouse, the dbt project, the model and the index of the settings as one resource."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg
from pydantic import PrivateAttr

from dagster_project.core.build import Headrace
from dagster_project.core.settings import Settings


@functools.cache
def _open(home: str) -> Headrace:
    """One a process, so that the model is loaded and the dbt project read once."""
    return Headrace(Settings.load(Path(home) if home else None))


def run_lock(run_id: str) -> str:
    """The lock that the process of a run holds as long as it lives."""
    return f"run {run_id}"


class HeadraceResource(dg.ConfigurableResource):
    """Opens what the settings name, when an asset first asks for it.

    The process of a run shows in the warehouse that it lives: Dagster itself does not learn that a
    run was killed, and what waits for it would wait forever.

    Attributes:
        home: the directory of all state; empty for `HEADRACE_HOME`, else `.headrace` here.
    """

    home: str = ""
    _until_the_end: ExitStack = PrivateAttr(default_factory=ExitStack)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[HeadraceResource]:
        """The resource, for the time of a run, a step or a sensor's tick."""
        if context.run is None:
            yield self
        else:
            presence = self.headrace.warehouse.presence(run_lock(context.run.run_id))
            with presence, self._until_the_end:
                yield self

    def take_turn(self) -> None:
        """Wait until no other batch is under way, and keep others waiting until this run ends.

        Raises:
            WarehouseError: another process had its turn all the time.
        """
        headrace = self.headrace
        turn = headrace.warehouse.lock("build", headrace.settings.lock_wait)
        self._until_the_end.enter_context(turn)

    @property
    def headrace(self) -> Headrace:
        """The same object for every asset of a process."""
        return _open(self.home)
