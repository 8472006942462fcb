"""Gold sets: questions with what must answer them, asked of a version before readers see it."""

from dagster_project.core.evals.evaluation import ALL, Evaluation, Verdict, evaluate
from dagster_project.core.evals.gate import history, judge, look
from dagster_project.core.evals.measures import METRICS, Summary

__all__ = [
    "ALL",
    "METRICS",
    "Evaluation",
    "Summary",
    "Verdict",
    "evaluate",
    "history",
    "judge",
    "look",
]
