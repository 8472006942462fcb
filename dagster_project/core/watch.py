"""Which source tables changed since readers last saw them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from dagster_project.core.warehouse import SourceTable, Warehouse

# A change that no cheap sign gives away is found within this.
FULL_LOOK_SECONDS = 60.0
# The day, in UTC: documents expire and go stale by it without a change of any row.
CLOCK = "clock"
# A state that no table is in.
_MORE = "more"


class Watch:
    """Looks at the source tables of a dbt project, and remembers what readers have seen of them.

    A look at a table of up to 100,000 rows reads the transaction of every row, which no insert,
    update, delete, late commit or old timestamp escapes. A larger one is judged by the server's
    counters of written rows at every look, and read whole once a minute: the counters can lag.
    What was seen is written by the batch that published it, never by the one that asks for it.
    """

    def __init__(self, warehouse: Warehouse, manifest: Mapping[str, Any]) -> None:
        """Take the warehouse and dbt's manifest, as `manifest.json` has it."""
        self._warehouse = warehouse
        self._manifest = manifest
        self._last_full = 0.0
        above = _closure([_key(manifest, "rag__chunks")], manifest["parent_map"])
        self.tables = [
            SourceTable(
                unique_id, source["schema"], source["identifier"], source.get("database") or ""
            )
            for unique_id, source in sorted(manifest["sources"].items())
            if unique_id in above
        ]
        self._above = above

    def group(self, source_name: str | None) -> list[SourceTable]:
        """The tables of a dbt source; all of them for None."""
        return [
            table
            for table in self.tables
            if source_name is None or table.unique_id.split(".")[2] == source_name
        ]

    def groups(self) -> list[str]:
        """The dbt sources that chunks are made of."""
        return sorted({table.unique_id.split(".")[2] for table in self.tables})

    def changed(self, source_name: str | None = None) -> list[str]:
        """Sources whose state is not the one that readers saw, by the cheapest sure sign.

        Args:
            source_name: look at the tables of one dbt source only.

        Raises:
            WarehouseError: the warehouse does not answer.
        """
        now, marks = self._states(source_name), self._warehouse.marks()
        seen = {key: mark for key, (_, mark) in marks.items()}
        found = [key for key, state in now.items() if not same_state(state, seen.get(key))]
        return found + ([CLOCK] if seen.get(CLOCK) != _today() else [])

    def came_meanwhile(self, source_name: str | None = None) -> list[str]:
        """Sources that changed since they were read, where readers do not see yet what was read.

        Raises:
            WarehouseError: the warehouse does not answer.
        """
        marks = self._warehouse.marks()
        # Most looks end here, before they read a table.
        if all(read == seen for read, seen in marks.values()):
            return []
        now, read = self._states(source_name), {key: mark for key, (mark, _) in marks.items()}
        return [key for key, state in now.items() if not same_state(state, read.get(key))]

    def _states(self, source_name: str | None) -> Mapping[str, str]:
        full = time.monotonic() - self._last_full >= FULL_LOOK_SECONDS
        states = self._warehouse.source_states(self.group(source_name), full=full)
        if full:
            self._last_full = time.monotonic()
        return states

    def begin(self, sources: Sequence[str]) -> None:
        """Note the state of some sources that a batch begins to read, before dbt reads them."""
        tables = [table for table in self.tables if table.unique_id in sources]
        marks = self._warehouse.source_states(tables, full=True)
        self._warehouse.write_read_marks(marks | ({CLOCK: _today()} if CLOCK in sources else {}))

    def is_cut(self, sources: Sequence[str]) -> None:
        """Note that the batch left changes of some sources to the next one."""
        self._warehouse.write_read_marks(dict.fromkeys(sources, _MORE))

    def everything(self) -> list[str]:
        """Every source, and the clock."""
        return [*(table.unique_id for table in self.tables), CLOCK]

    def plan(self, sources: Iterable[str]) -> list[str]:
        """Names of the models between some sources and the chunks that must run; views need not."""
        below = _closure(sources, self._manifest["child_map"])
        nodes = self._manifest["nodes"]
        models = {
            nodes[key]["name"]
            for key in below & self._above
            if key in nodes
            and nodes[key]["resource_type"] == "model"
            and nodes[key]["config"]["materialized"] not in {"view", "ephemeral"}
        }
        return sorted(models | {"rag__documents", "rag__chunks"})

    def document_models(self, sources: Iterable[str]) -> list[str]:
        """Names of the document models that some sources change; none where they may change all.

        The clock changes the state of any document.
        """
        sources = set(sources)
        if CLOCK in sources:
            return []
        below = _closure(sources, self._manifest["child_map"])
        united = self._manifest["parent_map"][_key(self._manifest, "rag__incoming")]
        return sorted(self._manifest["nodes"][key]["name"] for key in below.intersection(united))


def _today() -> str:
    return f"{datetime.now(timezone.utc):%Y-%m-%d}"


def same_state(now: str, seen: str | None) -> bool:
    """Whether two states of a table are the same: by the full look where both have one."""
    if seen is None:
        return False
    counters_now, _, whole_now = now.partition("|")
    counters_seen, _, whole_seen = seen.partition("|")
    return whole_now == whole_seen if whole_now and whole_seen else counters_now == counters_seen


def _closure(start: Iterable[str], edges: Mapping[str, Sequence[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(start)
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting.extend(edges.get(key, ()))
    return found


def _key(manifest: Mapping[str, Any], model: str) -> str:
    return next(str(key) for key, node in manifest["nodes"].items() if node["name"] == model)
