"""The page over HTTP, on a real index whose warehouse does not answer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from dagster_project.core.build import Headrace
from dagster_project.core.errors import ConfigurationError
from dagster_project.core.retrieval import Principals, Ranking, Retriever, Term
from dagster_project.serving.page import make_app
from dagster_project.serving.page.address import Address
from dagster_project.serving.page.marking import Marker
from dagster_project.serving.page.wording import score, span, web_link
from tests.core.shelves import chunk, put, shelves

from .pages import (
    HOSTILE_ID,
    HOSTILE_TEXT,
    HOSTILE_TITLE,
    PASSWORD,
    client,
    documents,
    filled,
    soup,
)

ATTACKS = (
    "<script>window.owned=1</script>",
    "\"><script>window.owned=1</script><input value='",
    "'><img src=x onerror=window.owned=1>",
    "javascript:window.owned=1",
    "{{ 7 * 7 }}{% for x in y %}",
    "&lt;script&gt; &amp; &#39;",
    "\u202etxet \u2028 退款 🙂 \x07",
    "%3Cscript%3E",
    "refund' OR true --",
)
READABLE = {"policy:refunds", "ticket:1", "ticket:2", "ticket:3", HOSTILE_ID, "glossary:arr"}


@pytest.fixture(scope="module")
def headrace(tmp_path_factory: pytest.TempPathFactory) -> Headrace:
    return filled(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def page(headrace: Headrace) -> TestClient:
    return client(headrace)


@pytest.fixture(scope="module")
def admin(headrace: Headrace) -> TestClient:
    return client(headrace, admin=True)


def _published(page: TestClient) -> dict[str, str]:
    """What the head of the page says."""
    facts = soup(page, "/").select(".published div")
    return {fact.dt.text: fact.dd.text for fact in facts}  # type: ignore[union-attr]


def _harmless(found: BeautifulSoup) -> None:
    """Nothing in a page is a script, a handler, a style or an address but the page's own."""
    assert [script.get("src") for script in found.find_all("script")] == ["/static/page.js"]
    assert {sheet["href"] for sheet in found.find_all("link", rel="stylesheet")} == {
        "/static/page.css"
    }
    assert {image["src"] for image in found.find_all("img")} <= {"/static/icon.svg"}
    assert not found.find_all(["style", "iframe", "object", "embed", "base", "i"])
    for tag in found.find_all(True):
        assert not [name for name in tag.attrs if name.startswith("on") or name == "style"], tag
    for link in found.find_all(["a", "form"]):
        target = urlsplit(str(link.get("href") or link.get("action")))
        assert target.scheme in {"", "https"}, link
        assert target.scheme or target.path in {"/", "/document", "/value"}, link


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/", 200),
        ("/?q=refund", 200),
        ("/?q=refund&view=context", 200),
        ("/?q=refund&k=0", 400),
        ("/document?id=policy:refunds", 200),
        ("/document?id=nothing", 404),
        ("/value?q=refund", 404),
        ("/nothing", 404),
        ("/static/page.js", 200),
        ("/static/../app.py", 404),
        ("/static/%2e%2e/app.py", 404),
    ],
)
def test_every_answer_has_the_headers(page: TestClient, path: str, code: int) -> None:
    answer = page.get(path)
    assert answer.status_code == code
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy
    assert "unsafe" not in policy and "http" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("127.0.0.1:8090", 200),
        ("localhost:1", 200),
        ("LOCALHOST", 200),
        ("evil.example", 400),
        ("evil.example:8090", 400),
        ("127.0.0.1.evil.example", 400),
        ("www.localhost", 400),
        ("0.0.0.0:8090", 400),
        ("", 400),
    ],
)
def test_another_host_is_refused(page: TestClient, host: str, code: int) -> None:
    answer = page.get("/?q=refund", headers={"host": host})
    assert answer.status_code == code
    assert ("policy:refunds" in answer.text) == (code == 200)
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_only_reading_is_served(page: TestClient) -> None:
    assert page.post("/", data={"q": "refund"}).status_code == 405
    assert page.delete("/document?id=policy:refunds").status_code == 405


