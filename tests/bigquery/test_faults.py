"""BigQuery is gone in the midst of a batch: the emulator is killed while it works on a statement.

Each case waits no longer than it is told to, says where it failed, leaves readers what they had,
and is made good by the next batch once there is an emulator again. `make chaos` takes every case.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dagster_project.core.build import Headrace
from dagster_project.core.errors import HeadraceError
from tests.core.desk import WITHOUT_TESTS

from .emulator import PROJECT, EmulatorUnavailable, Server
from .proxy import Proxy, proxied
from .twins import DATASET, RAW, Twins, fixed_project, place, twins

NOTES = 12
# A statement is begun and not done this long after it was sent.
MOMENT_SECONDS = 0.05
# By what is being done: words of the statement, in lower case.
CASES = {
    "dbt writes the documents": ("merge into", "`rag__documents`"),
    "dbt writes the chunks": ("merge into", "`rag__chunks`"),
    "the sync reads the chunks": ("order by content_hash", "@after"),
    "the sync writes its ledger": ("merge into", "sync_ledger`"),
    "a version is published": ("update", "set published_version"),
    "what readers see is noted": ("update", "set seen_mark"),
}
TAKEN = list(CASES) if os.environ.get("HEADRACE_CHAOS") else list(CASES)[1:3]


class Office:
    """Notes that are all written anew in every round, on both warehouses."""

    def __init__(self, pair: Twins, folder: Path, server: Server, proxy: Proxy) -> None:
        self.pair, self.folder, self.server, self.proxy = pair, folder, server, proxy
        self.round = 0

    def rewrite(self) -> None:
        self.round += 1
        for number in range(NOTES):
            text = f"# Note {number}\n\nNote {number} was written in round {self.round}.\n"
            (self.folder / f"{number}.md").write_text(text)
        self.pair.load(self.folder, "notes")

    def rounds(self) -> set[str]:
        """The rounds that readers see; they ask no warehouse."""
        rows = self.pair.bigquery.live_index.dump()
        return {row["text"].rsplit(" ", 1)[-1].strip() for row in rows}

    def kill_at(self, words: tuple[str, ...]) -> threading.Event:
        """Kill the emulator while it is at a statement with these words; tells that it is dead."""
        dead = threading.Event()

        def kill() -> None:
            self.server.kill()
            dead.set()

        def hear(statement: str) -> None:
            if self.proxy.until is None and all(word in statement.lower() for word in words):
                # Nobody hears how the statement ended.
                self.proxy.until = dead
                threading.Timer(MOMENT_SECONDS, kill).start()

        self.proxy.hears, self.proxy.until = hear, None
        return dead


@pytest.fixture(scope="module")
def office(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    root = tmp_path_factory.mktemp("office")
    folder = root / "notes"
    folder.mkdir()
    (root / "emulator").mkdir()
    try:
        server = Server(root / "emulator")
    except EmulatorUnavailable as error:
        pytest.skip(str(error))
    server.start()
    try:
        with proxied(server.emulator.endpoint) as proxy:
            here = replace(
                place(server.emulator), api_endpoint=proxy.endpoint, job_seconds=60, retry_seconds=2
            )
            pair = twins(here, postgres_url, root, fixed_project(root / "project"))
            office = Office(pair, folder, server, proxy)
            office.rewrite()
            for headrace in pair:
                headrace.build(WITHOUT_TESTS)
            yield office
    finally:
        server.stop()


@pytest.mark.parametrize("case", TAKEN)
def test_a_kill_is_bounded_told_and_made_good(office: Office, case: str) -> None:
    bigquery, postgres = office.pair
    office.rewrite()
    seen = office.rounds()
    dead = office.kill_at(CASES[case])
    with pytest.raises(HeadraceError) as told:
        bigquery.micro_batch([RAW])
    assert dead.wait(60), f"no statement was as {case} is"
    assert PROJECT in str(told.value) and DATASET in str(told.value)
    with pytest.raises(HeadraceError, match=PROJECT):
        bigquery.verify()
    # Either the version was published before the kill, or not: never a part of it.
    assert office.rounds() in (seen, {f"{office.round}."})

    office.server.start()
    # As the next process does.
    again = Headrace(bigquery.settings)
    again.micro_batch([RAW])
    postgres.micro_batch([RAW])
    assert office.rounds() == {f"{office.round}."}
    assert again.verify(content=True).is_clean
    assert office.pair.differences() == {}
    assert again.warehouse.marks()[RAW][0] == again.warehouse.marks()[RAW][1]
