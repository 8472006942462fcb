"""How good a ranking is, by the measures of the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from dagster_project.core.evals.ranking import Ranked
from dagster_project.core.warehouse import Answer, GoldQuestion

# Hits that count, as the names of the measures say.
TOP = 10
METRICS: Mapping[str, str] = {
    "ndcg_at_10": "nDCG@10",
    "recall_at_5": "recall@5",
    "recall_at_10": "recall@10",
    "mrr_at_10": "MRR@10",
}
_ANSWERS, _HELPS = 2, 1


@dataclass(frozen=True)
class Summary:
    """The answers to some questions, in all.

    Attributes:
        questions: how many.
        ndcg_at_10, recall_at_5, recall_at_10, mrr_at_10: means over the questions for which a
            document is named that answers; None where there is none.
        facts: facts that were sought.
        facts_found: those that were found.
        must_not_violations: documents among the first that must not be there.
    """

    questions: int
    ndcg_at_10: float | None
    recall_at_5: float | None
    recall_at_10: float | None
    mrr_at_10: float | None
    facts: int
    facts_found: int
    must_not_violations: int


def measured(
    generation: str, version: int, ranked: Sequence[tuple[GoldQuestion, Sequence[Ranked]]]
) -> list[Answer]:
    """How good the rankings of a version are, question by question.

    Documents stand at the place of their best chunk. The measures are trec_eval's, by way of
    ir-measures: nDCG@10 (Järvelin and Kekäläinen, TOIS 2002) gains 2 for a document that answers
    and 1 for one that helps; recall and the reciprocal rank count those that answer. A fact is
    found where one of the first ten chunks holds it, whatever its case and white space.

    Args:
        generation: the index's table.
        version: its version.
        ranked: questions with their chunks, best first; enough for ten documents.
    """
    # Imported here: only evals need it.
    from ir_measures import RR, R, nDCG, pytrec_eval

    documents = [list(dict.fromkeys(hit.document_id for hit in hits))[:TOP] for _, hits in ranked]
    judged = {
        str(number): dict.fromkeys(question.helps, _HELPS)
        | dict.fromkeys(question.answers, _ANSWERS)
        for number, (question, _) in enumerate(ranked)
        if question.answers
    }
    run = {
        str(number): {document_id: float(-place) for place, document_id in enumerate(found)}
        for number, found in enumerate(documents)
        if found
    }
    by_name = {
        "ndcg_at_10": nDCG @ 10,
        "recall_at_5": R(rel=_ANSWERS) @ 5,
        "recall_at_10": R(rel=_ANSWERS) @ 10,
        # No more than ten documents are there.
        "mrr_at_10": RR(rel=_ANSWERS),
    }
    values: dict[tuple[str, str], float] = {}
    if judged:
        for metric in pytrec_eval.iter_calc(list(by_name.values()), judged, run):
            values[metric.query_id, str(metric.measure)] = float(metric.value)
    now = datetime.now(timezone.utc)
    return [
        Answer(
            generation=generation,
            version=version,
            gold_set=question.gold_set,
            question_id=question.question_id,
            question=question.question,
            doc_type=question.doc_type,
            rank=next(
                (place for place, each in enumerate(found, 1) if each in question.answers), None
            ),
            **{name: values.get((str(number), str(metric))) for name, metric in by_name.items()},
            facts=len(question.facts),
            facts_missing=_missing(question.facts, hits[:TOP]),
            must_not_found=tuple(each for each in found if each in question.must_not),
            evaluated_at=now,
        )
        for number, ((question, hits), found) in enumerate(zip(ranked, documents, strict=True))
    ]


def _missing(facts: Sequence[str], hits: Sequence[Ranked]) -> tuple[str, ...]:
    texts = [_plain(hit.text) for hit in hits]
    return tuple(fact for fact in facts if not any(_plain(fact) in text for text in texts))


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def summarize(answers: Sequence[Answer]) -> Summary:
    """The means and sums of some answers."""
    return Summary(
        questions=len(answers),
        **{name: mean(answers, name) for name in METRICS},
        facts=sum(answer.facts for answer in answers),
        facts_found=sum(answer.facts - len(answer.facts_missing) for answer in answers),
        must_not_violations=sum(len(answer.must_not_found) for answer in answers),
    )


def mean(answers: Sequence[Answer], metric: str) -> float | None:
    """The mean of a metric over the answers that have it; None where none has."""
    values = [value for answer in answers if (value := getattr(answer, metric)) is not None]
    return sum(values) / len(values) if values else None