def test_a_hostile_document_is_text(page: TestClient) -> None:
    found = soup(page, "/", q="hostile rules refund", k=50)
    _harmless(found)
    (hit,) = [hit for hit in found.select(".hit") if "hostile" in hit.text]
    assert hit.select_one("h2").text == HOSTILE_TITLE  # type: ignore[union-attr]
    assert hit.select_one(".text").text == HOSTILE_TEXT  # type: ignore[union-attr]
    assert hit.select_one(".meta code").text == HOSTILE_ID  # type: ignore[union-attr]
    # A link to its source would run a script.
    assert "Source" not in hit.select_one(".links").text  # type: ignore[union-attr]
    lineage = hit.select_one("h2 a")["href"]  # type: ignore[index]
    document = soup(page, str(lineage))
    _harmless(document)
    assert document.h1 is not None and document.h1.text == HOSTILE_TITLE
    assert document.select_one(".cuts .text").text == HOSTILE_TEXT  # type: ignore[union-attr]
    context = soup(page, "/", q="hostile rules refund", view="context")
    _harmless(context)
    assert HOSTILE_TEXT in context.select_one("#pack").text  # type: ignore[union-attr]
    for fact in hit.select(".facts a"):
        narrowed = soup(page, str(fact["href"]))
        _harmless(narrowed)
        assert documents(narrowed) == [HOSTILE_ID]


@pytest.mark.parametrize("attack", ATTACKS, ids=ascii)
def test_a_hostile_address_is_text(page: TestClient, attack: str) -> None:
    for view in ("hits", "context"):
        found = soup(page, "/", q=attack, view=view)
        _harmless(found)
        assert found.select_one("#q")["value"] == attack  # type: ignore[index]
    for name in ("doc_type", "source", "state"):
        narrowed: dict[str, Any] = {name: attack}
        found = soup(page, "/", q="refund", **narrowed)
        _harmless(found)
        assert "Nothing found" in found.text
        assert found.select(f'input[name="{name}"][checked]')[0]["value"] == attack
    for name in ("updated_after", "as_of", "k", "words"):
        _harmless(soup(page, "/", 400, q="refund", **{name: attack}))
    _harmless(soup(page, "/", q="refund", payload=f"plan={attack}"))
    _harmless(soup(page, "/document", 404, id=attack, q=attack, chunk=attack))


def test_what_is_secret_appears_nowhere(page: TestClient, admin: TestClient) -> None:
    addresses = [
        "/",
        "/?q=refund&k=50",
        "/?q=xyzzy+plugh+secret&k=50",
        "/?q=refund&view=context&words=5000",
        "/?q=refund&state=superseded",
        "/?q=refund&updated_after=2026-08-01",
        "/document?id=policy:refunds&q=refund",
        "/document?id=ticket:2",
    ]
    words = ("secret", "xyzzy", "plugh", "ticket:4", "2026-09")
    for address in addresses:
        # What the reader wrote is the reader's own.
        text = page.get(address).text.lower().replace("xyzzy plugh secret", "")
        text = text.replace("xyzzy+plugh+secret", "")
        assert not [word for word in words if word in text], address
    assert _published(page)["documents you may read"] == str(len(READABLE))
    assert page.get("/document?id=secret:1").text == page.get("/document?id=secret:2").text
    assert page.get("/document?id=secret:1").status_code == 404
    # All of it is there for those who may see it.
    seen = admin.get("/").text + admin.get("/?q=refund&k=50").text
    for word in ("secret_type", "secret_source", "xyzzy", "Plugh", "ticket:4"):
        assert word in seen


