"""Gold sets: questions with what must answer them, asked of a version before readers see it."""

from dagster_project.core.evals.evaluation import ALL, Evaluation, Verdict
from dagster_project.core.evals.gate import history, judge, look
from dagster_project.core.evals.measures import METRICS

__all__ = [
    "ALL",
    "METRICS",
    "Evaluation",
    "Verdict",
    "history",
    "judge",
    "look",
]
