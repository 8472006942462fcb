"""An index with documents that a page could be harmed by, and the page on it."""

from __future__ import annotations

from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup
from starlette.testclient import TestClient

from dagster_project.core.build import Headrace
from dagster_project.core.retrieval import Principals, Retriever
from dagster_project.serving.page import make_app
from tests.core.shelves import chunk, put, shelves

PASSWORD = "hushhush"
HOSTILE_ID = "x:\"><script>window.owned='id'</script>"
HOSTILE_TITLE = "<script>window.owned='title'</script> & \"double\" 'single' \u202eeltit"
HOSTILE_TEXT = (
    "</div></li><img src=x onerror=\"window.owned='text'\"><script>window.owned='text'</script>"
    "{{ 7 * 7 }} {% raw %} &lt;b&gt; refund rules in hostile words"
)
HOSTILE_TYPE = "<svg onload=window.owned='type'>"


def _at(month: int) -> datetime:
    return datetime(2026, month, 1, tzinfo=timezone.utc)


ROWS: list[dict[str, Any]] = [
    chunk(
        "policy:refunds",
        "Refunds are paid within 30 days of the charge.",
        doc_type="policy",
        source_name="handbook",
        title="Refund policy",
        section_path="Refund policy > Window",
        url="https://handbook.example/refunds?a=1&b=2",
        payload={"plan": "Team", "seats": 7, "is_open": True, "tags": ["a"], "note": None},
        source_updated_at=_at(3),
        valid_from=date(2026, 1, 1),
        valid_to=date(2026, 6, 30),
    ),
    chunk(
        "policy:refunds",
        "Whoever asks for a refund names the invoice.",
        index=1,
        doc_type="policy",
        source_name="handbook",
        title="Refund policy",
        section_path="Refund policy > How to ask",
        payload={"plan": "Team", "seats": 7, "is_open": True, "tags": ["a"], "note": None},
        source_updated_at=_at(3),
        valid_from=date(2026, 1, 1),
        valid_to=date(2026, 6, 30),
        dbt_invocation_id="run-2",
        batch_id=2,
    ),
    chunk(
        "ticket:1",
        "Refunded after a call: Ünïcödé 退款 🙂.",
        doc_type="ticket",
        source_name="desk",
        lifecycle_state="stale",
        payload={"plan": "Solo"},
        source_updated_at=_at(5),
    ),
    chunk("ticket:2", "The same long words about a refund, told twice.", doc_type="ticket"),
    chunk("ticket:3", "The same long words about a refund, told twice.", doc_type="ticket"),
    chunk(
        "ticket:4",
        "The same long words about a refund, told twice.",
        doc_type="ticket",
        access=["role:secret"],
    ),
    chunk(
        HOSTILE_ID,
        HOSTILE_TEXT,
        title=HOSTILE_TITLE,
        section_path=f"{HOSTILE_TITLE} > <i>part</i>",
        doc_type=HOSTILE_TYPE,
        url="javascript:window.owned='url'",
        payload={"<b>name</b>": "<i>value</i>", 'q"uote': "it's"},
    ),
    chunk(
        "secret:1",
        "A refund nobody may hear of: xyzzy.",
        title="Plugh",
        doc_type="secret_type",
        source_name="secret_source",
        lifecycle_state="superseded",
        is_demoted=True,
        access=["role:secret"],
        source_updated_at=_at(9),
    ),
    chunk(
        "glossary:arr",
        "Annual recurring revenue is what subscriptions bring in a year.",
        doc_type="glossary",
        source_name="dbt",
        title="Annual recurring revenue",
        payload={
            "synonyms": ["ARR", "run rate"],
            "definition": "What subscriptions bring in a year.",
            "kind": "metric",
            "metric": "arr",
        },
    ),
]


def filled(home: Path, **settings: Any) -> Headrace:  # noqa: ANN401 - values of Settings
    """Headrace on an index of `ROWS`; its warehouse does not answer."""
    url = f"postgresql://nobody:{PASSWORD}@127.0.0.1:1/nothing"
    headrace = shelves(home, **({"postgres_url": url} | settings))
    put(headrace, ROWS)
    return headrace


def client(headrace: Headrace, *names: str, admin: bool = False) -> TestClient:
    """The page for a reader, as a browser on this machine asks it."""
    principals = Principals.admin() if admin else Principals.of(*names)
    return TestClient(
        make_app(Retriever(headrace, principals)),
        base_url="http://127.0.0.1:8090",
        raise_server_exceptions=False,
    )


def soup(page: TestClient, path: str, code: int = 200, **parameters: Any) -> BeautifulSoup:  # noqa: ANN401
    """The document at an address of the page."""
    # An empty mapping would take the query of the path away.
    answer = page.get(path, params=parameters or None)
    assert answer.status_code == code, answer.text
    return BeautifulSoup(answer.text, "html.parser")


def documents(page: BeautifulSoup) -> list[str]:
    """The documents of the hits, best first."""
    return [code.text for code in page.select(".hit .meta code")]
