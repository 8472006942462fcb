"""What a server writes on stderr, and what it says of its errors to readers."""

from __future__ import annotations

import logging
import re
import sys

from dagster_project.core.dbt import DbtError
from dagster_project.core.errors import HeadraceError, WarehouseError

# Names and passwords in URLs.
_CREDENTIALS = re.compile(r"(?<=://)[^\s/@]+@")
# Where things are: URLs and paths.
_PLACES = re.compile(r"""\b[A-Za-z][\w+.-]*://[^\s,;()'"]+|(?<![\w.~])~?(?:/[^\s/,;:()'"]+)+/?""")
_LONGEST = 1_500
SILENT = (
    "The warehouse does not answer that now: ask for less, or try again later. The server's log "
    "has the reason."
)


def told(error: HeadraceError) -> str:
    """What a reader can act on: the first line of an error's message, without places.

    What a warehouse or dbt says names hosts, projects and accounts, and is for the log.
    """
    if isinstance(error, (WarehouseError, DbtError)):
        return SILENT
    first = next(iter(str(error).splitlines()), "")
    return _PLACES.sub("…", first)[:_LONGEST]


class _Formatter(logging.Formatter):
    """Lines without names and passwords in URLs, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return _CREDENTIALS.sub("***@", super().format(record))


def log_to_stderr() -> None:
    """Send what is logged to stderr: warnings of everything, and all that the servers say."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("dagster_project.serving").setLevel(logging.INFO)
