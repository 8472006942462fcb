"""The main content of an HTML page, as Markdown."""

from __future__ import annotations

from bs4 import BeautifulSoup, Comment, Tag
from bs4.dammit import EncodingDetector
from markdownify import MarkdownConverter

from dagster_project.core.ingest.documents import Parsed

_NEVER_TEXT = "script, style, noscript, template, svg, iframe, object, canvas, form, dialog"
_AROUND_TEXT = (
    "nav, aside, footer, [role=navigation], [role=banner], [role=contentinfo], "
    "[role=complementary], [role=search], [hidden], [aria-hidden=true]"
)


def parse_html(data: bytes) -> Parsed:
    """The title and the main content of a page.

    Raises:
        ValueError: the page's encoding is not known, or it has no text.
    """
    # Python's own parser keeps what is nested deeply; libxml2 drops it from some depth on.
    page = BeautifulSoup(_decoded(data), "html.parser")
    title = page.title.get_text(" ", strip=True) if page.title else None
    language = page.html.get("lang") if page.html else None
    body = to_markdown(_main(page))
    if not body:
        raise ValueError("it has no text outside of scripts and navigation")
    return Parsed(body, title or None, str(language) if language else None)


def to_markdown(content: Tag) -> str:
    """An element as Markdown: headings with ``#``, pictures as their descriptions."""
    for comment in content.find_all(string=lambda text: isinstance(text, Comment)):
        comment.extract()
    for image in content.find_all("img"):
        image.replace_with(str(image.get("alt") or ""))
    converter = MarkdownConverter(
        heading_style="ATX",
        bullets="-",
        escape_asterisks=False,
        escape_underscores=False,
        escape_misc=False,
        table_infer_header=True,
    )
    return str(converter.convert_soup(content)).strip()


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        declared = EncodingDetector.find_declared_encoding(data, is_html=True)
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            declared = "utf-16"
        try:
            return data.decode(declared or "utf-8")
        except (UnicodeDecodeError, LookupError):
            raise ValueError(
                f"not UTF-8 at byte {error.start}, nor what it declares: save the page as UTF-8"
            ) from error


def _main(page: BeautifulSoup) -> Tag:
    """The element that holds the content, without what stands around every page."""
    for element in page.select(_NEVER_TEXT):
        element.decompose()
    found = page.select("main, [role=main]") or page.select("article")
    main = found[0] if len(found) == 1 else page.body or page
    for element in main.select(_AROUND_TEXT):
        element.decompose()
    # The header of an article holds its title, the header of a page its menus.
    for header in main.select("header"):
        if header.find_parent(["article", "main"]) is None:
            header.decompose()
    if page.title:
        page.title.decompose()
    return main
