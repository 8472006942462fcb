"""The page: its addresses, what each answers, and what is said where something is wrong."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from dagster_project.core.errors import (
    AccessError,
    ConfigurationError,
    HeadraceError,
    VectorStoreError,
)
from dagster_project.core.retrieval import ContextPack, Expansion, Overview, Retriever
from dagster_project.serving.page import wording
from dagster_project.serving.page.address import CONTEXT, Address, Asked
from dagster_project.serving.page.guard import guarded
from dagster_project.serving.page.marking import Marker
from dagster_project.serving.page.shown import BAR, Summary, choices, facts_of, shares, show

_STATIC = Path(__file__).with_name("static")
# Terms of the glossary that the empty page offers to ask for.
_TERMS = 12


def make_app(retriever: Retriever) -> ASGIApp:
    """The page for one reader, fixed for as long as it runs; nothing is opened yet."""
    page = _Page(retriever)
    return guarded(
        Starlette(
            routes=[
                Route("/", page.search),
                Route("/document", page.document),
                Route("/value", page.value),
                Mount("/static", StaticFiles(directory=_STATIC)),
            ],
            exception_handlers={HTTPException: page.refused, Exception: page.failed},
        )
    )


class _Page:
    """What each address answers; handlers run in threads."""

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever
        self._lock = threading.Lock()
        self._known: Overview | None = None
        self._templates = Environment(
            loader=PackageLoader(__package__ or "", "templates"),
            # Whatever the file is called: titles and texts are other people's.
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(
            age=wording.age,
            day=wording.day,
            moment=wording.moment,
            plural=wording.plural,
            score=wording.score,
            span=wording.span,
            web_link=wording.web_link,
        )
        principals = retriever.principals
        self._templates.globals.update(
            reader_sees_all=principals.sees_all, reader=sorted(principals.names), bar=BAR
        )

    def search(self, request: Request) -> Response:
        """Hits or context for what the address asks for."""
        address = Address.of(request.query_params.multi_items())
        shown: dict[str, Any] = {"address": address, "found": None, "packed": None, "terms": []}
        try:
            shown["overview"] = overview = self._overview()
        except HeadraceError as error:
            return self._problem(error, shown | {"overview": None})
        try:
            asked = address.read()
            if not asked.query:
                shown["terms"] = self._terms()
            elif address.view == CONTEXT:
                shown["packed"] = self._packed(asked)
            else:
                shown["found"] = self._found(asked, address)
        except HeadraceError as error:
            return self._problem(error, shown)
        return self._render("search.html", shown | {"choices": choices(overview, address)})

    def _overview(self) -> Overview:
        """What of the published version the reader may read, counted once a version."""
        reading = self._retriever.reading()
        with self._lock:
            known = self._known
            if known is None or (known.generation, known.version) != reading:
                known = self._known = self._retriever.overview()
            return known

    def _terms(self) -> list[str]:
        terms = sorted(self._retriever.terms(), key=lambda term: (not term.metric, term.name))
        return [term.name for term in terms[:_TERMS]]

    def _expansion(self, asked: Asked) -> Expansion:
        return self._retriever.expansion(asked.query) if asked.expand else Expansion(asked.query)

    def _found(self, asked: Asked, address: Address) -> dict[str, Any]:
        started = time.perf_counter()
        hits = self._retriever.search(asked.query, asked.k, asked.filters, expand=asked.expand)
        seconds = time.perf_counter() - started
        expansion = self._expansion(asked)
        metric = expansion.metric
        marker = Marker(asked.query, expansion.names)
        shown = show(
            hits, self._retriever.ranking, marker, address, metric.chunk_id if metric else None
        )
        return {
            "hits": shown,
            "summary": Summary.of(shown),
            "seconds": seconds,
            "names": expansion.names,
            # A number stands only beside what it means.
            "metric": metric if shown and shown[0].is_defined else None,
            "sees_values": self._retriever.sees_values,
            "is_by_meaning": self._retriever.ranking.vector_weight > 0,
            "is_reranked": self._retriever.is_reranked,
        }

    def _packed(self, asked: Asked) -> dict[str, Any]:
        started = time.perf_counter()
        pack = self._pack(asked)
        budget_words = asked.words or (None if asked.tokens else 500)
        return {
            "pack": pack,
            "seconds": time.perf_counter() - started,
            "budget_words": budget_words,
            "budget_tokens": asked.tokens,
            "shares": shares(pack, budget_words),
        }

    def _pack(self, asked: Asked) -> ContextPack:
        return self._retriever.context(
            asked.query,
            asked.filters,
            budget_words=asked.words,
            budget_tokens=asked.tokens,
            expand=asked.expand,
        )

    def value(self, request: Request) -> Response:
        """The value of the metric that the address asks for, for a page that has its hits."""
        try:
            value = self._pack(Address.of(request.query_params.multi_items()).read()).value
        except HeadraceError as error:
            return JSONResponse({"value": "", "said": str(error)}, _status(error))
        if value is None:
            said = "This asks for no metric whose value this reader sees."
            return JSONResponse({"value": "", "said": said}, 404)
        said = str(value) if value.problem else f"over all there is, {wording.moment(value.at)}"
        return JSONResponse({"value": value.value, "said": said})

    def document(self, request: Request) -> Response:
        """A document and where it comes from."""
        address = Address.of(request.query_params.multi_items())
        document_id = request.query_params.get("id", "")
        shown: dict[str, Any] = {"address": address, "overview": None}
        try:
            shown["overview"] = self._overview()
            lineage = self._retriever.lineage(document_id)
            document = self._retriever.document(document_id)
        except HeadraceError as error:
            return self._message(shown, "This cannot be shown", str(error), _status(error))
        if lineage is None or document is None:
            text = "There is no document of this id that this reader may read."
            return self._message(shown, "Not found", text, 404)
        chunk_id = request.query_params.get("chunk", "")
        chosen = next((c for c in lineage.chunks if c.chunk_id == chunk_id), lineage.chunks[0])
        query = address.one("q")
        names = self._retriever.expansion(query).names if query and not address.one("plain") else ()
        marker = Marker(query, names)
        shown |= {
            "lineage": lineage,
            "document": document,
            "chunk": chosen,
            "blocks": {one.chunk_id: marker.blocks(one.text) for one in lineage.chunks},
            "facts": facts_of(document.payload, address),
        }
        return self._render("document.html", shown)

    async def refused(self, request: Request, error: Exception) -> Response:
        """An address that is none of the page's."""
        status = error.status_code if isinstance(error, HTTPException) else 400
        shown: dict[str, Any] = {"address": Address({}), "overview": self._known}
        text = "There is nothing at this address. The search is at the top."
        return self._message(shown, "Not found" if status == 404 else "Refused", text, status)

    async def failed(self, request: Request, error: Exception) -> Response:
        """What nobody expected: the terminal that runs the page has it, the page has not."""
        shown: dict[str, Any] = {"address": Address({}), "overview": None}
        text = "Something went wrong. The terminal that runs `headrace serve` says what."
        return self._message(shown, "An error", text, 500)

    def _problem(self, error: HeadraceError, shown: dict[str, Any]) -> Response:
        """The search page with an error in the place of what was found."""
        overview, address = shown["overview"], shown["address"]
        shown |= {"problem": str(error), "choices": choices(overview, address)}
        return self._render("search.html", shown, _status(error))

    def _message(self, shown: dict[str, Any], title: str, text: str, status: int) -> Response:
        return self._render("message.html", shown | {"title": title, "text": text}, status)

    def _render(self, name: str, shown: dict[str, Any], status: int = 200) -> Response:
        return HTMLResponse(
            self._templates.get_template(name).render({"problem": "", **shown}), status
        )


def _status(error: HeadraceError) -> int:
    """What HTTP calls an error: the request's fault, or what it needs is not there."""
    if isinstance(error, ConfigurationError):
        return 400
    if isinstance(error, AccessError):
        return 403
    return 503 if isinstance(error, VectorStoreError) else 500
