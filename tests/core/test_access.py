"""Nobody finds what they may not read, and everybody what they may, whatever they write."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterable
from typing import Any

import pytest

from dagster_project.core.build import Headrace
from dagster_project.core.errors import AccessError, ConfigurationError
from dagster_project.core.retrieval import Filters, Principals, Retriever
from dagster_project.core.warehouse import EVERYONE

from .attacks import ATTACKS
from .shelves import chunk, put, shelves

READERS = 1_000


@pytest.fixture(scope="module")
def odd() -> list[str]:
    """Principals that a careless filter would take for something else, and some plain ones."""
    names = [attack for attack in ATTACKS if _is_principal(attack)]
    return [*names, *(f"role:{number}" for number in range(20)), EVERYONE]


@pytest.fixture(scope="module")
def rows(odd: list[str]) -> list[dict[str, Any]]:
    rng = random.Random(5)
    made = [
        chunk(f"note:{number}", f"Common text number {number}.", access=rng.sample(odd, k))
        for number, k in enumerate(rng.choices((1, 2, 5), k=140))
    ]
    return [*made, chunk("note:secret", "Common secret.", access=["role:secret"], doc_type="s")]


@pytest.fixture(scope="module")
def filled(rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Headrace:
    headrace = shelves(tmp_path_factory.mktemp("access"))
    put(headrace, rows[:70])
    # What the indices do not have yet is scanned, and by another way.
    put(headrace, rows[70:], indexed=False)
    return headrace


def _is_principal(name: str) -> bool:
    try:
        Principals.of(name)
    except ConfigurationError:
        return False
    return True


def _readable(rows: Iterable[dict[str, Any]], names: Iterable[str]) -> set[str]:
    wanted = {EVERYONE, *names}
    return {row["chunk_id"] for row in rows if wanted.intersection(row["access"])}


def test_a_thousand_readers_find_what_a_comparison_by_hand_finds(
    filled: Headrace, rows: list[dict[str, Any]], odd: list[str]
) -> None:
    rng = random.Random(11)
    vector = filled.model("fake").embed(["common"]).vectors[0]
    snapshot = Retriever(filled, Principals.admin())._opened.current()
    for number in range(READERS):
        names = rng.sample([*odd, "role:nobody"], rng.choice((0, 1, 1, 2, 3, 8)))
        principals = Principals.of(*names)
        condition = principals.condition
        assert condition is not None
        if number % 3 == 0:
            found = snapshot.rows([condition], ["chunk_id"])
        elif number % 3 == 1:
            found = snapshot.by_meaning(vector, [condition], ["chunk_id"], len(rows))
        else:
            found = snapshot.by_words("common", (), 1.0, [condition], ["chunk_id"], len(rows))
        listed = [row["chunk_id"] for row in found]
        assert len(listed) == len(set(listed))
        assert set(listed) == _readable(rows, names), names
        assert {r["chunk_id"] for r in rows if principals.may_read(r["access"])} == set(listed)


def test_a_search_gives_a_reader_all_that_is_theirs_and_nothing_else(
    filled: Headrace, rows: list[dict[str, Any]], odd: list[str]
) -> None:
    everybody = Retriever(filled, Principals.of())
    rng = random.Random(12)
    for _ in range(25):
        names = rng.sample(odd, 3)
        reader = everybody.reading_as(Principals.of(*names))
        hits = reader.search("common text", len(rows))
        assert {hit.chunk_id for hit in hits} == _readable(rows, names)
        pack = reader.context("common text")
        assert {c for p in pack.passages for c in p.chunk_ids} <= _readable(rows, names)
    assert everybody.document("note:secret") is None
    admin = everybody.reading_as(Principals.admin())
    assert len(admin.search("common text", len(rows))) == len(rows)
    secret = admin.document("note:secret")
    assert secret is not None and secret.access == ("role:secret",)


def test_there_are_fifty_attacks() -> None:
    assert len(set(ATTACKS)) >= 50


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: ascii(attack[:30]))
def test_an_attack_is_refused_or_harmless(
    attack: str, filled: Headrace, rows: list[dict[str, Any]]
) -> None:
    retriever = Retriever(filled, Principals.of())
    snapshot = retriever._opened.current()
    theirs = _readable(rows, [])
    if _is_principal(attack):
        mine = _readable(rows, [attack])
        reader = retriever.reading_as(Principals.of(attack))
        assert {hit.chunk_id for hit in reader.search("common", len(rows))} == mine
        assert "note:secret#0" not in mine
    for name in ("doc_types", "source_names", "document_ids", "lifecycle_states"):
        for values in ({name: [attack]}, {name: ["note", "tests", "note:1", attack]}):
            found = _narrowed(retriever, values)
            assert found is None or found <= theirs
            # No row has the attack for its type, source or id: alone it finds nothing.
            if values[name] == [attack]:
                assert not found
        assert _narrowed(retriever, {name: attack}) is None, "a text is no list"
    for facts in ({attack: "x"}, {"kind": attack}, {attack: attack}, {attack: None}):
        assert not _narrowed(retriever, {"payload": facts})
    for name in ("updated_after", "updated_before", "as_of"):
        assert _narrowed(retriever, {name: attack}) is None, "a text is no time"
    try:
        hits = retriever.search(f"common {attack}", len(rows))
    except ConfigurationError:
        assert len(attack) > 5_000 or "\0" in attack or "\ud800" in attack
    else:
        assert {hit.chunk_id for hit in hits} == theirs
    with contextlib.suppress(ConfigurationError):
        assert retriever.document(attack) is None
    assert retriever.term(attack) is None
    assert snapshot.table.count_rows() == len(rows)


def _narrowed(retriever: Retriever, values: dict[str, Any]) -> set[str] | None:
    """What a search with filters finds, or None where they are refused."""
    try:
        filters = Filters(**values)
    except ConfigurationError:
        return None
    rows = retriever._opened.current().rows(retriever._conditions(filters), ["chunk_id", "payload"])
    return {row["chunk_id"] for row in rows if filters.holds_for(row["payload"])}


@pytest.mark.parametrize(
    "names",
    [[""], [" "], [b"role:a"], [None], [1], [["role:a"]], [{"a": 1}], ["x" * 513], ["a"] * 2_000],
    ids=lambda names: ascii(names[0])[:12],
)
def test_what_is_no_principal_is_refused(names: list[Any]) -> None:
    if names == ["a"] * 2_000:
        names = [f"role:{number}" for number in range(2_000)]
    with pytest.raises(ConfigurationError):
        Principals.of(*names)


def test_nobody_is_an_admin_by_name_and_a_reader_is_never_nobody() -> None:
    assert not Principals.of("admin", "--admin", "*").sees_all
    assert Principals.of().names == {EVERYONE}
    with pytest.raises(ConfigurationError):
        Principals(frozenset())


def test_values_of_metrics_are_for_those_whom_the_setting_names(filled: Headrace) -> None:
    with pytest.raises(AccessError, match="HEADRACE_METRIC_ACCESS"):
        Retriever(filled, Principals.of("role:finance")).metric(["arr"])
    open_to_finance = shelves(filled.settings.home, metric_access=("role:finance",))
    assert Retriever(open_to_finance, Principals.of("role:finance")).sees_values
    assert not Retriever(open_to_finance, Principals.of("role:support")).sees_values
    assert Retriever(filled, Principals.admin()).sees_values
