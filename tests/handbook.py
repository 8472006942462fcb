"""A real handbook's history, event by event; where it is, is a setting."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

DATA = Path(os.environ.get("HEADRACE_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
EVENTS = DATA / "handbook" / "events.jsonl.gz"
ABSENT = f"{EVENTS} is not there: set HEADRACE_TEST_DATA to the folder of the test data"

Event = dict[str, Any]


@dataclass(frozen=True)
class History:
    """What a handbook was, and what became of it.

    Attributes:
        first: the events of its first commit, a page each.
        commits: those of each commit that follows, in order.
    """

    first: list[Event]
    commits: list[list[Event]]

    @classmethod
    def read(cls) -> History:
        """Read it from where the setting says."""
        with gzip.open(EVENTS, "rt") as lines:
            events = [json.loads(line) for line in lines]
        first, *commits = (list(found) for _, found in groupby(events, key=itemgetter("commit")))
        return cls(first, commits)

    @property
    def later(self) -> list[Event]:
        """The events after the first commit, in order."""
        return list(chain.from_iterable(self.commits))


def apply(events: Iterable[Event], folder: Path) -> None:
    """Do to a folder's pages what some events say."""
    for event in events:
        page = folder / event["path"]
        if event["op"] == "delete":
            page.unlink(missing_ok=True)
        else:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(event["body"], encoding="utf-8")
