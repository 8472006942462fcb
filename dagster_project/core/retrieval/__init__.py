"""Hybrid search of what a reader may read, and the context packed from it."""

from dagster_project.core.retrieval.context import Budget, ContextPack, Passage, pack
from dagster_project.core.retrieval.document import Document
from dagster_project.core.retrieval.filters import Filters
from dagster_project.core.retrieval.glossary import Expansion, Term
from dagster_project.core.retrieval.hit import Hit
from dagster_project.core.retrieval.lineage import ChunkLineage, DbtRun, Lineage
from dagster_project.core.retrieval.overview import Overview
from dagster_project.core.retrieval.principals import Principals
from dagster_project.core.retrieval.published import Published, SourceState
from dagster_project.core.retrieval.ranking import Ranking
from dagster_project.core.retrieval.rerank import CrossEncoderReranker, Reranker
from dagster_project.core.retrieval.retriever import Retriever

__all__ = [
    "Budget",
    "ChunkLineage",
    "ContextPack",
    "CrossEncoderReranker",
    "DbtRun",
    "Document",
    "Expansion",
    "Filters",
    "Hit",
    "Lineage",
    "Overview",
    "Passage",
    "Principals",
    "Published",
    "Ranking",
    "Reranker",
    "Retriever",
    "SourceState",
    "Term",
    "pack",
]
