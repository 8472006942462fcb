"""What evals found, as Markdown and as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from dagster_project.core.evals.evaluation import Evaluation, Verdict
from dagster_project.core.evals.measures import METRICS, Summary
from dagster_project.core.warehouse import Answer

Rows = list[list[str]]
_MEASURES = ["", "questions", *METRICS.values(), "facts found", "must not"]
_QUESTIONS = ["question", "about", "rank", "facts missing", "must not"]
_VERSIONS = ["version", "asked at", "questions", "nDCG@10", ""]
_BAR_WIDTH = 20


def _measures(verdict: Verdict) -> Rows:
    """The measures in all and by doc_type, with those of the version before where they differ."""
    before = verdict.before.summaries() if verdict.before else {}
    rows = []
    for name, summary in verdict.after.summaries().items():
        cells = _cells(summary)
        if name in before:
            cells = [_arrow(old, new) for old, new in zip(_cells(before[name]), cells, strict=True)]
        rows.append([name, *cells])
    return rows


def _cells(summary: Summary) -> list[str]:
    return [
        str(summary.questions),
        *(_score(getattr(summary, name)) for name in METRICS),
        f"{summary.facts_found} of {summary.facts}" if summary.facts else "",
        str(summary.must_not_violations),
    ]


def _moved(verdict: Verdict) -> Rows:
    """The questions that are answered otherwise than before, the largest fall first."""
    return [
        [
            after.question,
            after.doc_type,
            _arrow(_rank(before), _rank(after)),
            _arrow("; ".join(before.facts_missing), "; ".join(after.facts_missing)),
            _arrow(", ".join(before.must_not_found), ", ".join(after.must_not_found)),
        ]
        for before, after in verdict.moved
    ]


def _missed(evaluation: Evaluation) -> Rows:
    """The questions that are not answered as they should be, the worst first."""
    worst = sorted(
        (each for each in evaluation.answers if _is_missed(each)),
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


def _is_missed(answer: Answer) -> bool:
    """Whether no document that answers comes first, a fact is missing, or one must not be there."""
    is_answerable = answer.mrr_at_10 is not None
    return bool(
        (is_answerable and answer.rank != 1) or answer.facts_missing or answer.must_not_found
    )


def _versions(evaluations: Sequence[Evaluation]) -> Rows:
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
                _score(summary.ndcg_at_10),
                "█" * round(score * _BAR_WIDTH),
            ]
        )
    return rows


def tables(
    verdict: Verdict, evaluations: Sequence[Evaluation]
) -> list[tuple[str, list[str], Rows]]:
    """Titles, columns and rows of what there is to say; some may have no row."""
    return [
        ("Measures", _MEASURES, _measures(verdict)),
        ("Questions that moved", _QUESTIONS, _moved(verdict)),
        ("Questions not answered as they should be", _QUESTIONS, _missed(verdict.after)),
        ("Versions", _VERSIONS, _versions(evaluations)),
    ]


def markdown(verdict: Verdict, evaluations: Sequence[Evaluation]) -> str:
    """A report for a pull request or a UI."""
    parts = [f"**{headline(verdict)}**"]
    for title, columns, rows in tables(verdict, evaluations):
        if rows:
            parts += [f"### {title}", _markdown_table(columns, rows)]
    return "\n\n".join(parts) + "\n"


def headline(verdict: Verdict) -> str:
    """Which version was asked, beside which, and whether it may be published."""
    after, before = verdict.after, verdict.before
    beside = f", beside version {before.version} of {before.generation}" if before else ""
    reasons = "; ".join([*verdict.violations, *verdict.falls]) or "nothing speaks against it"
    return f"Version {after.version} of {after.generation}{beside}: {reasons}."


def _markdown_table(columns: Sequence[str], rows: Rows) -> str:
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
            {
                "gold_set": b.gold_set,
                "question_id": b.question_id,
                "before": b.rank,
                "after": a.rank,
            }
            for b, a in verdict.moved
        ],
    }


def _arrow(before: str, after: str) -> str:
    return after if before == after else f"{before or '–'} → {after or '–'}"


def _rank(answer: Answer) -> str:
    return "" if answer.rank is None else str(answer.rank)


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
