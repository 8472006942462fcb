"""The page in a real browser: as a person uses it, with a document that means harm."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from playwright.sync_api import ConsoleMessage, Page, expect, sync_playwright
from starlette.types import ASGIApp

from dagster_project.core.retrieval import Principals, Retriever
from dagster_project.serving.page import make_app

from .pages import HOSTILE_TITLE, filled

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@contextmanager
def _served(app: ASGIApp) -> Iterator[str]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        config = uvicorn.Config(app, log_level="warning", lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    headrace = filled(tmp_path_factory.mktemp("browser"))
    with _served(make_app(Retriever(headrace, Principals.admin()))) as url:
        yield url


@pytest.fixture
def page() -> Iterator[Page]:
    """A browser's page; what goes wrong in it fails the test at its end."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed: `apt install chromium`")
    wrong: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            wrong.append(f"{message.type}: {message.text}")

    with sync_playwright() as playwright:
        # As root, as in a container, Chromium starts only without its sandbox.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1400, "height": 1000})
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.on("console", hear)
        page.on("pageerror", lambda error: wrong.append(f"uncaught: {error}"))
        page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
        yield page
        assert page.evaluate("window.owned") is None
        browser.close()
    assert wrong == []


def test_a_person_looks_around(page: Page, site: str) -> None:
    page.goto(site)
    box = page.locator("#q")
    expect(box).to_be_focused()
    page.keyboard.type("hostile refund <script>window.owned='query'</script>")
    page.keyboard.press("Enter")
    expect(page.locator(".hit").first).to_be_visible()
    # What is empty is not in the address.
    assert page.url.startswith(f"{site}?q=hostile+refund") and "payload" not in page.url
    expect(box).to_have_value("hostile refund <script>window.owned='query'</script>")
    hostile = page.locator(".hit", has_text="in hostile words")
    assert hostile.locator("h2").text_content() == HOSTILE_TITLE

    # A box of the filters asks at once; the way back is the browser's.
    page.locator("input[name=doc_type][value=policy]").check()
    expect(page.locator(".hit")).to_have_count(2)
    page.go_back()
    expect(hostile).to_be_visible()
    expect(page.locator("input[name=doc_type]:checked")).to_have_count(0)

    # The slash goes to the box, and is no letter of it there.
    page.keyboard.press("/")
    expect(box).to_be_focused()
    page.keyboard.type("refunds a/b")
    expect(box).to_have_value("refunds a/b")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=refunds+a%2Fb")
    bars = page.locator(".hit").first.locator(".bar rect")
    expect(bars).to_have_count(3)
    widths = [bar.bounding_box() for bar in bars.all()]
    assert all(box is not None and box["width"] > 20 for box in widths)

    hostile.locator("h2 a").click()
    expect(page.locator(".steps li")).to_have_count(7)
    expect(page.locator(".lineage .problem")).to_contain_text("Postgres does not answer")
    page.locator(".back a").click()

    page.get_by_role("link", name="Context for a model").click()
    pack = page.locator("#pack")
    expect(pack).to_contain_text("[1]")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == pack.text_content()

    # The value comes when the warehouse has answered; this one cannot.
    page.goto(f"{site}?q=what+is+the+ARR")
    expect(page.locator("[data-value]")).to_contain_text("has no value now")


def test_it_fits_a_small_screen_and_the_dark(page: Page, site: str) -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    colours = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for path in ("", "?q=refund", "?q=refund&view=context", "document?id=policy:refunds"):
            page.goto(site + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 400, path
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours[0] != colours[1]
    # Where there is no room the filters are folded, and open.
    page.goto(f"{site}?q=refund")
    expect(page.locator("input[name=doc_type]").first).to_be_hidden()
    page.locator(".filters summary").click()
    expect(page.locator("input[name=doc_type]").first).to_be_visible()