def test_the_reader_is_fixed_and_shown(headrace: Headrace, admin: TestClient) -> None:
    theirs = client(headrace, "role:secret", "role:<b>")
    found = soup(theirs, "/", q="refund", k=50)
    assert [name.text for name in found.select(".reader b")] == [
        "everyone",
        "role:<b>",
        "role:secret",
    ]
    assert "secret:1" in documents(found)
    # Nothing in an address makes somebody else of the reader.
    asked: dict[str, Any] = {"q": "refund", "k": 50, "as": "role:secret", "admin": 1}
    more = soup(client(headrace), "/", **asked)
    assert set(documents(more)) <= READABLE
    assert "admin" in soup(admin, "/").select_one(".reader").text  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("narrowed", "wanted"),
    [
        ({"doc_type": "policy"}, {"policy:refunds"}),
        ({"doc_type": ["policy", "glossary"]}, {"policy:refunds", "glossary:arr"}),
        ({"source": "desk"}, {"ticket:1"}),
        ({"state": "stale"}, {"ticket:1"}),
        ({"updated_after": "2026-05-01"}, {"ticket:1"}),
        ({"updated_after": "2026-03-01", "updated_before": "2026-05-01"}, {"policy:refunds"}),
        ({"as_of": "2026-07-01"}, READABLE - {"policy:refunds"}),
        ({"payload": "plan=Team"}, {"policy:refunds"}),
        ({"payload": "seats=7"}, {"policy:refunds"}),
        ({"payload": 'seats="7"'}, set()),
        ({"payload": ["plan=Team", "is_open=true", "note=null"]}, {"policy:refunds"}),
        ({"payload": ["plan=Team", "seats=8"]}, set()),
    ],
)
def test_filters(page: TestClient, narrowed: dict[str, Any], wanted: set[str]) -> None:
    found = soup(page, "/", q="refund", k=50, **narrowed)
    # Of the tickets that say the same, one is shown.
    shown = {"ticket:2" if one == "ticket:3" else one for one in documents(found)}
    assert shown == wanted - {"ticket:3"}
    assert bool(wanted) != ("Nothing found" in found.text)
    for chip in found.select("main .chip"):
        wider = parse_qsl(urlsplit(str(chip["href"])).query)
        assert len(wider) == len(found.select("main .chip")) + 1


def test_the_head_says_what_is_published(headrace: Headrace, admin: TestClient) -> None:
    said = _published(admin)
    generation = headrace.live_generation
    assert said["generation"] == generation.name
    assert said["version"] == str(headrace.live_index.live_version)
    assert said["model"] == "fake-384"
    assert said["documents"] == str(len(READABLE) + 2)
    newest = soup(admin, "/").select_one(".published time")
    assert newest is not None and newest["datetime"] == "2026-09-01T00:00:00+00:00"


def test_filters_name_what_there_is_with_how_many_documents(page: TestClient) -> None:
    found = soup(page, "/", q="refund", doc_type="ticket")
    types = found.select('input[name="doc_type"]')
    by_name = {box["value"]: box.parent.small.text for box in types}  # type: ignore[union-attr]
    assert by_name["ticket"] == "3" and by_name["policy"] == "1"
    assert [box["value"] for box in types if box.has_attr("checked")] == ["ticket"]


def test_a_fact_of_a_hit_narrows_to_it(page: TestClient) -> None:
    found = soup(page, "/", q="refund", doc_type="policy")
    facts = {fact.text: fact["href"] for fact in found.select(".hit:first-child .facts a")}
    # What is a list equals nothing.
    assert set(facts) == {"plan Team", "seats 7", "is_open true", "note null"}
    for address in facts.values():
        assert set(documents(soup(page, str(address)))) == {"policy:refunds"}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"k": "0"}, "k is '0': give a whole number from 1 to 50"),
        ({"k": "51"}, "from 1 to 50"),
        ({"k": "9" * 5_000}, "from 1 to 50"),
        ({"k": "²"}, "from 1 to 50"),
        ({"words": "-1"}, "words is '-1'"),
        ({"tokens": "many"}, "tokens is 'many'"),
        ({"updated_after": "2026-13-01"}, "give a day, such as 2026-01-31"),
        ({"as_of": "yesterday"}, "give a day"),
        ({"payload": "plan"}, "has no value: give name=value"),
        ({"payload": "plan=[1]"}, "give a text, a number, true, false or null"),
        ({"doc_type": "x" * 1_001}, "at most 1000 characters"),
        ({"q": "x" * 8_001}, "give at most 8,000"),
        ({"q": "a\0b"}, "without NUL"),
    ],
)
def test_bad_input_is_named_and_kept(page: TestClient, values: dict[str, str], says: str) -> None:
    for view in ("hits", "context"):
        found = soup(page, "/", 400, **({"q": "refund", "view": view} | values))
        assert says in found.select_one("[role=alert]").text  # type: ignore[union-attr]
        assert not found.select(".hit")
        ((name, value),) = values.items()
        kept = [field.get("value") for field in found.select(f'input[name="{name}"]')]
        assert value in kept or name in {"k", "words", "tokens"}


