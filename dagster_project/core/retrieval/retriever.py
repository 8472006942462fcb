"""Hybrid search of what a reader may read, and the context packed from it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from dagster_project.core.errors import AccessError, ConfigurationError
from dagster_project.core.index import Generation
from dagster_project.core.metrics import MetricTable, MetricValue
from dagster_project.core.retrieval.asked import Asked
from dagster_project.core.retrieval.context import Budget, ContextPack, pack
from dagster_project.core.retrieval.document import DOCUMENT_COLUMNS, Document
from dagster_project.core.retrieval.filters import Filters
from dagster_project.core.retrieval.glossary import Expansion, Term
from dagster_project.core.retrieval.hit import Hit
from dagster_project.core.retrieval.lineage import LINEAGE_COLUMNS, Lineage, trace_document
from dagster_project.core.retrieval.opened import Opened
from dagster_project.core.retrieval.overview import OVERVIEW_COLUMNS, Overview
from dagster_project.core.retrieval.principals import Principals, is_text
from dagster_project.core.retrieval.published import SOURCE_COLUMNS, Published, sources_of
from dagster_project.core.retrieval.ranking import Ranking
from dagster_project.core.retrieval.rerank import Reranker, load_reranker

if TYPE_CHECKING:
    from dagster_project.core.build import Headrace

ALL = Filters()
# A question is embedded whole: one of a book's length would keep the model busy for minutes.
_LONGEST = 8_000
# Hits that a context pack chooses from; more of a document than this crowds out the others.
_CHOICE = 40
_PER_DOCUMENT = 4


class Retriever:
    """What a reader finds in the version that is published, each read in the reader's name.

    It opens that version once, and anew when another one is published. One may serve many threads.
    """

    def __init__(
        self,
        headrace: Headrace,
        principals: Principals,
        *,
        ranking: Ranking | None = None,
        reranker: Reranker | None = None,
        generation: Generation | None = None,
        version: int | None = None,
    ) -> None:
        """Take who reads, and what; nothing is opened yet.

        Args:
            headrace: whose index, models and settings these are.
            principals: the reader's.
            ranking: how answers are ordered; by the settings' weights, unless said.
            reranker: what reads the best answers again; the settings' model, unless said.
            generation: what to read, unless it is the live one.
            version: which version of that, unless it is what is published: an eval asks one that
                readers do not see yet.
        """
        settings = headrace.settings
        self._headrace = headrace
        self.principals = principals
        self.ranking = ranking or Ranking(
            vector_weight=settings.vector_weight, text_weight=settings.text_weight
        )
        self._reranker = reranker
        self._opened = Opened(headrace, generation, version)

    def reading_as(self, principals: Principals) -> Retriever:
        """The same for another reader; what is opened and loaded is shared."""
        other = Retriever(self._headrace, principals, ranking=self.ranking, reranker=self._reranker)
        other._opened = self._opened
        return other

    def search(
        self,
        query: str,
        k: int = 10,
        filters: Filters = ALL,
        *,
        expand: bool = True,
        per_document: int | None = None,
    ) -> list[Hit]:
        """The `k` best chunks that the reader may read.

        Ranks by meaning and by words are fused (see `fuse`); where the question has terms of the
        glossary, it is asked in their other names too, and one that asks for a metric has the
        governed definition first. A text that is nearly the same as a better one is left out.

        Args:
            query: what is asked; 1 to 8,000 characters.
            k: how many, 1 or more.
            filters: what to narrow it to.
            expand: whether the glossary is asked.
            per_document: how many chunks of a document at most; any, unless said.

        Raises:
            ConfigurationError: the query is empty or too long, or a number is below 1.
            VectorStoreError: nothing was published yet.
        """
        asked = self._ask(query, filters, expand=expand)
        for name, number in (("k", k), ("per_document", per_document)):
            if number is not None and number < 1:
                raise ConfigurationError(f"{name} is {number}: ask for 1 chunk or more.")
        return asked.best(k, per_document)

    def context(
        self,
        query: str,
        filters: Filters = ALL,
        *,
        budget_words: int | None = None,
        budget_tokens: int | None = None,
        expand: bool = True,
        values: bool = True,
    ) -> ContextPack:
        """The most relevant passages, cited, in at most so many words and tokens.

        Args:
            query: what is asked; 1 to 8,000 characters.
            filters: what to narrow it to.
            budget_words: words of the pack's text, citations included; 500 where no budget is said.
            budget_tokens: tokens of the same, by the embedding model's tokenizer.
            expand: whether the glossary is asked.
            values: whether a question that asks for a metric is given its value, to readers of
                `metric_access`.

        Raises:
            ConfigurationError: the query is empty or too long, or a budget is below 1.
            VectorStoreError: nothing was published yet.
        """
        asked = self._ask(query, filters, expand=expand)
        if budget_words is None and budget_tokens is None:
            budget_words = 500
        budget = Budget(
            budget_words, budget_tokens, lambda text: asked.model.count_tokens([text])[0]
        )
        hits = asked.best(_CHOICE, _PER_DOCUMENT)
        metric = asked.expansion.metric
        # A number without what it means, as where a filter leaves the definition out, is no answer.
        is_defined = metric is not None and hits[:1] and hits[0].chunk_id == metric.chunk_id
        value = self._value(metric) if values and is_defined else None
        return pack(query, hits, budget, value)

    def document(self, document_id: str) -> Document | None:
        """A document as it was cut, or None where there is none that the reader may read."""
        snapshot = self._opened.current()
        filters = Filters(document_ids=[document_id])
        rows = snapshot.rows(self._conditions(filters), DOCUMENT_COLUMNS)
        return Document.of(rows) if rows else None

    def lineage(self, document_id: str) -> Lineage | None:
        """Where a document comes from, or None where there is none that the reader may read.

        Without a warehouse that answers, it says what the index knows, and what is missing.
        """
        snapshot = self._opened.current()
        conditions = self._conditions(Filters(document_ids=[document_id]))
        rows = snapshot.rows(conditions, LINEAGE_COLUMNS)
        if not rows:
            return None
        return trace_document(
            self._headrace, snapshot.generation, snapshot.version, rows, self.principals
        )

    def overview(self) -> Overview:
        """The version that is read, and what of it the reader may read; reads a row a chunk.

        Raises:
            VectorStoreError: nothing was published yet.
        """
        snapshot = self._opened.current()
        rows = snapshot.arrow(self._conditions(ALL), OVERVIEW_COLUMNS)
        return Overview.of(snapshot.generation, snapshot.version, rows)

    def reading(self) -> tuple[str, int]:
        """The generation and the version that are read.

        Raises:
            VectorStoreError: nothing was published yet.
        """
        snapshot = self._opened.current()
        return snapshot.generation.name, snapshot.version

    def expansion(self, query: str) -> Expansion:
        """A question in the words of the glossary, as a search in the reader's name asks it."""
        return self._opened.current().glossary.expand(query, self.principals)

    def term(self, name: str) -> Term | None:
        """The term of the glossary that a name means, or None; any of its names will do."""
        return self._opened.current().glossary.term(name, self.principals)

    def terms(self) -> list[Term]:
        """The terms of the glossary that the reader may read."""
        terms = self._opened.current().glossary.terms
        return [term for term in terms if self.principals.may_read(term.access)]

    def published(self) -> Published:
        """The version that readers see, and the sources in it of which the reader may read any.

        Raises:
            VectorStoreError: nothing was published yet.
        """
        snapshot = self._opened.current()
        rows = snapshot.arrow(self._conditions(ALL), SOURCE_COLUMNS)
        generation = snapshot.generation
        return Published(generation.name, snapshot.version, generation.model_id, sources_of(rows))

    def metric(
        self,
        metrics: Sequence[str],
        by: Sequence[str] = (),
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = 100,
    ) -> MetricTable:
        """Values of metrics, for readers who may see them; see `Metrics.query`.

        Raises:
            AccessError: the reader may not.
        """
        if not self.sees_values:
            raise AccessError(
                "The values of metrics are not for this reader: HEADRACE_METRIC_ACCESS names the "
                "principals who may see them."
            )
        return self._headrace.metrics.query(metrics, by, start=start, end=end, limit=limit)

    @property
    def is_reranked(self) -> bool:
        """Whether a reranker reads the best answers again, and scores are its."""
        return self._reranker is not None or bool(self._headrace.settings.rerank_model)

    @property
    def sees_values(self) -> bool:
        """Whether the reader may see the values of metrics: an admin, or one of the setting's."""
        return self.principals.may_read(self._headrace.settings.metric_access)

    def _value(self, metric: Term | None) -> MetricValue | None:
        if metric is None or metric.metric is None or not self.sees_values:
            return None
        return self._headrace.metrics.value(metric.metric)

    def _conditions(self, filters: Filters) -> list[str]:
        access = self.principals.condition
        return [*([] if access is None else [access]), *filters.conditions]

    def _ask(self, query: str, filters: Filters, *, expand: bool) -> Asked:
        if not query.strip():
            raise ConfigurationError("The query is empty: say what to search for.")
        if len(query) > _LONGEST or not is_text(query):
            raise ConfigurationError(
                f"The query has {len(query):,} characters: give at most {_LONGEST:,}, without NUL."
            )
        snapshot = self._opened.current()
        return Asked(
            query=query,
            principals=self.principals,
            filters=filters,
            conditions=self._conditions(filters),
            expansion=snapshot.glossary.expand(query, self.principals)
            if expand
            else Expansion(query),
            snapshot=snapshot,
            model=self._headrace.model(snapshot.generation.model),
            ranking=self.ranking,
            reranker=self._reranker or load_reranker(self._headrace.settings.rerank_model),
        )
