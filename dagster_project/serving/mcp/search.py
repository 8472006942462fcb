"""The tools that read documents: search_context, get_document, lookup_term."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime, timezone
from typing import Annotated, Any

from pydantic import Field

from dagster_project.core.build import Headrace
from dagster_project.core.errors import ConfigurationError
from dagster_project.core.retrieval import Filters, Retriever, Term
from dagster_project.serving.log import SILENT
from dagster_project.serving.mcp.schema import Answer, Arguments

logger = logging.getLogger(__name__)

_Name = Annotated[str, Field(min_length=1, max_length=500)]
_Names = Annotated[list[_Name], Field(max_length=100)]
_Fact = str | int | float | bool | None
# Characters of a document in one answer.
_PAGE = 20_000
_SIMILAR = 5


class SearchContext(Arguments):
    """Arguments of `search_context`."""

    question: Annotated[
        str,
        Field(
            min_length=1,
            max_length=8_000,
            description="What to find, as a whole question in the user's words.",
        ),
    ]
    budget_words: Annotated[
        int | None,
        Field(ge=20, le=5_000, description="Words at most, citations included; 500 unless said."),
    ] = None
    budget_tokens: Annotated[
        int | None,
        Field(
            ge=40,
            le=10_000,
            description="Tokens at most, by the embedding model's tokenizer; instead of or beside "
            "budget_words.",
        ),
    ] = None
    doc_types: Annotated[
        _Names, Field(description="Only documents of these kinds, such as policy.")
    ] = []
    source_names: Annotated[_Names, Field(description="Only documents of these sources.")] = []
    document_ids: Annotated[_Names, Field(description="Only these documents.")] = []
    lifecycle_states: Annotated[
        _Names, Field(description="Only documents in these states: active, stale.")
    ] = []
    updated_after: Annotated[
        datetime | None,
        Field(
            description="Only documents that changed then or later; UTC unless it has an offset."
        ),
    ] = None
    updated_before: Annotated[
        datetime | None,
        Field(description="Only documents that changed before; UTC unless it has an offset."),
    ] = None
    as_of: Annotated[
        date | None, Field(description="Only documents that are in force on this day.")
    ] = None
    facts: Annotated[
        dict[_Name, _Fact],
        Field(
            max_length=20,
            description='Only documents with these facts, each exactly: {"plan_name": "Team"}.',
        ),
    ] = {}

    @property
    def filters(self) -> Filters:
        """What the search is narrowed to."""
        return Filters(
            doc_types=self.doc_types,
            source_names=self.source_names,
            document_ids=self.document_ids,
            lifecycle_states=self.lifecycle_states,
            updated_after=_in_utc(self.updated_after),
            updated_before=_in_utc(self.updated_before),
            as_of=self.as_of,
            payload=self.facts,
        )


class Citation(Answer):
    """Where a passage of the text stands."""

    number: Annotated[int, Field(description="The passage's number in the text: [1], [2] …")]
    document_id: str
    doc_type: str
    title: str
    sections: Annotated[list[str], Field(description="The headings that it is under.")]
    first_page: int | None
    last_page: int | None
    url: str | None
    lifecycle_state: str
    updated_at: Annotated[datetime, Field(description="When the document last changed, UTC.")]
    dbt_invocation_ids: Annotated[list[str], Field(description="The dbt runs that made its text.")]
    is_cut: Annotated[bool, Field(description="Whether the budget ended within the passage.")]


class Value(Answer):
    """The value of a metric that the question asks for."""

    metric: str
    value: Annotated[str, Field(description="Over all there is; empty where there is none.")]
    at: datetime
    problem: Annotated[str, Field(description="Why there is none.")]


class Context(Answer):
    """Answer of `search_context`."""

    text: Annotated[str, Field(description="The passages, numbered and cited.")]
    passages: Annotated[list[Citation], Field(description="Where each stands; the best first.")]
    metric_value: Value | None
    words: Annotated[int, Field(description="Words of the text.")]
    tokens: Annotated[int | None, Field(description="Tokens of it, where they were asked for.")]


def search_context(
    headrace: Headrace, retriever: Retriever, asked: SearchContext
) -> tuple[str, Context]:
    """The best passages for a question, within a budget."""
    pack = retriever.context(
        asked.question,
        asked.filters,
        budget_words=asked.budget_words,
        budget_tokens=asked.budget_tokens,
    )
    if pack.value is not None and pack.value.is_silent:
        logger.warning("the metric %s has no value: %s", pack.value.metric, pack.value.problem)
        # An embedded server that was restarted has another address.
        headrace.reconnect()
        pack = replace(pack, value=replace(pack.value, problem=SILENT))
    text = pack.text
    answer = Context(
        text=text,
        passages=[
            Citation(
                number=number,
                document_id=passage.document_id,
                doc_type=passage.doc_type,
                title=passage.title,
                sections=[section for section in passage.sections if section],
                first_page=passage.pages[0] if passage.pages else None,
                last_page=passage.pages[1] if passage.pages else None,
                url=passage.url,
                lifecycle_state=passage.lifecycle_state,
                updated_at=passage.source_updated_at,
                dbt_invocation_ids=list(passage.dbt_invocation_ids),
                is_cut=passage.is_cut,
            )
            for number, passage in enumerate(pack.passages, start=1)
        ],
        metric_value=Value.model_validate(pack.value, from_attributes=True) if pack.value else None,
        words=pack.words,
        tokens=pack.tokens,
    )
    return text or "Nothing was found that this reader may read.", answer


class GetDocument(Arguments):
    """Arguments of `get_document`."""

    document_id: Annotated[
        _Name, Field(description="The document_id that a search or a term cited.")
    ]
    offset: Annotated[
        int,
        Field(ge=0, description="The first character to give; next_offset of the answer before."),
    ] = 0
    max_characters: Annotated[
        int, Field(ge=100, le=100_000, description="Characters of the text at most.")
    ] = _PAGE


class WholeDocument(Answer):
    """Answer of `get_document`."""

    document_id: str
    doc_type: str
    source_name: str
    title: str
    url: str | None
    lifecycle_state: str
    valid_from: Annotated[date | None, Field(description="First day in force; null: no bound.")]
    valid_to: Annotated[date | None, Field(description="Last day in force; null: no bound.")]
    updated_at: Annotated[datetime, Field(description="When it last changed, UTC.")]
    dbt_invocation_ids: Annotated[list[str], Field(description="The dbt runs that made its text.")]
    facts: Annotated[dict[str, Any], Field(description="What the warehouse knows of it, by name.")]
    text: Annotated[str, Field(description="Markdown, from offset on.")]
    offset: int
    total_characters: Annotated[int, Field(description="Of the whole text.")]
    next_offset: Annotated[int | None, Field(description="Where the rest begins; null at the end.")]


def get_document(retriever: Retriever, asked: GetDocument) -> tuple[str, WholeDocument]:
    """A document, or a part of a long one.

    Raises:
        ConfigurationError: there is none that the reader may read.
    """
    document = retriever.document(asked.document_id)
    if document is None:
        # The same words whether there is none or it is another's.
        raise ConfigurationError(
            f"There is no document {asked.document_id!r} that this reader may read: "
            "search_context cites the ids that there are."
        )
    total = len(document.text)
    end = min(asked.offset + asked.max_characters, total)
    answer = WholeDocument(
        document_id=document.document_id,
        doc_type=document.doc_type,
        source_name=document.source_name,
        title=document.title,
        url=document.url,
        lifecycle_state=document.lifecycle_state,
        valid_from=document.valid_from,
        valid_to=document.valid_to,
        updated_at=document.source_updated_at,
        dbt_invocation_ids=list(document.dbt_invocation_ids),
        # How many characters each page has is for citations, and long.
        facts={name: fact for name, fact in document.payload.items() if name != "pages"},
        text=document.text[asked.offset : end],
        offset=asked.offset,
        total_characters=total,
        next_offset=end if end < total else None,
    )
    changed = f"changed {answer.updated_at:%Y-%m-%d %H:%M}"
    where = ", ".join(filter(None, [answer.document_id, changed, answer.url]))
    rest = (
        "" if answer.next_offset is None else f"\n\n(The rest begins at offset {end} of {total}.)"
    )
    return f"{answer.title}\n{where}\n\n{answer.text}{rest}", answer


class LookupTerm(Arguments):
    """Arguments of `lookup_term`."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=200,
            description="A business term, by any of its names: LTV, customer lifetime value.",
        ),
    ]