@pytest.mark.parametrize(
    ("ranking", "by"),
    [
        (Ranking(), "both"),
        (Ranking(vector_weight=0), "words"),
        (Ranking(text_weight=0), "meaning"),
    ],
)
def test_a_hit_shows_which_leg_found_it(headrace: Headrace, ranking: Ranking, by: str) -> None:
    retriever = Retriever(headrace, Principals.of(), ranking=ranking)
    shown = soup(TestClient(make_app(retriever), base_url="http://localhost"), "/", q="refunds")
    hits = retriever.search("refunds")
    assert len(hits) > 2
    for hit, card in zip(hits, shown.select(".hit"), strict=True):
        ranks = {"meaning": hit.vector_rank, "words": hit.text_rank}
        for leg, rank in ranks.items():
            label = card.select_one(f".leg.{leg} b").text  # type: ignore[union-attr]
            assert label == ("not found" if rank is None else f"#{rank}")
            width = float(str(card.select_one(f".bar.{leg} rect")["width"]))  # type: ignore[index]
            long = 0 if rank is None else 100 * (1 - math.log(rank) / math.log(ranking.depth))
            assert width == pytest.approx(long, abs=0.06)
        legs = [leg for leg, rank in ranks.items() if rank is not None]
        assert ("both" if len(legs) == 2 else legs[0]) in card["class"]
    assert shown.select(f".hit.{by}") and shown.select(f".by.{by}")


def test_words_are_marked_whatever_their_ending(page: TestClient) -> None:
    found = soup(page, "/", q="how are refunds paid", doc_type="policy")
    marked = {mark.text.lower() for mark in found.select(".text mark.word")}
    assert marked == {"refunds", "refund", "paid"}


def test_other_names_of_a_term_are_asked_and_marked(page: TestClient) -> None:
    found = soup(page, "/", q="what is the run rate")
    names = [mark.text for mark in found.select(".asked mark")]
    assert names == ["Annual recurring revenue", "ARR"]
    first = found.select_one(".hit")
    assert first is not None and "the governed definition" in first.text
    assert first.select_one(".text mark.name").text == "Annual recurring revenue"  # type: ignore[union-attr]
    plain = soup(page, "/", q="what is the run rate", plain=1)
    assert not plain.select("mark.name") and not plain.select(".value")


def test_near_duplicates_that_were_left_out_are_named(page: TestClient, admin: TestClient) -> None:
    for reader, tickets in ((page, "23"), (admin, "234")):
        found = soup(reader, "/", q="long words told twice")
        ((shown, left),) = [
            (card.select(".meta code")[0].text, [one.text for one in card.select(".twins a")])
            for card in found.select(".hit")
            if card.select(".twins")
        ]
        assert sorted([shown, *left]) == [f"ticket:{number}" for number in tickets]
        assert f"{len(left)} near-duplicate" in found.select_one(".summary").text  # type: ignore[union-attr]


def test_the_context_is_what_a_model_gets(headrace: Headrace, page: TestClient) -> None:
    pack = Retriever(headrace, Principals.of()).context("refund", budget_words=60)
    found = soup(page, "/", q="refund", view="context", words=60)
    assert found.select_one("#pack").text == pack.text  # type: ignore[union-attr]
    assert f"{pack.words} of 60 words" in found.select_one(".summary").text  # type: ignore[union-attr]
    assert len(found.select(".passages li")) == len(pack.passages) > 1
    widths = [float(str(part["width"])) for part in found.select(".budget rect")]
    assert len(widths) == len(pack.passages) and 0 < sum(widths) <= 100
    assert found.select_one("[data-copy=pack]") is not None
    tokens = soup(page, "/", q="refund", view="context", tokens=80)
    assert "of 80 tokens" in tokens.select_one(".summary").text  # type: ignore[union-attr]
    assert "Nothing fits" in soup(page, "/", q="refund", view="context", words=1).text


