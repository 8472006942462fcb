"""The MCP server as clients have it: real processes, real streams, real HTTP; one small build."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from mcp import Client, MCPError
from mcp.types import CallToolResult
from typer.testing import CliRunner

from dagster_project.cli import app
from dagster_project.core.build import Headrace
from dagster_project.core.errors import ConfigurationError
from dagster_project.core.ingest import ingest_files
from dagster_project.core.retrieval import Principals
from dagster_project.serving.mcp.http import build_app, listen
from dagster_project.serving.mcp.server import Calls, build_server
from dagster_project.serving.mcp.tools import TOOLS
from dagster_project.serving.readers import Reader, add_reader
from tests.core.attacks import ATTACKS
from tests.core.shelves import chunk, put, shelves

from .service import Listening, Pipes, environment, on_stdio, over_http, text_of

SECRET = "The takeover is called Kingfisher."
NOTE = "---\ntitle: {title}\naccess: [{access}]\nupdated_at: 2026-01-0{day}\n{more}---\n{text}\n"
# By source and file: the title, who may read it, the text.
NOTES = {
    ("handbook", "refunds"): ("Refunds", "everyone", "Money goes back within 30 days."),
    ("handbook", "escalation"): ("Escalation", "role:support", "Escalate a refund to the lead."),
    ("handbook", "long"): (
        "Long",
        "everyone",
        "\n\n".join(f"## Part {n}\n\nRule {n}." for n in range(99)),
    ),
    ("vault", "takeover"): ("Takeover", "role:board", f"{SECRET} Refund nobody."),
}
ANYBODY = Reader("anybody", Principals.of())
PLENTY = {"HEADRACE_MCP_PER_MINUTE": "1000000", "HEADRACE_MCP_BURST": "1000000"}


@pytest.fixture(scope="module")
def built(headrace: Headrace, tmp_path_factory: pytest.TempPathFactory) -> Headrace:
    folder = tmp_path_factory.mktemp("notes")
    for day, ((source, name), (title, access, text)) in enumerate(NOTES.items(), start=1):
        more = "url: https://example.com/refunds\nplan: Team\n" if name == "refunds" else ""
        note = NOTE.format(title=title, access=access, day=day, more=more, text=text)
        (folder / source).mkdir(exist_ok=True)
        (folder / source / f"{name}.md").write_text(note)
    for source in ("handbook", "vault"):
        ingest_files(headrace.warehouse, str(folder / source), source)
    headrace.build()
    return headrace


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("readers") / "readers.yml"


@pytest.fixture(scope="module")
def tokens(readers: Path) -> dict[str, str]:
    made = {
        name: add_reader(readers, name, [principal])
        for name, principal in (
            ("anybody", "everyone"),
            ("support", "role:support"),
            ("board", "role:board"),
        )
    }
    return made | {"admin": add_reader(readers, "admin", [], admin=True)}


@pytest.fixture(scope="module")
def server(built: Headrace, readers: Path, tokens: dict[str, str]) -> Iterator[Listening]:
    variables = environment(built.settings, HEADRACE_READERS=str(readers), **PLENTY)
    listening = Listening(variables, "--allow-host", "mcp.example.com")
    yield listening
    assert listening.stop() == ""


def _bearer(token: str) -> list[tuple[str, str]]:
    return [("Authorization", f"Bearer {token}")]


def _found(result: CallToolResult) -> set[str]:
    assert not result.is_error, text_of(result)
    return {passage["document_id"] for passage in result.structured_content["passages"]}


async def _every_tool(client: Client) -> None:
    """Everything that a reader of `role:support` is answered."""
    listed = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert list(listed) == list(TOOLS) and len(listed) == 5
    for tool in listed.values():
        assert tool.description and tool.annotations and tool.annotations.read_only_hint
        assert tool.input_schema["additionalProperties"] is False
        assert all("description" in each for each in tool.input_schema["properties"].values())
        assert tool.output_schema is not None and tool.output_schema["type"] == "object"

    found = await client.call_tool("search_context", {"question": "refund", "budget_words": 60})
    assert _found(found) == {"handbook:refunds.md", "handbook:escalation.md", "handbook:long.md"}
    context = found.structured_content
    assert context["text"] == text_of(found) and context["words"] <= 60
    [refunds] = [each for each in context["passages"] if each["title"] == "Refunds"]
    assert refunds["url"] == "https://example.com/refunds" and refunds["first_page"] is None
    assert datetime.fromisoformat(refunds["updated_at"]).isoformat() == "2026-01-01T00:00:00+00:00"
    assert len(refunds["dbt_invocation_ids"]) == 1 and refunds["dbt_invocation_ids"][0]
    assert f"[{refunds['number']}] Refunds\nhandbook:refunds.md" in context["text"]
    filters: list[dict[str, Any]] = [
        {"source_names": ["handbook"], "updated_before": "2026-01-01T12:00:00"},
        {"facts": {"plan": "Team"}, "lifecycle_states": ["active"], "as_of": "2026-02-01"},
        {"document_ids": ["handbook:refunds.md"], "updated_after": "2026-01-01T01:00:00+02:00"},
    ]
    for each in filters:
        narrowed = await client.call_tool("search_context", {"question": "refund", **each})
        assert _found(narrowed) == {"handbook:refunds.md"}, each
    for each in (
        {"facts": {"plan": 1}},
        {"updated_after": "2026-01-01T01:00:00-02:00", "doc_types": ["x"]},
    ):
        nothing = await client.call_tool("search_context", {"question": "x", **each})
        assert _found(nothing) == set() and text_of(nothing).startswith("Nothing was found")

    part = {"document_id": "handbook:long.md", "max_characters": 100}
    first = await client.call_tool("get_document", part)
    rest = await client.call_tool(
        "get_document", {**part, "offset": 100, "max_characters": 100_000}
    )
    whole = await client.call_tool("get_document", {"document_id": "handbook:long.md"})
    texts = [each.structured_content["text"] for each in (first, rest, whole)]
    assert texts[0] + texts[1] == texts[2] and "Rule 98." in texts[2] and len(texts[0]) == 100
    assert first.structured_content["next_offset"] == 100
    assert rest.structured_content["next_offset"] is None
    facts = await client.call_tool("get_document", {"document_id": "handbook:refunds.md"})
    assert facts.structured_content["facts"]["plan"] == "Team"
    assert "access" not in json.dumps(facts.structured_content)
    missing = await client.call_tool("get_document", {"document_id": "handbook:none.md"})
    hidden = await client.call_tool("get_document", {"document_id": "vault:takeover.md"})
    assert missing.is_error and hidden.is_error
    assert text_of(hidden) == text_of(missing).replace("handbook:none", "vault:takeover")

    term = await client.call_tool("lookup_term", {"name": "churn"})
    assert term.structured_content == {"term": None, "similar": []}

    refused = await client.call_tool("query_metric", {"metrics": ["arr"]})
    assert refused.is_error and "HEADRACE_METRIC_ACCESS" in text_of(refused)

    fresh = (await client.call_tool("freshness", {})).structured_content
    assert [(each["source_name"], each["documents"]) for each in fresh["sources"]] == [
        ("handbook", 3)
    ]
    assert fresh["sources"][0]["newest_change"].startswith("2026-01-03T00:00:00")
    assert fresh["sources"][0]["age_seconds"] > 0 and fresh["waiting"]["documents"] == 0
    assert fresh["published_at"] and fresh["warehouse_problem"] is None
    assert fresh["generation"] == "chunks_fake_384_0001" and fresh["version"] >= 1


def test_every_tool_answers_on_stdio(built: Headrace) -> None:
    async def main() -> None:
        async with on_stdio(environment(built.settings), "--as", "role:support") as client:
            await _every_tool(client)

    asyncio.run(main())


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_every_tool_answers_over_http(server: Listening, tokens: dict[str, str], mode: str) -> None:
    async def main() -> None:
        async with over_http(server.url, tokens["support"], mode) as client:
            await _every_tool(client)

    asyncio.run(main())


def test_each_token_reads_in_its_own_name(server: Listening, tokens: dict[str, str]) -> None:
    shown = {"anybody": 2, "support": 3, "board": 3, "admin": 4}

    async def seen(name: str) -> tuple[set[str], set[str], bool]:
        async with over_http(server.url, tokens[name]) as client:
            found = await client.call_tool("search_context", {"question": "refund rule"})
            fresh = await client.call_tool("freshness", {})
            takeover = await client.call_tool("get_document", {"document_id": "vault:takeover.md"})
            sources = {each["source_name"] for each in fresh.structured_content["sources"]}
            return _found(found), sources, SECRET in text_of(takeover)

    async def main() -> None:
        # At the same time, and more than once, so that one could be taken for the other.
        names = [*shown] * 3
        for name, (found, sources, told) in zip(
            names, await asyncio.gather(*map(seen, names)), strict=True
        ):
            assert len(found) == shown[name]
            assert ("vault:takeover.md" in found) is told is ("vault" in sources)
            assert told is (name in {"board", "admin"})

    asyncio.run(main())


def test_lags_are_of_the_sources_that_a_reader_sees(
    server: Listening, tokens: dict[str, str], built: Headrace
) -> None:
    with psycopg.connect(built.postgres_url) as connection:
        for source in ("handbook", "vault"):
            for number, lag in enumerate((1, 2, 3, 40)):
                connection.execute(
                    "insert into headrace_ops.published_documents select 'none', 1, %s, %s, "
                    "now() - make_interval(secs => %s), now(), now(), now(), false",
                    (f"{source}:{number}", source, lag),
                )

    async def main() -> None:
        for name, seen in (("support", ["handbook"]), ("admin", ["handbook", "vault"])):
            async with over_http(server.url, tokens[name]) as client:
                report = await client.call_tool("freshness", {})
                lags = {
                    each["source_name"]: each["lag_seconds"]
                    for each in report.structured_content["sources"]
                }
                assert lags == dict.fromkeys(seen, {"p50": 2, "p95": 40, "max": 40})
                assert "2.0 s (median), 40.0 s (95 in 100)" in text_of(report)

    asyncio.run(main())


def test_without_a_known_token_nothing_is_said(server: Listening, tokens: dict[str, str]) -> None:
    known = tokens["admin"]
    for headers in (
        [],
        _bearer("hr_unknown"),
        _bearer("-"),
        _bearer(known[:-1]),
        _bearer(known + "x"),
        [("Authorization", known)],
        [("Authorization", f"Basic {known}")],
        [*_bearer(known), *_bearer(tokens["support"])],
        [("Cookie", f"token={known}")],
    ):
        refused = server.post("tools/list", headers=headers)
        assert refused.status_code == 401, headers
        assert refused.headers["www-authenticate"].startswith('Bearer realm="headrace"')
        is_given = any(name == "Authorization" for name, _ in headers)
        assert ('error="invalid_token"' in refused.headers["www-authenticate"]) is is_given
        assert set(refused.json()) == {"error", "error_description"}
    assert server.post("tools/list", headers=_bearer(known)).status_code == 200
    assert httpx2.post(f"{server.url}?token={known}", trust_env=False).status_code == 401

    async def main() -> None:
        async with over_http(server.url, "hr_unknown") as client:
            await client.list_tools()

    with pytest.raises(BaseException) as caught:  # noqa: PT011 - the SDK may raise a group
        asyncio.run(main())
    assert not isinstance(caught.value, AssertionError)


def test_a_token_that_is_taken_back_ends_at_once(
    server: Listening, readers: Path, tokens: dict[str, str]
) -> None:
    before = readers.read_text()
    token = add_reader(readers, "guest", ["role:support"])
    headers = _bearer(token)
    assert server.post("tools/list", headers=headers).status_code == 200
    readers.write_text(before)
    assert server.post("tools/list", headers=headers).status_code == 401
    for broken in ("- [", "- {name: admin}"):
        readers.write_text(broken)
        assert {
            server.post("tools/list", headers=_bearer(each)).status_code for each in tokens.values()
        } == {401}
    readers.unlink()
    assert server.post("tools/list", headers=_bearer(tokens["admin"])).status_code == 401
    readers.write_text(before)
    assert server.post("tools/list", headers=_bearer(tokens["admin"])).status_code == 200
    log = "".join(server.errors)
    assert "Every reader is refused" in log and not any(each in log for each in tokens.values())


def test_there_is_no_session_to_steal(server: Listening, tokens: dict[str, str]) -> None:
    """Whatever session a request names, it is answered in the name of its own token."""
    hello = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "tests", "version": "1"},
    }
    opened = server.post("initialize", hello, _bearer(tokens["board"]))
    assert opened.status_code == 200 and "mcp-session-id" not in opened.headers
    call = {"name": "search_context", "arguments": {"question": "takeover"}}
    for stolen in ("0" * 32, opened.headers.get("mcp-session-id", "board"), tokens["board"]):
        session = [("Mcp-Session-Id", stolen), ("MCP-Protocol-Version", "2025-06-18")]
        mine = server.post("tools/call", call, [*_bearer(tokens["anybody"]), *session])
        assert mine.status_code == 200 and SECRET not in mine.text and "handbook:" in mine.text
        assert server.post("tools/call", call, session).status_code == 401
        theirs = server.post("tools/call", call, [*_bearer(tokens["board"]), *session])
        assert SECRET in theirs.text
    for method in ("GET", "DELETE"):
        session = [("Mcp-Session-Id", "0" * 32), ("Accept", "text/event-stream")]
        closed = httpx2.request(
            method, server.url, headers=[*_bearer(tokens["board"]), *session], trust_env=False
        )
        assert closed.status_code == 405


def test_a_page_of_another_site_is_refused(server: Listening, tokens: dict[str, str]) -> None:
    port = httpx2.URL(server.url).port
    token = _bearer(tokens["admin"])
    for name, value, status in (
        ("Host", "evil.example", 421),
        ("Host", f"evil.example:{port}", 421),
        ("Host", "127.0.0.1.evil.example", 421),
        ("Host", f"localhost:{port}", 200),
        ("Host", "mcp.example.com", 200),
        ("Host", "other.mcp.example.com", 421),
        ("Origin", "https://mcp.example.com", 200),
        ("Origin", "https://evil.example", 403),
        ("Origin", "null", 403),
        ("Origin", f"http://127.0.0.1:{port}", 200),
    ):
        answer = server.post("tools/list", headers=[*token, (name, value)])
        assert answer.status_code == status, (name, value)
        assert "access-control-allow-origin" not in answer.headers


def test_what_is_too_long_or_no_json_is_refused(server: Listening, tokens: dict[str, str]) -> None:
    call = {"name": "search_context", "arguments": {"question": "x" * 300_000}}
    assert server.post("tools/call", call, _bearer(tokens["admin"])).status_code == 413
    for content in (b"{", b"[]", b"\xff", b"[" * 100_000, b"1" * 10_000):
        answer = httpx2.post(
            server.url,
            content=content,
            headers=[
                *_bearer(tokens["admin"]),
                ("Content-Type", "application/json"),
                ("Accept", "application/json, text/event-stream"),
            ],
            trust_env=False,
        )
        assert answer.status_code == 400, content[:10]
        assert "Traceback" not in answer.text and 'File "' not in answer.text


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("search_context", {}, "question is missing"),
    ("search_context", {"question": ""}, "at least 1 character"),
    ("search_context", {"question": " "}, "The query is empty"),
    ("search_context", {"question": "x" * 8_001}, "at most 8000 characters"),
    ("search_context", {"question": 5}, "valid string"),
    ("search_context", {"question": "x", "budget_words": 0}, "greater than or equal to 20, not 0"),
    ("search_context", {"question": "x", "budget_words": 10**9}, "less than or equal to 5000"),
    ("search_context", {"question": "x", "filter": {"a": 1}}, "no argument 'filter', but question"),
    ("search_context", {"question": "x", "admin": True}, "no argument 'admin'"),
    ("search_context", {"question": "x", "access": ["role:board"]}, "no argument 'access'"),
    ("search_context", {"question": "x", "principals": ["role:board"]}, "no argument"),
    ("search_context", {"question": "x", "doc_types": "policy"}, "valid list"),
    ("search_context", {"question": "x", "doc_types": ["a"] * 101}, "at most 100 items"),
    ("search_context", {"question": "x", "updated_after": "soon"}, "valid datetime"),
    ("search_context", {"question": "x", "as_of": "2026-13-01"}, "valid date"),
    ("search_context", {"question": "x", "facts": {"a": ["b"]}}, "facts.a"),
    ("get_document", {"document_id": "x", "offset": -1}, "greater than or equal to 0"),
    ("get_document", {"document_id": "x", "max_characters": 10**9}, "less than or equal"),
    ("lookup_term", {"name": None}, "name is missing"),
    ("query_metric", {"metrics": []}, "at least 1 item"),
    ("query_metric", {"metrics": ["a"], "limit": 1_001}, "less than or equal to 1000"),
    ("query_metric", {"metrics": ["a"], "where": "1=1"}, "no argument 'where'"),
    ("freshness", {"all": True}, "no argument 'all', but none"),
]


def test_bad_arguments_are_explained(server: Listening, tokens: dict[str, str]) -> None:
    async def main() -> None:
        async with over_http(server.url, tokens["support"]) as client:
            for name, arguments, what in BAD:
                result = await client.call_tool(name, arguments)
                assert result.is_error and what in text_of(result), (arguments, text_of(result))
                assert "pydantic" not in text_of(result) and len(text_of(result)) < 1_000
            with pytest.raises(MCPError, match="There is no tool 'drop_table'"):
                await client.call_tool("drop_table", {})

    asyncio.run(main())


def test_an_attack_in_an_argument_is_refused_or_harmless(
    server: Listening, tokens: dict[str, str], built: Headrace
) -> None:
    rows = built.live_index.count()
    theirs = {"handbook:refunds.md", "handbook:long.md"}
    # A half of a surrogate pair cannot even be sent by this client.
    attacks = [attack for attack in ATTACKS if "\ud800" not in attack]
    filters: list[Callable[[str], dict[str, Any]]] = [
        lambda name: {"doc_types": [name]},
        lambda name: {"source_names": [name, "vault"]},
        lambda name: {"document_ids": [name, "vault:takeover.md"]},
        lambda name: {"lifecycle_states": [name]},
        lambda name: {"facts": {name: name}},
    ]

    async def main() -> None:
        async with over_http(server.url, tokens["anybody"]) as client:
            for number, attack in enumerate(attacks):
                question = f"refund {attack}"[:8_000]
                found = await client.call_tool("search_context", {"question": question})
                assert found.is_error or _found(found) <= theirs, attack
                name = attack[:500]
                narrowed = {"question": "refund", **filters[number % len(filters)](name)}
                found = await client.call_tool("search_context", narrowed)
                assert found.is_error or not _found(found), narrowed
                for tool, arguments in (
                    ("get_document", {"document_id": name}),
                    ("lookup_term", {"name": name[:200]}),
                    ("query_metric", {"metrics": [name[:200]], "group_by": [name[:200]]}),
                ):
                    result = await client.call_tool(tool, arguments)
                    assert SECRET not in text_of(result)
                    assert result.is_error or result.structured_content["term"] is None
                    assert "its log" not in text_of(result).lower(), text_of(result)

    asyncio.run(main())
    assert built.live_index.count() == rows
    surrogate = {"name": "search_context", "arguments": {"question": "\ud800' OR true --"}}
    refused = server.post("tools/call", surrogate, _bearer(tokens["anybody"]))
    assert refused.status_code in {200, 400} and SECRET not in refused.text
    assert not [line for line in server.errors if "Traceback" in line]


def test_too_many_calls_say_when_to_try_again(built: Headrace) -> None:
    few = Headrace(replace(built.settings, mcp_per_minute=1, mcp_burst=2))

    async def main() -> None:
        async with Client(build_server(Calls(few, lambda context: ANYBODY))) as client:
            asked = {"question": "refund rule"}
            for _ in range(2):
                assert len(_found(await client.call_tool("search_context", asked))) == 2
            for name, arguments in (("search_context", asked), ("freshness", {"bad": 1})):
                refused = await client.call_tool(name, arguments)
                assert refused.is_error
                assert re.search(r"1 a minute, 2 at once\. Try again in \d+ s", text_of(refused))

    asyncio.run(main())


NOISE = """
import ctypes, os, subprocess, sys, warnings
from dagster_project.core.retrieval import Retriever
quiet = Retriever.context
def noisy(*arguments, **more):
    print("noise of print")
    sys.stdout.write("noise without an end")
    os.write(1, b"noise of a descriptor\\n")
    ctypes.CDLL(None).puts(b"noise of C")
    subprocess.run(["echo", "noise of a child"], check=True)
    warnings.warn("noise of a warning")
    return quiet(*arguments, **more)
