"""A model or a way of cutting changes beside the live index; these tests follow one another."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from dagster_project.core import sync as sync_module
from dagster_project.core.build import Headrace
from dagster_project.core.errors import ConfigurationError, VectorStoreError
from dagster_project.core.index import GenerationState
from dagster_project.core.retrieval import Principals, Retriever

from .desk import Desk, Worker

CUT_SHORTER = ["--vars", "{headrace_chunk_tokens: 64}"]


@pytest.fixture(scope="module")
def desk(headrace: Headrace, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = Desk(headrace, tmp_path_factory.mktemp("notes"))
    desk.rewrite()
    desk.build()
    return desk


def _with_model(desk: Desk, model: str) -> Desk:
    other = Desk(Headrace(replace(desk.headrace.settings, model=model)), desk.folder)
    other.round = desk.round
    return other


@contextmanager
def _searches(desk: Desk) -> Iterator[list[str]]:
    """Search without a pause; none may fail, and each must be answered from all the notes."""
    models: list[str] = []
    failures: list[Exception] = []
    ends = threading.Event()
    headrace = Headrace(desk.headrace.settings)

    def ask() -> None:
        number = 0
        retriever = Retriever(headrace, Principals.of())
        while not ends.is_set():
            number = (number + 7) % desk.notes
            try:
                hits = retriever.search(f"Note {number} was written", desk.rows)
                assert len({hit.document_id for hit in hits}) == desk.rows
                models.append(headrace.live_generation.model_id)
            except Exception as error:  # noqa: BLE001 - the test reports it
                failures.append(error)
                return

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield models
    finally:
        ends.set()
        thread.join()
    assert not failures, repr(failures[0])


def _states(desk: Desk) -> list[tuple[str, str]]:
    return [(g.model_id, g.state.value) for g in desk.headrace.store.generations()]


def test_a_model_is_switched_under_searches(desk: Desk) -> None:
    other = _with_model(desk, "fake-64")
    with _searches(desk) as models:
        time.sleep(0.5)
        report = other.build()
        time.sleep(0.5)
    assert (report.sync.embedded, report.sync.reused) == (desk.rows, 0)
    other.check()
    assert other.headrace.live_generation.dimension == 64
    # Old answers, then new ones, and no way back.
    assert set(models) == {"fake-384", "fake-64"}
    assert models == sorted(models, key=["fake-384", "fake-64"].index)
    assert _states(desk) == [("fake-384", "previous"), ("fake-64", "live")]


def test_a_rollback_holds_against_the_builds_that_follow(desk: Desk) -> None:
    other = _with_model(desk, "fake-64")
    other.rewrite()
    other.build()
    with _searches(desk):
        desk.headrace.rollback()
        assert _states(desk) == [("fake-384", "live"), ("fake-64", "held")]
        # What was edited, deleted or shut since it was replaced does not come back with it.
        assert desk.rounds() == [other.round] * desk.notes
        # The setting still names the model that was rolled back.
        other.build()
    assert _states(desk) == [("fake-384", "live"), ("fake-64", "held")]
    other.rewrite()
    report = other.build()
    assert (report.generation, report.sync.changed) == (
        other.headrace.live_generation.name,
        other.notes,
    )
    other.check()
    desk.round = other.round


def test_a_held_generation_is_promoted_up_to_date(desk: Desk) -> None:
    held = next(g for g in desk.headrace.store.generations() if g.model_id == "fake-64")
    desk.headrace.promote(held.name)
    assert _states(desk) == [("fake-384", "previous"), ("fake-64", "live")]
    other = _with_model(desk, "fake-64")
    other.check()


def test_the_live_generation_is_not_retired_and_another_is(desk: Desk) -> None:
    store = desk.headrace.store
    old, live = store.generations()
    with pytest.raises(VectorStoreError, match="Readers see the generation"):
        store.retire(live.name)
    with pytest.raises(VectorStoreError, match="has no generation 'nonsense'"):
        store.retire("nonsense")
    assert (Path(store.uri) / f"{old.name}.lance").is_dir()
    store.retire(old.name)
    assert not (Path(store.uri) / f"{old.name}.lance").exists()
    assert _states(desk) == [("fake-64", "live")]
    with pytest.raises(VectorStoreError, match="no previous generation"):
        store.rollback()


def test_a_build_that_is_killed_while_it_fills_goes_on_where_it_was(desk: Desk) -> None:
    blue = _with_model(desk, "fake-64")
    green = _with_model(desk, "fake-96")
    worker = Worker(green.headrace.settings)
    with _searches(blue) as models:
        worker.start()
        until = time.monotonic() + 60
        while _filled(green) < 50:
            assert time.monotonic() < until
            time.sleep(0.01)
        worker.kill()
        filled = _filled(green)
        assert desk.headrace.live_generation.model_id == "fake-64"
        report = green.build()
    assert 0 < filled < desk.rows
    assert report.sync.embedded <= desk.rows - filled
    assert set(models) >= {"fake-64"}
    green.check()
    assert _states(desk) == [("fake-64", "previous"), ("fake-96", "live")]


def _filled(desk: Desk) -> int:
    for generation in desk.headrace.store.generations():
        if generation.state is GenerationState.BUILDING:
            index = desk.headrace.store.index(generation)
            return index.count() if index.exists else 0
    return 0


def test_another_way_of_cutting_is_another_generation_and_keeps_vectors(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_module, "BATCH_ROWS", 16)
    cut = _with_model(desk, "fake-96")
    before = cut.headrace.live_generation
    with _searches(cut):
        report = cut.headrace.build(CUT_SHORTER)
    # The notes are short, so that the texts are the same: no text is embedded again.
    assert (report.sync.added, report.sync.embedded) == (desk.rows, 0)
    cut.check()
    assert cut.headrace.live_generation.chunking_policy == "1-64-0"
    # What cannot be brought up to date is shown to those alone who ask for it as it is.
    with pytest.raises(ConfigurationError, match="cut in another way"):
        cut.headrace.promote(before.name)
    with pytest.raises(ConfigurationError, match="cut in another way"):
        cut.headrace.rollback()
    assert cut.headrace.rollback(as_it_is=True) == cut.headrace.live_generation
    cut.headrace.promote(report.generation)
    # And back: the generation of that cutting is still there.
    report = cut.build()
    assert report.sync.embedded == 0
    assert cut.headrace.live_generation.chunking_policy == "1-256-0"
    cut.check()


def test_a_new_generation_can_be_left_unseen(desk: Desk) -> None:
    other = _with_model(desk, "fake-32")
    before = desk.headrace.live_generation
    report = other.headrace.build(promote=False)
    assert report.generation == before.name == desk.headrace.live_generation.name
    (waiting,) = report.others
    assert report.others[waiting].embedded == desk.rows
    desk.headrace.promote(waiting)
    other.check()


def test_a_generation_is_rebuilt_from_nothing(desk: Desk) -> None:
    other = _with_model(desk, "fake-32")
    before = other.headrace.live_generation
    begun = other.headrace.rebuild()
    report = other.build()
    assert report.generation == begun.name != before.name
    assert report.sync.embedded == desk.rows
    other.check()