def test_the_state_is_in_the_address(page: TestClient) -> None:
    found = soup(page, "/", q="refund", doc_type="policy", payload="plan=Team", words=90)
    tab = str(found.select(".views a")[1]["href"])
    asked = [("q", "refund"), ("view", "context"), ("words", "90"), ("doc_type", "policy")]
    assert parse_qsl(urlsplit(tab).query) == [*asked, ("payload", "plan=Team")]
    context = soup(page, tab)
    document = soup(page, str(context.select_one(".passages a")["href"]))  # type: ignore[index]
    assert document.select_one(".back a")["href"] == tab  # type: ignore[index]
    # What a form would send again is in its fields.
    sent = [
        (field["name"], field.get("value"))
        for field in context.select("input[name]")
        if field.get("value") and (field.get("type") != "checkbox" or field.has_attr("checked"))
    ]
    assert sorted(sent) == sorted([*asked, ("payload", "plan=Team")])


def test_a_value_that_cannot_be_had_leaves_the_hits(headrace: Headrace) -> None:
    everyone, boss = client(headrace), client(headrace, admin=True)
    found = soup(everyone, "/", q="what is the ARR")
    assert "not for this reader" in found.select_one(".value").text  # type: ignore[union-attr]
    assert everyone.get("/value?q=what+is+the+ARR").status_code == 404
    found = soup(boss, "/", q="what is the ARR")
    value = boss.get(str(found.select_one("[data-value]")["data-value"]))  # type: ignore[index]
    assert value.status_code == 200 and value.json()["value"] == ""
    assert "arr has no value now" in value.json()["said"] and PASSWORD not in value.text
    context = soup(boss, "/", q="what is the ARR", view="context")
    assert "has no value now" in context.select_one(".value").text  # type: ignore[union-attr]
    assert context.select(".passages li")


def test_lineage_says_what_it_could_not_reach(page: TestClient) -> None:
    found = soup(page, "/document", id="policy:refunds", chunk="policy:refunds#1", q="refund")
    problem = found.select_one(".lineage .problem")
    assert problem is not None and "Postgres does not answer" in problem.text
    assert PASSWORD not in str(found)
    steps = {step.h3.text: step.text for step in found.select(".steps li")}  # type: ignore[union-attr]
    assert "2 of 2" in steps["Chunk"] and "policy:refunds#1" in steps["Chunk"]
    assert "run-2" in steps["dbt run"] and "unknown" in steps["dbt run"]
    assert "unknown" in steps["Document model"]
    assert "policy:refunds" in steps["Source row"] and "2026-03-01" in steps["Source row"]
    assert "fake-384" in steps["Vector"]
    assert [one.a.text for one in found.select(".cuts [aria-current]")] == ["Chunk 2"]  # type: ignore[union-attr]
    # A chunk that is not of the document is not an error.
    assert soup(page, "/document", id="policy:refunds", chunk="ticket:1#0").select(".steps")


def test_who_may_read_a_document_is_for_admins(page: TestClient, admin: TestClient) -> None:
    assert "Who may read it" not in soup(page, "/document", id="ticket:1").text
    assert "Who may read it" in soup(admin, "/document", id="secret:1").text


def test_what_left_nothing_over_is_named(headrace: Headrace, page: TestClient) -> None:
    found = soup(page, "/", q="refund", doc_type="policy", state="stale").main
    assert found is not None and "it is the filters" in found.text
    wider = [a["href"] for a in found.select(".message a, .chip")]
    assert wider == ["/?q=refund&state=stale", "/?q=refund&doc_type=policy", "/?q=refund"]
    words = Retriever(headrace, Principals.of(), ranking=Ranking(vector_weight=0))
    by_words = TestClient(make_app(words), base_url="http://localhost")
    assert "HEADRACE_VECTOR_WEIGHT is 0" in soup(by_words, "/", q="nowhere").text


def test_a_reader_of_nothing_is_told_why(tmp_path: Path) -> None:
    headrace = shelves(tmp_path)
    put(headrace, [chunk("note:1", "A refund.", access=["role:secret"])])
    nobody = client(headrace)
    assert "--as role:support" in soup(nobody, "/").text
    assert "--as role:support" in soup(nobody, "/", q="refund").text
    assert "note" not in soup(nobody, "/", q="refund").main.text  # type: ignore[union-attr]