class GlossaryTerm(Answer):
    """A term of the glossary."""

    name: str
    synonyms: list[str]
    definition: Annotated[str, Field(description="Empty where the dbt project does not say.")]
    kind: Annotated[str, Field(description="metric, semantic model, model or column.")]
    metric: Annotated[str | None, Field(description="Its name for query_metric, if it is one.")]
    document_id: str


class FoundTerm(Answer):
    """Answer of `lookup_term`."""

    term: Annotated[GlossaryTerm | None, Field(description="null where no term has the name.")]
    similar: Annotated[list[str], Field(description="Terms of similar names, where none has it.")]


def lookup_term(retriever: Retriever, asked: LookupTerm) -> tuple[str, FoundTerm]:
    """The term of the glossary that a name means."""
    term = retriever.term(asked.name)
    if term is None:
        similar = _similar(asked.name, retriever.terms())
        other = f" Similar: {', '.join(similar)}." if similar else ""
        text = f"The glossary has no term {asked.name!r} that this reader may read.{other}"
        return text, FoundTerm(term=None, similar=similar)
    found = GlossaryTerm(
        name=term.name,
        synonyms=list(term.synonyms),
        definition=term.definition,
        kind=term.kind,
        metric=term.metric,
        document_id=term.document_id,
    )
    also = f" (also {', '.join(term.synonyms)})" if term.synonyms else ""
    metric = f"\nIts values: query_metric with {term.metric}." if term.metric else ""
    return f"{term.name}{also}: {term.definition}{metric}", FoundTerm(term=found, similar=[])


def _similar(name: str, terms: Iterable[Term]) -> list[str]:
    """Terms with a name of nearly the same words, in whatever order."""

    def ordered(name: str) -> str:
        return " ".join(sorted(name.lower().split()))

    names = {ordered(each): term.name for term in terms for each in (term.name, *term.synonyms)}
    near = difflib.get_close_matches(ordered(name), names, _SIMILAR, cutoff=0.5)
    return list(dict.fromkeys(names[each] for each in near))


def _in_utc(moment: datetime | None) -> datetime | None:
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=timezone.utc)
