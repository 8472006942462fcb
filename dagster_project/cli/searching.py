"""Commands that read the index as a reader would: search, context, lineage."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timezone
from typing import Annotated

import typer

from dagster_project.cli.output import (
    AsJson,
    print_context,
    print_hits,
    print_json,
    print_lineage,
)
from dagster_project.core.build import Headrace
from dagster_project.core.errors import ConfigurationError
from dagster_project.core.retrieval import Filters, Hit, Principals, Retriever
from dagster_project.core.retrieval.filters import read_fact
from dagster_project.core.settings import Settings

app = typer.Typer()

As = Annotated[
    list[str] | None,
    typer.Option("--as", help="A principal of the reader, such as role:support; repeatable."),
]
Admin = Annotated[bool, typer.Option("--admin", help="See all, whatever `access` says.")]
DocTypes = Annotated[list[str] | None, typer.Option("--doc-type", help="Only this; repeatable.")]
Sources = Annotated[list[str] | None, typer.Option("--source", help="Only this; repeatable.")]
Documents = Annotated[list[str] | None, typer.Option("--document", help="Only this; repeatable.")]
States = Annotated[list[str] | None, typer.Option("--state", help="Only active, say; repeatable.")]
_DAYS = ["%Y-%m-%d"]
_MOMENTS = [*_DAYS, "%Y-%m-%dT%H:%M:%S"]
After = Annotated[
    datetime | None,
    typer.Option("--updated-after", formats=_MOMENTS, help="Changed then (UTC) or later."),
]
Before = Annotated[
    datetime | None,
    typer.Option("--updated-before", formats=_MOMENTS, help="Changed before then (UTC)."),
]
AsOf = Annotated[
    datetime | None, typer.Option("--as-of", formats=_DAYS, help="In force on this day.")
]
Payload = Annotated[
    list[str] | None,
    typer.Option("--payload", help="A fact, such as plan_name=Team; a JSON value; repeatable."),
]
Plain = Annotated[bool, typer.Option("--plain", help="Do not ask the glossary.")]


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What to search for.")],
    k: Annotated[int, typer.Option("--k", "-k", help="How many chunks.")] = 5,
    per_document: Annotated[
        int | None, typer.Option(help="How many chunks of a document at most.")
    ] = None,
    principals: As = None,
    admin: Admin = False,
    doc_types: DocTypes = None,
    sources: Sources = None,
    documents: Documents = None,
    states: States = None,
    updated_after: After = None,
    updated_before: Before = None,
    as_of: AsOf = None,
    payload: Payload = None,
    plain: Plain = False,
    as_json: AsJson = False,
) -> None:
    """Find the chunks that answer a question, of documents that the reader may read."""
    filters = _filters(
        doc_types, sources, documents, states, updated_after, updated_before, as_of, payload
    )
    retriever = Retriever(Headrace(Settings.load()), reader(principals, admin=admin))
    hits = retriever.search(query, k, filters, expand=not plain, per_document=per_document)
    if as_json:
        print_json([asdict(hit) for hit in hits])
        return
    print_hits(query, hits)


@app.command()
def context(
    query: Annotated[str, typer.Argument(help="The question.")],
    words: Annotated[
        int | None, typer.Option("--words", help="Words at most; 500 where no budget is given.")
    ] = None,
    tokens: Annotated[
        int | None, typer.Option("--tokens", help="Tokens at most, by the embedding model.")
    ] = None,
    principals: As = None,
    admin: Admin = False,
    doc_types: DocTypes = None,
    sources: Sources = None,
    documents: Documents = None,
    states: States = None,
    updated_after: After = None,
    updated_before: Before = None,
    as_of: AsOf = None,
    payload: Payload = None,
    plain: Plain = False,
    as_json: AsJson = False,
) -> None:
    """Print the context of a question for a model: the best passages, cited, within a budget."""
    filters = _filters(
        doc_types, sources, documents, states, updated_after, updated_before, as_of, payload
    )
    retriever = Retriever(Headrace(Settings.load()), reader(principals, admin=admin))
    pack = retriever.context(
        query, filters, budget_words=words, budget_tokens=tokens, expand=not plain
    )
    if as_json:
        print_json({**asdict(pack), "text": pack.text})
        return
    print_context(pack)


def examples(headrace: Headrace, query: str) -> list[Hit]:
    """The three best chunks for whoever runs the demo, who may see all of it."""
    return Retriever(headrace, Principals.admin()).search(query, 3)


@app.command()
def lineage(
    document_id: Annotated[str, typer.Argument(help="As hits have it, such as ticket:97.")],
    principals: As = None,
    admin: Admin = False,
    as_json: AsJson = False,
) -> None:
    """Say where a document comes from: dbt runs, document model, source row, publication."""
    retriever = Retriever(Headrace(Settings.load()), reader(principals, admin=admin))
    found = retriever.lineage(document_id)
    if found is None:
        raise ConfigurationError(
            f"There is no document {document_id!r:.80} that this reader may read: `headrace "
            "search` has ids; --as says who reads."
        )
    if as_json:
        print_json(asdict(found))
        return
    print_lineage(found)


def reader(principals: list[str] | None, *, admin: bool) -> Principals:
    """Who reads, from the options of a command.

    Raises:
        ConfigurationError: both are given, or a principal is none.
    """
    if admin and principals:
        raise ConfigurationError("--admin sees all and --as does not: leave one of them out.")
    return Principals.admin() if admin else Principals.of(*(principals or ()))


def _filters(
    doc_types: list[str] | None,
    sources: list[str] | None,
    documents: list[str] | None,
    states: list[str] | None,
    updated_after: datetime | None,
    updated_before: datetime | None,
    as_of: datetime | None,
    payload: list[str] | None,
) -> Filters:
    return Filters(
        doc_types=doc_types or (),
        source_names=sources or (),
        document_ids=documents or (),
        lifecycle_states=states or (),
        updated_after=updated_after and updated_after.replace(tzinfo=timezone.utc),
        updated_before=updated_before and updated_before.replace(tzinfo=timezone.utc),
        as_of=as_of and as_of.date(),
        payload=dict(read_fact(text) for text in payload or ()),
    )
