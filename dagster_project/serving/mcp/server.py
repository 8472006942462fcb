"""Calls of tools: who calls, how often, with what, and what is said when it fails."""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
from anyio.to_thread import run_sync
from mcp import MCPError
from mcp.server import Server, ServerRequestContext
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
)

import dagster_project
from dagster_project.core.build import Headrace
from dagster_project.core.errors import HeadraceError, WarehouseError
from dagster_project.core.retrieval import Principals, Retriever
from dagster_project.serving.limits import Places, RateLimit
from dagster_project.serving.log import told
from dagster_project.serving.mcp.schema import checked
from dagster_project.serving.mcp.tools import INSTRUCTIONS, TOOLS, Tool
from dagster_project.serving.readers import Reader

Context = ServerRequestContext[Any, Any]
# Characters of an answer: what is longer, no model reads.
_LONGEST = 2_000_000

logger = logging.getLogger(__name__)


class Calls:
    """Answers calls of tools, each in the name of the reader who makes it."""

    def __init__(self, headrace: Headrace, reader_of: Callable[[Context], Reader]) -> None:
        """Take what is read, and how the reader of a request is found.

        Args:
            headrace: whose index, metrics and settings these are.
            reader_of: gives the reader of a request; it raises where there is none.
        """
        settings = headrace.settings
        self._headrace = headrace
        self._reader_of = reader_of
        # What is opened and loaded is shared; nobody reads by this one itself.
        self._retriever = Retriever(headrace, Principals.of())
        self._rate = RateLimit(settings.mcp_per_minute, settings.mcp_burst)
        self._places = Places(settings.mcp_concurrent)
        self._threads = anyio.CapacityLimiter(self._places.total)
        # Made once: the SDK looks a tool up in it at each call.
        self._listed = ListToolsResult(tools=[tool.described for tool in TOOLS.values()])

    async def list_tools(self, _: Context, __: PaginatedRequestParams | None) -> ListToolsResult:
        """All tools, whoever asks."""
        return self._listed

    async def call_tool(self, context: Context, params: CallToolRequestParams) -> CallToolResult:
        """Call a tool.

        Raises:
            MCPError: there is no tool of that name.
        """
        tool = TOOLS.get(params.name)
        if tool is None:
            raise MCPError(
                INVALID_PARAMS,
                f"There is no tool {params.name!r:.80}: there are {', '.join(TOOLS)}.",
            )
        reader = self._reader_of(context)
        started = time.perf_counter()
        outcome, result = await self._answer(tool, reader, params.arguments)
        seconds = time.perf_counter() - started
        logger.info("%s: %s, %s, %.0f ms", reader.name, tool.name, outcome, seconds * 1_000)
        return result

    async def _answer(
        self, tool: Tool, reader: Reader, values: dict[str, Any] | None
    ) -> tuple[str, CallToolResult]:
        """What came of a call, in a word or two, and the result."""
        try:
            self._rate.admit(reader.name)
            arguments = checked(tool.arguments, values)
            if isinstance(arguments, str):
                return "bad arguments", _error(arguments)
            retriever = self._retriever.reading_as(reader.principals)
            async with self._places.place(reader.name, tool.lane):
                text, data = await run_sync(
                    partial(_run, tool, self._headrace, retriever, arguments),
                    limiter=self._threads,
                )
        except HeadraceError as error:
            if isinstance(error, WarehouseError):
                # An embedded server that was restarted has another address.
                self._headrace.reconnect()
            text = told(error)
            if text != str(error):
                # What a reader is not told, whoever runs the server is.
                logger.warning("%s: %s: %s", reader.name, tool.name, error)
            return type(error).__name__, _error(text)
        except Exception:
            reference = secrets.token_hex(4)
            logger.exception(
                "%s: %s failed unexpectedly, reference %s", reader.name, tool.name, reference
            )
            return f"failed, reference {reference}", _error(
                f"Something went wrong in the server. Its log has the reason under {reference}."
            )
        if len(text) + len(data) > _LONGEST:
            return "too long", _error("The answer is too long: ask for less.")
        return "answered", CallToolResult(
            content=[TextContent(text=text)], structured_content=json.loads(data)
        )

    def warm_up(self) -> None:
        """Load the model, which the first search would wait for; it may block."""
        try:
            live = self._headrace.live_generation
            self._headrace.model(live.model).embed(["warm"])
        except HeadraceError as error:
            logger.warning("Nothing can be searched yet: %s", error)
        except Exception:
            # The first search will say so to whoever asks.
            logger.exception("The model cannot be loaded.")


def _run(tool: Tool, headrace: Headrace, retriever: Retriever, arguments: Any) -> tuple[str, str]:  # noqa: ANN401
    """A tool's answer as text and as JSON; it may block."""
    text, answer = tool.run(headrace, retriever, arguments)
    return text, answer.model_dump_json()


def _error(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=text)], is_error=True)


def build_server(calls: Calls) -> Server[Any]:
    """The protocol's server over some calls; it has tools and nothing else."""
    return Server(
        "headrace",
        title="Headrace",
        version=dagster_project.__version__,
        instructions=INSTRUCTIONS,
        on_list_tools=calls.list_tools,
        on_call_tool=calls.call_tool,
    )
