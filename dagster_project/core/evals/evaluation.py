"""A version of the index before the questions of the gold sets, and beside another version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagster_project.core.evals.measures import METRICS, Summary, mean, measured, summarize
from dagster_project.core.evals.ranking import rankings
from dagster_project.core.index import Generation
from dagster_project.core.warehouse import Answer, GoldQuestion

if TYPE_CHECKING:
    from dagster_project.core.build import Headrace

# Chunks a question: several may be of one document, and ten documents are ranked.
_CHUNKS = 50
ALL = "all"
# Floats of equal means may differ in their last digit.
_HAIR = 1e-9


@dataclass(frozen=True)
class Evaluation:
    """How a version of a generation answered."""

    generation: str
    version: int
    answers: Sequence[Answer]

    def summaries(self) -> dict[str, Summary]:
        """In all, then by doc_type."""
        return {name: summarize(answers) for name, answers in _groups(self.answers).items()}


def evaluate(
    headrace: Headrace, questions: Sequence[GoldQuestion], generation: Generation, version: int
) -> Evaluation:
    """Ask all questions of a version of a generation.

    Raises:
        ConfigurationError: a question is empty.
        VectorStoreError: there is no such index.
    """
    texts = [question.question for question in questions]
    found = rankings(headrace, generation, version, texts, _CHUNKS)
    ranked = list(zip(questions, found, strict=True))
    return Evaluation(generation.name, version, measured(generation.name, version, ranked))


@dataclass(frozen=True)
class Verdict:
    """A version beside the one that readers had before.

    Attributes:
        after: the version.
        before: the other; None where nothing was published yet.
        is_published: whether readers see the version already.
        metric: what decides, a key of `METRICS`.
        margin: how much of it may be lost.
    """

    after: Evaluation
    before: Evaluation | None
    is_published: bool
    metric: str
    margin: float

    @property
    def refuses(self) -> list[str]:
        """Why the version may not be published, in words; nothing where it may or is already."""
        return [] if self.is_published else [*self.violations, *self.falls]

    @property
    def violations(self) -> list[str]:
        """Each document that must not be found and is, in words."""
        return [
            f"{answer.question!r} is answered with {document_id}, which it must not be"
            for answer in self.after.answers
            for document_id in answer.must_not_found
        ]

    @property
    def falls(self) -> list[str]:
        """What was answered better before, in all and by doc_type, in words.

        More than the margin must be lost, and more than one question alone can lose: where few are
        asked, one document that was edited would hold up all others.
        """
        both = [
            pair
            for pair in self.pairs()
            if None not in {getattr(each, self.metric) for each in pair}
        ]
        found = []
        for name, group in _groups([after for _, after in both]).items():
            before = mean([b for b, a in both if name in {ALL, a.doc_type}], self.metric)
            after = mean(group, self.metric)
            if before is None or after is None:
                continue
            if before - after > max(self.margin, 1 / len(group)) + _HAIR:
                about = "" if name == ALL else f" of {name}"
                found.append(
                    f"{METRICS[self.metric]}{about} falls from {before:.3f} to {after:.3f} "
                    f"({len(group)} questions)"
                )
        return found

    @property
    def moved(self) -> list[tuple[Answer, Answer]]:
        """The answers to the questions that are answered otherwise, the largest fall first."""
        pairs = [
            (before, after)
            for before, after in self.pairs()
            if (before.rank, before.facts_missing, before.must_not_found)
            != (after.rank, after.facts_missing, after.must_not_found)
            or abs(_change(before, after, self.metric)) > _HAIR
        ]
        return sorted(pairs, key=lambda pair: _change(*pair, self.metric))

    def pairs(self) -> list[tuple[Answer, Answer]]:
        """The answers before and after to the questions that both were asked."""
        asked = {
            (each.gold_set, each.question_id, each.question): each
            for each in (self.before.answers if self.before else ())
        }
        keys = [(each.gold_set, each.question_id, each.question) for each in self.after.answers]
        return [
            (asked[key], answer)
            for key, answer in zip(keys, self.after.answers, strict=True)
            if key in asked
        ]


def _change(before: Answer, after: Answer, metric: str) -> float:
    return (getattr(after, metric) or 0.0) - (getattr(before, metric) or 0.0)


def _groups(answers: Sequence[Answer]) -> dict[str, list[Answer]]:
    """All answers, then those of each doc_type."""
    types = sorted({answer.doc_type for answer in answers})
    return {ALL: list(answers)} | {
        doc_type: [answer for answer in answers if answer.doc_type == doc_type]
        for doc_type in types
    }
