"""A local web page to look at retrieval: hits, context, lineage, in the name of one reader."""

from dagster_project.serving.page.app import make_app
from dagster_project.serving.page.server import serve

__all__ = ["make_app", "serve"]