def test_nothing_published_says_what_to_run_and_is_noticed_when_it_is(tmp_path: Path) -> None:
    headrace = shelves(tmp_path)
    page = client(headrace)
    for address in ("/", "/?q=refund", "/document?id=note:1", "/value?q=refund"):
        answer = page.get(address)
        assert answer.status_code == 503 and "headrace build" in answer.text
    put(headrace, [chunk("note:1", "A refund.")])
    assert documents(soup(page, "/", q="refund")) == ["note:1"]
    put(headrace, [chunk("note:2", "Another refund.")])
    assert set(documents(soup(page, "/", q="refund"))) == {"note:1", "note:2"}
    assert _published(page)["documents you may read"] == "2"


class _Broken(Retriever):
    def terms(self) -> list[Term]:
        raise RuntimeError(f"what nobody expected, with {PASSWORD}")


def test_an_unexpected_error_shows_nothing_of_the_inside(headrace: Headrace) -> None:
    page = TestClient(
        make_app(_Broken(headrace, Principals.of())),
        base_url="http://localhost",
        raise_server_exceptions=False,
    )
    answer = page.get("/")
    assert answer.status_code == 500
    assert "headrace serve" in answer.text
    assert "expected" not in answer.text and PASSWORD not in answer.text
    assert "Traceback" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert page.get("/?q=refund").status_code == 200


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(st.lists(st.tuples(st.sampled_from(["q", "payload", "doc_type", "k"]), TEXTS), max_size=6))
def test_an_address_says_what_it_was_made_of(pairs: list[tuple[str, str]]) -> None:
    address = Address.of(pairs)
    again = Address.of(parse_qsl(urlsplit(address.url()).query, keep_blank_values=True))
    assert again.url() == address.url()
    assert again.all("payload") == address.all("payload")


@given(TEXTS, TEXTS, st.lists(TEXTS, max_size=3))
def test_marks_leave_a_text_as_it_is(question: str, text: str, names: list[str]) -> None:
    marker = Marker(question, names)
    pieces = marker.pieces(text)
    assert "".join(piece.text for piece in pieces) == text
    assert all(piece.text for piece in pieces)
    blocks = marker.blocks(text)
    assert "".join(piece.text for block in blocks for piece in block.pieces) == text


def test_a_text_is_read_in_blocks() -> None:
    blocks = ["# Head", "A line\nof prose.", "| a |\n|---|", "- a\n- b", "```\nx\n\ny\n```", "End."]
    text = "\n\n".join(blocks)
    kinds = [block.kind for block in Marker("").blocks(text) if block.kind]
    assert kinds == ["heading", "flow", "table", "lines", "lines", "lines", "flow"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("refund", "refunded"),
        ("policies", "policy"),
        ("cancelling", "cancel"),
        ("expense", "EXPENSES"),
        ("retried", "retries"),
    ],
)
def test_words_with_another_ending_are_the_same_word(one: str, other: str) -> None:
    assert [piece.kind for piece in Marker(one).pieces(other)] == ["word"]
    assert [piece.kind for piece in Marker(other).pieces(one)] == ["word"]


def test_numbers_and_links_as_a_person_reads_them() -> None:
    assert [score(value) for value in (0.0325, 0.5, 1.0)] == [".0325", ".5000", "1"]
    assert [span(value) for value in (0.0384, 1.44, 12, 60, 7_300, 90_000, 86_400 * 800)] == [
        "38 ms",
        "1.4 s",
        "12 s",
        "60 s",
        "2 hours",
        "25 hours",
        "2 years",
    ]
    assert web_link("https://a.example/") == "https://a.example/"
    for url in (None, "", "javascript:x", "data:text/html,x", "//a.example", "http://[", " x"):
        assert web_link(url) == ""


def test_a_filter_that_cannot_be_read_names_itself() -> None:
    with pytest.raises(ConfigurationError, match="updated_before is '1'"):
        Address.of([("updated_before", "1")]).read()
