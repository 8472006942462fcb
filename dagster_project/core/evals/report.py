"""What evals found, as Markdown and as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from dagster_project.core.evals.evaluation import Evaluation, Verdict
from dagster_project.core.evals.measures import METRICS, Summary
from dagster_project.core.warehouse import Answer

Rows = list[list[str]]
MEASURES = ["", "questions", *METRICS.values(), "facts found", "must not"]
MOVED = ["question", "about", "rank", "facts missing", "must not"]
MISSED = ["question", "about", "rank", "facts missing", "must not"]
VERSIONS = ["version", "asked at", "questions", "nDCG@10", ""]
_BAR_WIDTH = 20


def measures(verdict: Verdict) -> Rows:
    """The measures in all and by doc_type, with those of the version before where they differ."""
    before = verdict.before.summaries() if verdict.before else {}
    return [
        [name, *_cells(summary, before.get(name))]
        for name, summary in verdict.after.summaries().items()
    ]


def _cells(summary: Summary, before: Summary | None) -> list[str]:
    cells = [_moved(_whole(before and before.questions), _whole(summary.questions))]
    for name in METRICS:
        cells.append(_moved(_score(before and getattr(before, name)), _score(getattr(summary, name))))
    cells.append(
        _moved(
            before and f"{before.facts_found} of {before.facts}",
            f"{summary.facts_found} of {summary.facts}",
        )
    )
    violations = summary.must_not_violations
    cells.append(_moved(_whole(before and before.must_not_violations), _whole(violations)))
    return cells


def moved(verdict: Verdict) -> Rows:
    """The questions that are answered otherwise than before, the largest fall first."""
    return [
        [
            after.question,
            after.doc_type,
            _moved(_rank(before), _rank(after)),
            _moved("; ".join(before.facts_missing), "; ".join(after.facts_missing)),
            _moved(", ".join(before.must_not_found), ", ".join(after.must_not_found)),
        ]
        for before, after in verdict.moved
    ]


def missed(evaluation: Evaluation) -> Rows:
    """The questions that are not answered as they should be, the worst first."""
    worst = sorted(
        (each for each in evaluation.answers if is_missed(each)),
        key=lambda each: (not each.must_not_found, each.ndcg_at_10 or 0.0),
    )
    return [
        [
            each.question,
            each.doc_type,
            _rank(each),
            "; ".join(each.facts_missing),
            ", ".join(each.must_not_found),
        ]
        for each in worst
    ]


def is_missed(answer: Answer) -> bool:
    """Whether no document that answers comes first, a fact is missing, or one must not be there."""
    is_answerable = answer.mrr_at_10 is not None
    return bool(
        (is_answerable and answer.rank != 1) or answer.facts_missing or answer.must_not_found
    )


def versions(evaluations: Sequence[Evaluation]) -> Rows:
    """A bar a version, the newest at the end."""
    rows = []
    for evaluation in evaluations:
        summary = next(iter(evaluation.summaries().values()))
        score = summary.ndcg_at_10 or 0.0
        rows.append(
            [
                f"{evaluation.version} of {evaluation.generation}",
                f"{evaluation.answers[0].evaluated_at:%Y-%m-%d %H:%M}",
                str(summary.questions),
                _score(summary.ndcg_at_10) or "",
                "█" * round(score * _BAR_WIDTH),
            ]
        )
    return rows


def markdown(verdict: Verdict, evaluations: Sequence[Evaluation]) -> str:
    """A report for a pull request or a UI."""
    parts = [f"**{headline(verdict)}**", markdown_table(MEASURES, measures(verdict))]
    for title, columns, rows in (
        ("Questions that moved", MOVED, moved(verdict)),
        ("Questions not answered as they should be", MISSED, missed(verdict.after)),
        ("Versions", VERSIONS, versions(evaluations)),
    ):
        if rows:
            parts += [f"### {title}", markdown_table(columns, rows)]
    return "\n\n".join(parts) + "\n"


def headline(verdict: Verdict) -> str:
    """Which version was asked, beside which, and whether it may be published."""
    after, before = verdict.after, verdict.before
    beside = f", beside version {before.version} of {before.generation}" if before else ""
    reasons = "; ".join([*verdict.violations, *verdict.falls])
    return f"Version {after.version} of {after.generation}{beside}: {reasons or 'good'}."


def markdown_table(columns: Sequence[str], rows: Rows) -> str:
    """A table in Markdown; bars in cells are escaped."""
    lines = [list(columns), ["---"] * len(columns), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def as_json(verdict: Verdict) -> dict[str, Any]:
    """Everything, under stable keys."""
    before = verdict.before
    return {
        "generation": verdict.after.generation,
        "version": verdict.after.version,
        "is_published": verdict.is_published,
        "before": {"generation": before.generation, "version": before.version} if before else None,
        "refused_because": verdict.refuses,
        "measures": {name: asdict(each) for name, each in verdict.after.summaries().items()},
        "measures_before": {
            name: asdict(each) for name, each in (before.summaries() if before else {}).items()
        },
        "questions": [asdict(answer) for answer in verdict.after.answers],
        "moved": [
            {"gold_set": b.gold_set, "question_id": b.question_id, "before": b.rank, "after": a.rank}
            for b, a in verdict.moved
        ],
    }


def _moved(before: str | None, after: str | None) -> str:
    if before is None or before == after:
        return after or ""
    return f"{before or '–'} → {after or '–'}"


def _rank(answer: Answer) -> str:
    return "" if answer.rank is None else str(answer.rank)


def _score(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _whole(value: int | None) -> str | None:
    return None if value is None else str(value)
