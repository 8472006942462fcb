"""Measures against values worked out by hand, and what a verdict makes of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from math import log2

import pytest

from dagster_project.core.checks import Status, good_answers
from dagster_project.core.evals import ALL, Evaluation, Verdict
from dagster_project.core.evals.measures import measured
from dagster_project.core.evals.ranking import Ranked
from dagster_project.core.evals.report import markdown
from dagster_project.core.warehouse import Answer, GoldQuestion

ANSWER = Answer(
    generation="chunks_fake_0001",
    version=7,
    gold_set="gold",
    question_id="1",
    question="Which?",
    doc_type="policy",
    rank=1,
    ndcg_at_10=1.0,
    recall_at_5=1.0,
    recall_at_10=1.0,
    mrr_at_10=1.0,
    facts=0,
    facts_missing=(),
    must_not_found=(),
    evaluated_at=datetime(2026, 1, 1, tzinfo=timezone.utc),
)


def _answer(
    *documents: str,
    answers: tuple[str, ...] = (),
    helps: tuple[str, ...] = (),
    facts: tuple[str, ...] = (),
    must_not: tuple[str, ...] = (),
) -> Answer:
    """The answer to a question for which chunks of some documents were found."""
    question = GoldQuestion("gold", "1", "Which?", "policy", answers, helps, facts, must_not)
    # An answer that is perfect stands beside it: questions must not get into each other's way.
    other = GoldQuestion("gold", "2", "And?", "policy", ("z",), (), (), ())
    hits = [Ranked(each, f"chunk {n}", f"Text {n} of\n{each}.") for n, each in enumerate(documents)]
    found, perfect = measured("chunks", 7, [(question, hits), (other, [Ranked("z", "z", "")])])
    assert (perfect.ndcg_at_10, perfect.rank) == (1.0, 1)
    return found


def test_a_document_stands_at_the_place_of_its_best_chunk() -> None:
    found = _answer("b", "b", "a", "b", answers=("a",), helps=("b",))
    assert found.rank == 2
    assert found.ndcg_at_10 == pytest.approx((1 + 2 / log2(3)) / (2 + 1 / log2(3)))
    # What helps is no answer.
    assert (found.recall_at_5, found.recall_at_10, found.mrr_at_10) == (1.0, 1.0, 0.5)


def test_only_the_first_documents_count() -> None:
    others = [f"x{number}" for number in range(9)]
    found = _answer(*others[:5], "a", *others[5:], "c", answers=("a", "c"))
    assert found.rank == 6
    assert (found.recall_at_5, found.recall_at_10) == (0.0, 0.5)
    assert found.mrr_at_10 == pytest.approx(1 / 6)
    assert found.ndcg_at_10 == pytest.approx((2 / log2(7)) / (2 + 2 / log2(3)))


def test_what_is_not_found_counts_as_nothing() -> None:
    for found in (_answer(answers=("a",)), _answer("x", "y", answers=("a",))):
        assert found.rank is None
        assert (found.ndcg_at_10, found.recall_at_10, found.mrr_at_10) == (0.0, 0.0, 0.0)


def test_a_question_without_an_answer_is_measured_by_what_must_not_be_there() -> None:
    found = _answer("x", "a", must_not=("a", "b"))
    assert (found.ndcg_at_10, found.mrr_at_10, found.must_not_found) == (None, None, ("a",))
    eleventh = _answer(*(f"x{number}" for number in range(10)), "a", must_not=("a",))
    assert eleventh.must_not_found == ()


def test_facts_are_found_whatever_their_case_and_white_space_in_the_first_chunks() -> None:
    found = _answer("x", "x", answers=("x",), facts=("text 1 OF x", "text 2 of x"))
    assert (found.facts, found.facts_missing) == (2, ("text 2 of x",))
    assert _answer(*["x"] * 11, facts=("Text 10 of x",)).facts_missing == ("Text 10 of x",)


def _verdict(before: dict[str, list[float]] | None, after: dict[str, list[float]]) -> Verdict:
    """A verdict on what waits to be published, from nDCG@10 by doc_type."""

    def evaluation(version: int, scores: dict[str, list[float]]) -> Evaluation:
        return Evaluation(
            "chunks_fake_0001",
            version,
            [
                replace(
                    ANSWER,
                    version=version,
                    question_id=f"{doc_type} {n}",
                    question=f"{doc_type} | {n}?",
                    doc_type=doc_type,
                    ndcg_at_10=score,
                    rank=1 if score else None,
                )
                for doc_type, each in scores.items()
                for n, score in enumerate(each)
            ],
        )

    earlier = None if before is None else evaluation(6, before)
    return Verdict(evaluation(7, after), earlier, False, "ndcg_at_10", 0.05)


@pytest.mark.parametrize(
    ("before", "after", "reasons"),
    [
        pytest.param(None, {"a": [0.0] * 20}, [], id="nothing was published yet"),
        pytest.param({"a": [1.0] * 20}, {"a": [0.0] + [1.0] * 19}, [], id="at the margin"),
        pytest.param(
            {"a": [1.0] * 20},
            {"a": [0.0, 0.5] + [1.0] * 18},
            [
                "nDCG@10 falls from 1.000 to 0.925 (20 questions)",
                "nDCG@10 of a falls from 1.000 to 0.925 (20 questions)",
            ],
            id="past the margin",
        ),
        pytest.param({"a": [1.0, 1.0]}, {"a": [0.0, 1.0]}, [], id="one question of few"),
        pytest.param(
            {"a": [1.0] * 60, "b": [1.0, 1.0]},
            {"a": [1.0] * 60, "b": [0.0, 0.0]},
            ["nDCG@10 of b falls from 1.000 to 0.000 (2 questions)"],
            id="a type that is lost",
        ),
        pytest.param({"a": [1.0] * 9}, {"b": [0.0] * 9}, [], id="other questions"),
    ],
)
def test_a_version_is_refused_for_what_it_lost(
    before: dict[str, list[float]] | None, after: dict[str, list[float]], reasons: list[str]
) -> None:
    verdict = _verdict(before, after)
    assert verdict.refuses == reasons
    assert good_answers([verdict]).status is (Status.FAIL if reasons else Status.PASS)
    # Readers see it already: nothing is left to refuse, but something to say.
    seen = replace(verdict, is_published=True)
    assert seen.refuses == []
    assert good_answers([None, seen]).status is (Status.WARN if reasons else Status.PASS)


def test_what_must_not_be_found_refuses_the_first_version_too() -> None:
    bad = replace(ANSWER, must_not_found=("policy:old",))
    verdict = Verdict(Evaluation("chunks", 7, [bad]), None, False, "ndcg_at_10", 0.05)
    assert verdict.refuses == ["'Which?' is answered with policy:old, which it must not be"]
    assert good_answers([replace(verdict, is_published=True)]).status is Status.FAIL


def test_a_report_shows_what_moved() -> None:
    verdict = _verdict({"a": [1.0] * 3}, {"a": [0.0, 1.0, 1.0]})
    text = markdown(verdict, [verdict.after])
    assert "| all | 3 | 1.000 → 0.667 |" in text
    # A bar in a question does not end its cell.
    assert "| a \\| 0? | a | 1 → – |  |  |" in text
    assert f"| 7 of chunks_fake_0001 | 2026-01-01 00:00 | 3 | 0.667 | {'█' * 13} |" in text
    assert verdict.after.summaries()[ALL].questions == 3


def test_without_a_gold_set_the_check_passes_and_says_so() -> None:
    found = good_answers([None])
    assert found.status is Status.PASS and "no gold set" in found.reason
