"""Documents from outside the warehouse: files, Slack exports, Notion exports."""

from dagster_project.core.ingest.files import Limits, ingest_files
from dagster_project.core.ingest.load import IngestReport
from dagster_project.core.ingest.notion import ingest_notion
from dagster_project.core.ingest.slack import ingest_slack

__all__ = ["IngestReport", "Limits", "ingest_files", "ingest_notion", "ingest_slack"]
