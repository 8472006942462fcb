"""What the assets run on."""

from dagster_project.resources.headrace import HeadraceResource, run_lock

__all__ = ["HeadraceResource", "run_lock"]
