"""What the assets run on."""

from dagster_project.resources.headrace import HeadraceResource

__all__ = ["HeadraceResource"]
