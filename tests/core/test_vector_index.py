"""Which vector index a table has, and that a check sees one that misses the nearest."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pytest
from lancedb.index import IvfRq
from numpy.typing import NDArray

from dagster_project.core.build import Headrace
from dagster_project.core.checks.index import CURRENT, NEAREST
from dagster_project.core.checks.model import Status
from dagster_project.core.embedding import FakeEmbedder
from dagster_project.core.errors import ConfigurationError, VectorStoreError
from dagster_project.core.index import VectorIndexing
from dagster_project.core.retrieval import Filters, Principals, Retriever
from dagster_project.core.settings import Settings

from .shelves import chunk, put, shelves

# More than are compared one by one.
ROWS = 3_000
LOW = 500
CHECK = NEAREST


def _vectors(spread: float) -> NDArray[np.float32]:
    """Directions about 60 of them, as texts are about subjects; far enough apart, about none."""
    rng = np.random.default_rng(3)
    subjects = rng.normal(size=(60, 384))
    vectors = subjects[rng.integers(60, size=ROWS)] + spread * rng.normal(size=(ROWS, 384))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


def _filled(folder: Path, vectors: NDArray[np.float32], **settings: Any) -> Headrace:  # noqa: ANN401
    headrace = shelves(folder, **({"vector_index_rows": LOW} | settings))
    put(headrace, (chunk(f"n:{number}", f"Note {number}.") for number in range(ROWS)), vectors)
    return headrace


def _kind(headrace: Headrace) -> str | None:
    indices = headrace.live_index.live().list_indices()
    return next((index.index_type for index in indices if index.columns == ["vector"]), None)


def _tidied(headrace: Headrace, **settings: Any) -> Headrace:  # noqa: ANN401
    """The same with other settings, after a tidying, which takes no warehouse."""
    other = Headrace(replace(headrace.settings, **settings))
    index = other.live_index
    with index.writer():
        index.maintain(timedelta(hours=1))
    return other


def test_the_index_of_vectors_is_the_settings_choice_and_finds_the_nearest(tmp_path: Path) -> None:
    vectors = _vectors(0.4)
    headrace = _filled(tmp_path, vectors)
    assert _kind(headrace) == "IvfRq"
    for settings, kind in (
        ({"vector_index": "ivf_hnsw_sq"}, "IvfHnswSq"),
        ({"vector_index": "exact"}, None),
        ({"vector_index": "ivf_rq"}, "IvfRq"),
        ({"vector_index_rows": ROWS + 1}, None),
    ):
        headrace = _tidied(headrace, **settings)
        assert _kind(headrace) == kind
        finding = CHECK.look(headrace)
        assert finding.status is Status.PASS, finding
        assert ("recall_at_10" in finding.figures) == (kind is not None)
        assert headrace.live_index.count() == ROWS
        headrace = Headrace(replace(headrace.settings, vector_index_rows=LOW))


def test_below_its_threshold_and_in_a_small_batch_no_index_is_made(tmp_path: Path) -> None:
    headrace = _filled(tmp_path, _vectors(0.4), vector_index_rows=ROWS + 1)
    assert _kind(headrace) is None
    put(headrace, [chunk(f"more:{number}", f"More {number}.") for number in range(2)])
    assert headrace.live_index.count() > ROWS and _kind(headrace) is None
    headrace = _tidied(headrace)
    assert _kind(headrace) == "IvfRq"
    # What comes after is found though it is not in the index yet, and is not waited for.
    put(headrace, [chunk("late", "Something late.")])
    hits = Retriever(headrace, Principals.of()).search("late\n\nSomething late.", 1)
    assert (hits[0].document_id, hits[0].vector_rank) == ("late", 1)


def test_an_index_that_misses_the_nearest_is_seen(tmp_path: Path) -> None:
    # Vectors about nothing, cut into so many parts that a search looks at few of them.
    headrace = _filled(tmp_path, _vectors(100.0), vector_index="exact")
    assert CHECK.look(headrace).figures == {}
    _in_many_parts(headrace)
    finding = CHECK.look(headrace)
    assert finding.status is Status.WARN
    assert finding.figures["recall_at_10"] < 0.7
    assert "generations rebuild" in CHECK.remedy_for(finding)
    assert CHECK.look(_tidied(headrace)).status is Status.PASS


def _in_many_parts(headrace: Headrace) -> None:
    index = headrace.live_index
    table: Any = lancedb.connect(index.uri).open_table(index.name)
    table.create_index("vector", config=IvfRq(distance_type="cosine", num_partitions=300))
    index.publish()


def test_a_filter_whose_rows_are_all_far_finds_them(tmp_path: Path) -> None:
    headrace = shelves(tmp_path, vector_index_rows=LOW, vector_index="exact")
    question = "what is far?"
    asked = FakeEmbedder().embed([question]).vectors[0]
    is_far = np.arange(ROWS) % 4 > 0
    noise = np.random.default_rng(3).normal(size=(ROWS, 384)) / 40
    vectors = np.where(is_far, -1, 1)[:, np.newaxis] * asked + noise
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    kinds = ("near", "far", "far", "far")
    rows = (chunk(f"n:{n}", f"Note {n}.", doc_type=kinds[n % 4]) for n in range(ROWS))
    put(headrace, rows, vectors.astype(np.float32))
    _in_many_parts(headrace)
    hits = Retriever(headrace, Principals.of()).search(question, 20, Filters(doc_types=["far"]))
    assert [hit.vector_rank for hit in hits].count(None) == 0 and len(hits) == 20


def test_rows_outside_the_search_index_are_seen_until_they_are_brought_in(tmp_path: Path) -> None:
    headrace = shelves(tmp_path)
    put(headrace, [chunk("first", "The first note.")])
    assert CURRENT.look(headrace).status is Status.PASS
    put(headrace, (chunk(f"n:{number}", "A note.") for number in range(5_001)), indexed=False)
    finding = CURRENT.look(headrace)
    assert finding.status is Status.WARN
    assert finding.figures["unindexed_rows"] == 5_001
    assert "headrace maintain" in CURRENT.remedy_for(finding)
    assert CURRENT.look(_tidied(headrace)).status is Status.PASS


def test_a_filter_leaves_an_index_of_vectors_as_many_as_there_are(tmp_path: Path) -> None:
    headrace = shelves(tmp_path, vector_index_rows=LOW)
    few = {7, 77, 777}
    put(
        headrace,
        (
            chunk(f"n:{n}", f"Note {n}.", access=["role:few" if n in few else "role:many"])
            for n in range(ROWS)
        ),
        _vectors(0.4),
    )
    retriever = Retriever(headrace, Principals.of("role:few"))
    assert {hit.document_id for hit in retriever.search("anything")} == {f"n:{n}" for n in few}


def test_the_dimension_of_the_vectors_is_looked_at() -> None:
    assert VectorIndexing("auto", 10).fitting(10, 384) == "ivf_rq"
    assert VectorIndexing("auto", 10).fitting(10, 300) == "ivf_hnsw_sq"
    assert VectorIndexing("auto", 10).fitting(9, 300) is None
    with pytest.raises(VectorStoreError, match="ivf_hnsw_sq, auto or exact"):
        VectorIndexing("ivf_rq", 10).fitting(10, 300)


@pytest.mark.parametrize("name", ["HEADRACE_VECTOR_INDEX", "HEADRACE_VECTOR_WEIGHT"])
def test_a_setting_that_cannot_be_used_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "ivf_none")
    with pytest.raises(ConfigurationError, match=name):
        Settings.load(tmp_path)
