"""The check that asks the gold sets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from dagster_project.core.checks.model import SAMPLES, Check, Finding, Status
from dagster_project.core.evals import ALL, METRICS, Verdict, look


def good_answers(verdicts: Iterable[Verdict | None]) -> Finding:
    """The finding of some versions that were asked; None is one for which there is no gold set."""
    asked = [verdict for verdict in verdicts if verdict is not None]
    if not asked:
        return Finding(Status.PASS, "there is no gold set: headrace_gold_sets names none")
    bad = [reason for verdict in asked for reason in [*verdict.violations, *verdict.falls]]
    # Of what readers see already, what must not be there is wrong; a fall may be as it should be.
    fails = any(verdict.refuses or verdict.violations for verdict in asked)
    metric, summary = asked[-1].metric, asked[-1].after.summaries()[ALL]
    figures = {name: value for name, value in asdict(summary).items() if value is not None}
    score = f", {METRICS[metric]} is {figures[metric]:.3f}" if metric in figures else ""
    return Finding(
        Status.FAIL if fails else Status.WARN if bad else Status.PASS,
        "; ".join(bad) or f"{summary.questions} questions were asked{score}",
        figures=figures,
        samples=[
            {
                "question": after.question,
                "rank before": before.rank,
                "rank": after.rank,
                "must not": ", ".join(after.must_not_found),
            }
            for verdict in asked
            for before, after in verdict.moved[:SAMPLES]
        ]
        if bad
        else (),
    )


ANSWERS = Check(
    "answers_the_gold_set",
    "index/vectors",
    True,
    "The questions of the gold sets are answered as well as by the version that readers had, and "
    "by no document that must not be found. An index can hold every row and still find nothing.",
    "`headrace eval` shows the questions that moved: mend what answers them, or the gold set. "
    "HEADRACE_EVAL_MARGIN is what a version may lose.",
    lambda headrace: good_answers(
        [look(headrace, headrace.live_generation, live=True, keep=False)]
    ),
)
