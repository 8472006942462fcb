"""Documents from outside the warehouse: files, Slack exports, Notion exports."""

from dagster_project.core.ingest.files import Limits, ingest_files
from dagster_project.core.ingest.load import IngestReport

__all__ = ["IngestReport", "Limits", "ingest_files"]
