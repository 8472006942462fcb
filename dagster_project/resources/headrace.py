"""The warehouse, the dbt project, the model and the index of the settings as one resource."""

from __future__ import annotations

import functools
from pathlib import Path

import dagster as dg

from dagster_project.core.build import Headrace
from dagster_project.core.settings import Settings


@functools.cache
def _open(home: str) -> Headrace:
    """One a process, so that the model is loaded and the dbt project read once."""
    return Headrace(Settings.load(Path(home) if home else None))


class HeadraceResource(dg.ConfigurableResource):
    """Opens what the settings name, when an asset first asks for it.

    Attributes:
        home: the directory of all state; empty for `HEADRACE_HOME`, else `.headrace` here.
    """

    home: str = ""

    @property
    def headrace(self) -> Headrace:
        """The same object for every asset of a process."""
        return _open(self.home)
