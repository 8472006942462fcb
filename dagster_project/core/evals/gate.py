"""Whether a version may be shown to readers, by what it answers to the gold sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from dagster_project.core.errors import ConfigurationError, VectorStoreError
from dagster_project.core.evals.evaluation import Evaluation, Verdict, evaluate
from dagster_project.core.index import Generation, GenerationState

if TYPE_CHECKING:
    from dagster_project.core.build import Headrace
    from dagster_project.core.warehouse import GoldQuestion

# Versions that a report looks back on.
HISTORY = 20


def look(
    headrace: Headrace,
    generation: Generation,
    *,
    live: bool = False,
    sets: Sequence[str] = (),
    keep: bool = True,
) -> Verdict | None:
    """Ask the gold sets of a version of a generation, beside what readers have.

    One that waits to be published stands beside the version that readers see, asked the same now;
    one that they see beside the version that was asked before it.

    Args:
        headrace: what to look at.
        generation: which generation.
        live: its published version, not its newest.
        sets: only these gold sets; all where there are none.
        keep: whether to write the answers to the warehouse.

    Returns:
        The verdict, or None where there is no gold set.

    Raises:
        ConfigurationError: a gold set has no question, or a question is empty.
        VectorStoreError: the generation has no such version.
    """
    questions = _questions(headrace, sets)
    if not questions:
        return None
    index, of_readers = headrace.store.index(generation), headrace.store.live()
    version = index.live_version if live else index.version
    if version is None:
        raise VectorStoreError(f"{generation.name} was never published: run `headrace build`.")
    seen = generation.state is GenerationState.LIVE and version == index.live_version
    if seen or of_readers is None:
        before = _asked_before(headrace, generation.name, version) if seen else None
    else:
        before = _of_readers(headrace, of_readers, questions)
    after = evaluate(headrace, questions, generation, version)
    if keep:
        if before is not None and not seen:
            headrace.warehouse.write_answers(before.answers)
        headrace.warehouse.write_answers(after.answers)
    settings = headrace.settings
    return Verdict(after, before, seen, settings.eval_metric, settings.eval_margin)


def judge(headrace: Headrace, generation: Generation) -> Verdict | None:
    """As `look` at the newest version; one that may not be published is refused.

    What is refused stays unseen until a version that follows it passes, in micro-batches too. A
    generation that is being filled is held: no build fills it, `promote` alone asks again.
    """
    verdict = look(headrace, generation)
    if verdict is not None and verdict.refuses:
        headrace.store.index(generation).refuse()
        if generation.state is GenerationState.BUILDING and headrace.store.live() is not None:
            headrace.store.hold(generation.name)
    return verdict


def history(headrace: Headrace, versions: int = HISTORY) -> list[Evaluation]:
    """The last versions that were asked, the one asked last at the end."""
    found = groupby(
        headrace.warehouse.answers(versions), lambda each: (each.generation, each.version)
    )
    return [Evaluation(name, version, list(answers)) for (name, version), answers in found]


def _questions(headrace: Headrace, sets: Sequence[str]) -> list[GoldQuestion]:
    questions = headrace.warehouse.gold_questions()
    known = {question.gold_set for question in questions}
    if unknown := sorted(set(sets) - known):
        raise ConfigurationError(
            f"There is no gold set {', '.join(unknown)} with a question: headrace_gold_sets in "
            f"dbt_project.yml names them, and `headrace build` reads them. There "
            f"{'are ' + ', '.join(sorted(known)) if known else 'is none'}."
        )
    if empty := [each for each in questions if not each.question.strip()]:
        raise ConfigurationError(
            f"The gold set {empty[0].gold_set} asks nothing in {empty[0].question_id}: fill its "
            "column question, or take the row out."
        )
    asked = [question for question in questions if not sets or question.gold_set in sets]
    named = {each for question in asked for each in (*question.answers, *question.helps)}
    successors = headrace.warehouse.successors(sorted(named)) if named else {}
    return [
        replace(
            question,
            answers=_in_force(question.answers, successors),
            helps=_in_force(question.helps, successors),
        )
        for question in asked
    ]


def _in_force(documents: Sequence[str], successors: Mapping[str, str]) -> tuple[str, ...]:
    """What a gold set names, as of today: a new version must not look like a lost answer."""
    return tuple(dict.fromkeys(successors.get(each, each) for each in documents))


def _of_readers(
    headrace: Headrace, generation: Generation, questions: Sequence[GoldQuestion]
) -> Evaluation | None:
    index = headrace.store.index(generation)
    try:
        version = index.live_version
        if version is None:
            return None
        return evaluate(headrace, questions, generation, version)
    except (VectorStoreError, RuntimeError, OSError):
        # A live index that is broken must not hold up the one that replaces it.
        return None


def _asked_before(headrace: Headrace, generation: str, version: int) -> Evaluation | None:
    others = [
        each
        for each in history(headrace)
        if (each.generation, each.version) != (generation, version)
    ]
    return others[-1] if others else None