Retriever.context = noisy
sys.argv = ["headrace", "mcp"]
from dagster_project.cli import main
main()
"""


def test_nothing_but_the_protocol_is_on_stdout(built: Headrace) -> None:
    pipes = Pipes(environment(built.settings), "-c", NOISE)
    pipes.begin()
    call = {"name": "search_context", "arguments": {"question": "refund"}}
    assert not pipes.ask("tools/call", call)["isError"]
    assert not pipes.ask("tools/call", {"name": "freshness", "arguments": {}})["isError"]
    errors = pipes.end()
    assert [json.loads(line).get("id") for line in pipes.lines] == [1, 2, 3]
    for noise in ("print", "without an end", "a descriptor", "C", "a child", "a warning"):
        assert f"noise of {noise}" in errors or f"noise {noise}" in errors, noise
    assert "stdio: search_context, answered" in errors


def test_an_unexpected_error_names_nothing_but_a_reference(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    headrace = shelves(tmp_path)
    put(headrace, [chunk("note:1", "A refund is paid.")])
    for path in tmp_path.rglob("*.lance"):
        if path.is_file():
            path.write_bytes(b"torn")
    server = build_server(Calls(headrace, lambda context: Reader("tests", Principals.admin())))

    async def main() -> CallToolResult:
        async with Client(server) as client:
            return await client.call_tool("search_context", {"question": "refund"})

    result = asyncio.run(main())
    found = re.fullmatch(
        r"Something went wrong in the server\. Its log has the reason under ([0-9a-f]{8})\.",
        text_of(result),
    )
    assert result.is_error and found, text_of(result)
    record = next(each for each in caplog.records if found[1] in each.getMessage())
    assert record.exc_info and str(tmp_path) not in text_of(result)


def test_without_a_warehouse_documents_are_read(tmp_path: Path) -> None:
    headrace = shelves(tmp_path, metric_access=("role:finance",))
    put(headrace, [chunk("note:1", "A refund is paid.")])
    reader = Reader("tests", Principals.of("role:finance"))
    server = build_server(Calls(headrace, lambda context: reader))

    async def main() -> None:
        async with Client(server) as client:
            assert _found(await client.call_tool("search_context", {"question": "refund"}))
            fresh = (await client.call_tool("freshness", {})).structured_content
            assert fresh["sources"][0]["documents"] == 1 and fresh["waiting"] is None
            value = await client.call_tool("query_metric", {"metrics": ["arr"]})
            for problem in (fresh["warehouse_problem"], text_of(value)):
                assert "The warehouse does not answer" in problem and "127.0.0.1" not in problem

    asyncio.run(main())


def test_before_a_build_it_says_what_to_run(tmp_path: Path) -> None:
    server = build_server(Calls(shelves(tmp_path), lambda context: ANYBODY))

    async def main() -> None:
        async with Client(server) as client:
            for name in ("search_context", "lookup_term"):
                arguments = {"question": "x"} if name == "search_context" else {"name": "x"}
                result = await client.call_tool(name, arguments)
                assert result.is_error and "run `headrace build`" in text_of(result)
                assert str(tmp_path) not in text_of(result)

    asyncio.run(main())


def test_nobody_listens_to_others_without_readers(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1"):  # noqa: S104 - it is refused
        with pytest.raises(ConfigurationError, match="can be reached by others"):
            listen(host, 0, None)
    with pytest.raises(ConfigurationError, match="may be reached by others"):
        build_app(shelves(tmp_path), None, ["mcp.example.com"])
    with listen("localhost", 0, None) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(ConfigurationError, match="choose another"):
            listen("localhost", port, None)


def test_the_command_line_makes_tokens_and_refuses_what_is_unclear(tmp_path: Path) -> None:
    path = tmp_path / "readers.yml"
    line = ["mcp", "token", "--readers", str(path), "--name", "bot", "--as", "role:support"]
    made = CliRunner().invoke(app, line)
    assert made.exit_code == 0 and re.fullmatch(r"hr_[\w-]{43}\n", made.stdout)
    assert made.stdout.strip() not in path.read_text() + made.stderr
    for arguments, what in (
        (line, "'bot' already"),
        (["mcp", "token", "--readers", str(path), "--name", "other"], "Say what the reader is"),
        (["mcp", "token", "--name", "bot", "--as", "role:support"], "Say where the readers are"),
        (["mcp", "--http", "--as", "role:support"], "the token says who reads"),
        (["mcp", "--http", "--readers", str(tmp_path / "none.yml")], "cannot be read"),
        (["mcp", "--http", "--host", "0.0.0.0"], "can be reached by others"),
        (["mcp", "--readers", str(path)], "go with --http"),
        (["mcp", "--admin", "--as", "role:support"], "leave one of them out"),
    ):
        refused = CliRunner().invoke(app, arguments, env={"HEADRACE_HOME": str(tmp_path)})
        assert isinstance(refused.exception, ConfigurationError), arguments
        assert what in str(refused.exception)


def test_without_readers_everybody_here_reads_what_everyone_may(built: Headrace) -> None:
    server = Listening(environment(built.settings, **PLENTY))
    try:

        async def main() -> None:
            async with over_http(server.url, None) as client:
                found = await client.call_tool("search_context", {"question": "refund rule"})
                assert _found(found) == {"handbook:refunds.md", "handbook:long.md"}

        asyncio.run(main())
    finally:
        assert server.stop() == ""
