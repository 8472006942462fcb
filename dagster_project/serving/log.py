"""What a server writes on stderr, and what it says of its errors to readers."""

from __future__ import annotations

import logging
import re
import sys

# Names and passwords in URLs.
_CREDENTIALS = re.compile(r"(?<=://)[^\s/@]+@")
# Where things are: URLs, paths, and the host in Postgres' messages.
_PLACES = re.compile(
    r"""\b[A-Za-z][\w+.-]*://[^\s,;()'"]+"""
    r"""|(?<![\w.~])~?(?:/[^\s/,;:()'"]+)+/?"""
    r"""|(?<=server\ at\ ")[^"]+""",
    re.VERBOSE,
)
_LONGEST = 1_500


def told(message: str) -> str:
    """The first line of an error's message without places: what a reader can act on."""
    first = next(iter(message.splitlines()), "")
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
