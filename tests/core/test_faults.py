"""Real faults: after each the next run completes, the index is exact, and no reader saw a part.

`HEADRACE_CHAOS` says how many times a batch is killed; `make chaos` takes many.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from dagster_project.core import sync as sync_module
from dagster_project.core.build import Headrace
from dagster_project.core.embedding import Embeddings, FakeEmbedder
from dagster_project.core.errors import HeadraceError, VectorStoreError, WarehouseError
from dagster_project.core.postgres import EmbeddedPostgres
from dagster_project.core.settings import PACKAGE_PROJECT, Settings
from dagster_project.core.warehouse import postgres as warehouse_module

from .desk import Desk, Worker

KILLS = int(os.environ.get("HEADRACE_CHAOS", "4"))


@pytest.fixture(scope="module")
def desk(headrace: Headrace, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = Desk(headrace, tmp_path_factory.mktemp("notes"))
    desk.rewrite()
    desk.build()
    desk.check()
    return desk


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_module, "BATCH_ROWS", 16)
    monkeypatch.setattr(warehouse_module, "PAGE_ROWS", 32)


def test_a_batch_that_is_killed_anywhere_is_done_by_the_next_run(desk: Desk) -> None:
    worker = Worker(desk.headrace.settings)
    desk.rewrite()
    started = time.monotonic()
    worker.start()
    assert worker.answer() == "built"
    whole = time.monotonic() - started
    worker.kill()
    moments = random.Random(KILLS)  # noqa: S311 - the moments of the kills, again in every run
    for number in range(KILLS):
        worker = Worker(desk.headrace.settings)
        desk.rewrite()
        with desk.reader():
            worker.start()
            # One kill in each part of the batch, anywhere within it.
            time.sleep(whole * (number + moments.random()) / KILLS)
            worker.kill()
            desk.build()
        desk.check()


class Interrupted(FakeEmbedder):
    """A model during whose work something happens to the world."""

    def __init__(self, happens: Callable[[], object], after: int = 3) -> None:
        super().__init__()
        self.happens = happens
        self.after = after

    def embed(self, texts: Sequence[str]) -> Embeddings:
        self.after -= 1
        if self.after == 0:
            self.happens()
        return super().embed(texts)


@pytest.fixture
def own_desk(tmp_path: Path) -> Iterator[tuple[Desk, EmbeddedPostgres]]:
    """A desk with a Postgres of its own, to be stopped."""
    server = EmbeddedPostgres(tmp_path / "home")
    settings = replace(_settings(tmp_path), postgres_url=server.start())
    (tmp_path / "notes").mkdir()
    desk = Desk(Headrace(settings), tmp_path / "notes")
    desk.rewrite()
    desk.build()
    yield desk, server
    server.stop()


def _settings(home: Path) -> Settings:
    return Settings(
        home=home / "home",
        dbt_project=PACKAGE_PROJECT,
        postgres_url=None,
        schema="headrace",
        lancedb_uri=str(home / "lancedb"),
        model="fake",
    )


def test_a_postgres_that_stops_in_the_midst_loses_nothing(
    own_desk: tuple[Desk, EmbeddedPostgres],
) -> None:
    desk, server = own_desk
    headrace = desk.headrace
    desk.rewrite()
    headrace.dbt.build()
    headrace._embedders["fake"] = Interrupted(server.stop)
    with desk.reader():
        with pytest.raises(WarehouseError, match="Postgres"):
            headrace.sync()
        desk.headrace = Headrace(replace(headrace.settings, postgres_url=server.start()))
        desk.build()
    desk.check()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {made.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_disk_that_fills_up_in_the_midst_leaves_readers_alone(
    desk: Desk, small_disk: Path
) -> None:
    headrace = Headrace(replace(desk.headrace.settings, lancedb_uri=str(small_disk / "lancedb")))
    full = Desk(headrace, desk.folder)
    full.round = desk.round
    full.build()
    full.rewrite()
    desk.round = full.round
    headrace.dbt.build()
    ballast = small_disk / "ballast"

    def fill() -> None:
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 65_536)
            except OSError:
                return

    headrace._embedders["fake"] = Interrupted(fill)
    with full.reader():
        with pytest.raises(VectorStoreError, match="disk's space"):
            headrace.sync()
        ballast.unlink()
        full.build()
    full.check()
    desk.build()
    desk.check()


def _newest(folder: Path) -> Path:
    # LanceDB counts manifests down, so that the newest is first.
    return sorted(folder.glob("*.manifest"), key=lambda path: (len(path.stem) < 20, path.stem))[0]


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _garble(path: Path) -> None:
    path.write_bytes(bytes(random.Random(1).randbytes(path.stat().st_size)))  # noqa: S311


@pytest.mark.parametrize("damage", [_cut, _empty, _garble])
@pytest.mark.parametrize("what", ["live", "unpublished"])
def test_a_torn_manifest_is_set_aside(
    desk: Desk, damage: Callable[[Path], None], what: str
) -> None:
    index = desk.headrace.live_index
    desk.rewrite()
    if what == "unpublished":
        desk.headrace.dbt.build()
        desk.headrace.sync()
    else:
        desk.build()
    table = Path(index.uri) / f"{index.name}.lance"
    damage(_newest(table / "_versions"))
    # Readers have the round before: it is still live, or live again where this one's is torn.
    assert desk.rounds() == [desk.round - 1] * desk.notes
    desk.build()
    desk.check()
    assert list((table / "_torn").iterdir())


def test_a_damaged_data_file_of_a_version_nobody_saw_is_written_again(desk: Desk) -> None:
    index = desk.headrace.live_index
    desk.rewrite()
    desk.headrace.dbt.build()
    desk.headrace.sync()
    data = Path(index.uri) / f"{index.name}.lance" / "data"
    _cut(max(data.glob("*.lance"), key=lambda path: path.stat().st_mtime_ns))
    index.clear_marks()
    desk.build()
    desk.check()


def test_a_clock_that_is_set_back_stops_no_batch(desk: Desk) -> None:
    # As if this batch had been written while the clock was ten years ahead.
    ahead = 10 * 365 * 86_400_000
    desk.rewrite()
    desk.headrace.dbt.build()
    with psycopg.connect(desk.headrace.postgres_url) as connection:
        for name in ("rag__documents", "rag__chunks"):
            connection.execute(
                f"update headrace.{name} set batch_id = batch_id + {ahead} "  # noqa: S608
                f"where batch_id = (select max(batch_id) from headrace.{name})"
            )
    desk.build()
    desk.check()
    before = desk.headrace.warehouse.batch_range()[1]
    desk.rewrite()
    desk.build()
    desk.check()
    after = desk.headrace.warehouse.batch_range()[1]
    assert before is not None and after is not None
    assert time.time() * 1000 + ahead / 2 < before < after


def test_a_batch_that_is_run_again_writes_nothing(desk: Desk) -> None:
    index = desk.headrace.live_index
    rows = sorted(index.rows(["chunk_id", "indexed_at"], live=True).to_pylist(), key=str)
    index.clear_marks()
    report = desk.headrace.sync()
    assert report.is_empty and report.embedded == 0
    desk.headrace.publish()
    assert sorted(index.rows(["chunk_id", "indexed_at"], live=True).to_pylist(), key=str) == rows
    desk.check()


def test_of_two_runs_at_once_one_waits(desk: Desk) -> None:
    workers = [Worker(desk.headrace.settings) for _ in range(2)]
    desk.rewrite()
    with desk.reader():
        for worker in workers:
            worker.start()
        assert [worker.answer() for worker in workers] == ["built", "built"]
    for worker in workers:
        worker.kill()
    desk.check()


def test_a_run_that_may_not_wait_is_refused_and_told_why(desk: Desk) -> None:
    hasty = Headrace(replace(desk.headrace.settings, lock_wait=0.0))
    with desk.headrace.warehouse.lock("build", 0), pytest.raises(HeadraceError) as refusal:
        hasty.build()
    assert "Another process has been running build" in str(refusal.value)
    assert "HEADRACE_LOCK_WAIT" in str(refusal.value)
    hasty.build()
    desk.check()
