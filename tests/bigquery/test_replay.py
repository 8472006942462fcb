"""A real handbook's events, one a batch: both warehouses hold the same after each.

`HEADRACE_REPLAY_EVENTS` says how many events; from twenty on, the whole handbook is loaded first.
"""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest

from tests import handbook
from tests.core.desk import WITHOUT_TESTS
from tests.handbook import History

from .emulator import Emulator
from .twins import RAW, Twins, fixed_project, place, twins

NUMBER = int(os.environ.get("HEADRACE_REPLAY_EVENTS", "1"))
FEW_PAGES = 25
LONG_AGO = 1_600_000_000

pytestmark = pytest.mark.skipif(not handbook.EVENTS.is_file(), reason=handbook.ABSENT)


def _batch(pair: Twins, folder: Path) -> None:
    """Bring what a folder holds now to the readers of both, by a micro-batch each."""
    pair.load(folder, "handbook")
    assert pair.bigquery.warehouse.changed_since([RAW]), "it would read more than what changed"
    for headrace in pair:
        headrace.micro_batch([RAW])


def _readable(pair: Twins, folder: Path) -> int:
    """Pages that say something; one of front matter alone is set aside."""
    with psycopg.connect(pair.postgres.postgres_url) as connection:
        [(empty,)] = connection.execute(
            "select count(*) from headrace_ops.raw_documents where body = ''"
        ).fetchall()
    return len(list(folder.rglob("*.md"))) - int(empty)


def test_batches_leave_the_same_on_both(
    bigquery_emulator: Emulator, postgres_url: str, tmp_path: Path
) -> None:
    history, folder = History.read(), tmp_path / "handbook"
    events = history.later[:NUMBER]
    touched = {event["path"] for event in events}
    first = [
        event
        for number, event in enumerate(history.first)
        if NUMBER >= 20 or number < FEW_PAGES or event["path"] in touched
    ]
    handbook.apply(first, folder)
    pair = twins(
        place(bigquery_emulator, "replay"),
        postgres_url,
        tmp_path,
        fixed_project(tmp_path / "project"),
    )
    pair.load(folder, "handbook")
    for headrace in pair:
        headrace.build(WITHOUT_TESTS)
    assert pair.differences() == {}
    chunks, documents, _ = pair.compared()
    assert documents.rows == (_readable(pair, folder),) * 2 and chunks.rows[0] > len(first)

    for number, event in enumerate(events, start=1):
        handbook.apply([event], folder)
        _batch(pair, folder)
        assert pair.differences() == {}, f"after event {number}, {event['op']} {event['path']}"

    page = folder / first[0]["path"]
    text = page.read_text()
    page.unlink()
    _batch(pair, folder)
    assert pair.differences() == {}, "after a page went"
    assert pair.compared()[1].rows[0] == _readable(pair, folder)
    # A page is new, and is edited, under a date of years ago.
    for end in ("", "\nOne more sentence.\n"):
        page.write_text(text + end)
        os.utime(page, (LONG_AGO, LONG_AGO))
        _batch(pair, folder)
        assert pair.differences() == {}, "after it came back under an old date"
        assert pair.compared()[1].rows[0] == _readable(pair, folder)
    for headrace in pair:
        assert headrace.verify(content=True).is_clean
