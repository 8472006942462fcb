"""The context pack: never over its budget, in order, cited, neighbours joined."""

from __future__ import annotations

import re
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.core.errors import ConfigurationError
from dagster_project.core.metrics import MetricValue
from dagster_project.core.retrieval import Budget, ContextPack, Hit, pack
from dagster_project.core.retrieval.context import joined

CHANGED = datetime(2026, 3, 1, 12, 30, tzinfo=timezone.utc)


def _hit(
    document: int, index: int, text: str, *, title: str = "Rules", section: str = "Money"
) -> Hit:
    return Hit(
        chunk_id=f"{document}#{index}",
        document_id=f"doc:{document}",
        doc_type="policy",
        source_name="tests",
        title=title,
        section_path=f"{title} > {section}",
        text=text,
        chunk_index=index,
        score=1.0 / (1 + document + index),
        vector_rank=1,
        text_rank=None,
        url="https://example.com/rules",
        lifecycle_state="active",
        source_updated_at=CHANGED,
        dbt_invocation_id=f"run-{document}",
        pages=(index + 1, index + 2),
    )


def _pieces(text: str) -> int:
    """Tokens as a tokenizer would count them: parts of words and marks, and two of its own."""
    return 2 + sum(1 + len(word) // 4 for word in re.findall(r"\w+|[^\w\s]", text))


def _packed(hits: list[Hit], words: int | None, tokens: int | None = None) -> ContextPack:
    return pack("?", hits, Budget(words, tokens, _pieces))


_TEXTS = st.text(st.sampled_from("ab é.!?\n 退 1-"), min_size=1, max_size=400)
_HITS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 4), _TEXTS, _TEXTS),
    max_size=8,
    unique_by=lambda drawn: drawn[:2],
).map(lambda drawn: [_hit(d, i, text, title=title.strip() or "t") for d, i, text, title in drawn])


@given(
    hits=_HITS,
    words=st.none() | st.integers(1, 120),
    tokens=st.none() | st.integers(1, 300),
    value=st.none() | st.just(MetricValue("arr", "1,234", CHANGED)),
)
def test_a_pack_is_never_over_its_budget(
    hits: list[Hit], words: int | None, tokens: int | None, value: MetricValue | None
) -> None:
    found = pack("?", hits, Budget(words, tokens, _pieces), value)
    assert found.words == len(found.text.split())
    assert words is None or found.words <= words
    assert tokens is None or _pieces(found.text) <= tokens or not found.text
    chosen = [chunk_id for passage in found.passages for chunk_id in passage.chunk_ids]
    assert len(chosen) == len(set(chosen))
    assert sum(passage.is_cut for passage in found.passages) <= 1
    if words is None and tokens is None:
        assert sorted(chosen) == sorted(hit.chunk_id for hit in hits)


def test_neighbours_are_joined_in_their_order_and_the_best_comes_first() -> None:
    hits = [_hit(2, 4, "Later."), _hit(1, 7, "Seven."), _hit(1, 6, "Six.", section="Start")]
    found = _packed(hits, 500)
    assert [passage.document_id for passage in found.passages] == ["doc:2", "doc:1"]
    passage = found.passages[1]
    assert passage.text == "Six.\n\nSeven."
    assert passage.chunk_ids == ("1#6", "1#7")
    assert passage.sections == ("Start", "Money")
    assert passage.pages == (7, 9)
    assert found.text.startswith(
        "[1] Rules > Money\n"
        "doc:2, pages 5–6, changed 2026-03-01 12:30, https://example.com/rules\n\nLater."
    )
    assert passage.dbt_invocation_ids == ("run-1",)


def test_what_does_not_fit_is_cut_after_a_sentence_and_ends_the_pack() -> None:
    long = _hit(1, 0, "One two three. Four five six. " + "seven " * 50)
    found = _packed([long, _hit(2, 0, "Short.")], 18)
    assert found.passages[0].text == "One two three. Four five six. …"
    assert found.passages[0].is_cut and len(found.passages) == 1
    # The chunk after one that is cut is not joined to it, as if nothing were missing.
    after = _packed([_hit(1, 1, "After."), long], 32)
    assert [passage.chunk_ids for passage in after.passages] == [("1#1",), ("1#0",)]


def test_the_first_is_cut_after_a_word_where_no_sentence_fits() -> None:
    found = _packed([_hit(1, 0, "word " * 300)], 40)
    assert found.words == 40 and found.passages[0].is_cut


def test_a_value_stands_before_all_and_is_left_out_where_it_does_not_fit() -> None:
    value = MetricValue("arr", "1,234", CHANGED)
    hits = [_hit(1, 0, "Text.")]
    found = pack("?", hits, Budget(100, None, _pieces), value)
    assert found.text.startswith(
        "The metric arr, not split or narrowed, is 1,234 (2026-03-01 12:30 UTC)."
    )
    assert pack("?", hits, Budget(3, None, _pieces), value).value is None


def test_what_a_chunk_repeats_of_the_one_before_is_said_once() -> None:
    shared = "this is what both of them have in common."
    assert joined([f"First, {shared}", f"{shared} Then more."]) == f"First, {shared} Then more."
    assert joined(["a", "a"]) == "a\n\na"


@pytest.mark.parametrize(("words", "tokens"), [(0, None), (None, 0), (-1, 5)])
def test_a_budget_of_nothing_is_refused(words: int | None, tokens: int | None) -> None:
    with pytest.raises(ConfigurationError, match="give 1 or more"):
        Budget(words, tokens, _pieces)
