"""PDF and Word files as people make them, for tests of the loaders."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import docx
import psycopg
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.lib.units import cm
from reportlab.platypus import (
    BaseDocTemplate,
    Frame,
    NextPageTemplate,
    PageBreak,
    PageTemplate,
    Paragraph,
    Table,
)

from dagster_project.core.build import Headrace

_STYLES = getSampleStyleSheet()
_WORDS = (
    "the refund window for annual contracts is thirty days from the date of the invoice and it "
    "starts anew when a customer changes the plan so that nobody pays twice for what they had"
).split()
PRICES = [["Plan", "Seats", "Price"], ["Starter", "5", "29"], ["Business", "50", "199"]]


def code(*numbers: int) -> str:
    """A word of letters that no other numbers give."""
    return "q" + "x".join("".join(chr(97 + int(digit)) for digit in str(n)) for n in numbers) + "z"


def prose(seed: int, words: int) -> str:
    picked = [_WORDS[(seed * 7 + place * place) % len(_WORDS)] for place in range(words)]
    return " ".join(picked).capitalize() + "."


def write_pdf(
    path: Path, number: int, *, pages: int = 3, two_columns: bool = False, extra: str = ""
) -> None:
    """Chapters with a word of their own on each page; a running header, and page numbers."""
    margin, height = 2 * cm, A4[1] - 5 * cm
    one = [Frame(margin, 2.5 * cm, 17 * cm, height)]
    two = [Frame(x * cm, 2.5 * cm, 8 * cm, height) for x in (2, 11)]
    template = BaseDocTemplate(str(path), pagesize=A4, title=f"Manual {number}", invariant=1)

    def running(canvas: Any, document: Any) -> None:  # noqa: ANN401
        canvas.setFont("Helvetica", 8)
        canvas.drawString(margin, A4[1] - 1.2 * cm, f"Manual {number} | Confidential")
        canvas.drawRightString(A4[0] - margin, 1.2 * cm, f"Page {document.page} of {pages}")

    template.addPageTemplates(
        [PageTemplate(id="one", frames=one, onPage=running),
         PageTemplate(id="two", frames=two, onPage=running)]
    )  # fmt: skip
    flow: list[Any] = [NextPageTemplate("two" if two_columns else "one")] if two_columns else []
    flow.append(Paragraph(f"Manual {number}", _STYLES["Title"]))
    for page in range(1, pages + 1):
        flow += [
            Paragraph(f"Chapter {page}", _STYLES["Heading2"]),
            Paragraph(f"The word is {code(number, page)}. {prose(page, 60)}", _STYLES["BodyText"]),
        ]
        if page == 2:
            flow.append(Table(PRICES, style=[("GRID", (0, 0), (-1, -1), 0.5, colors.black)]))
        if page == pages and extra:
            flow.append(Paragraph(extra, _STYLES["BodyText"]))
        if two_columns and page > 1:
            flow += [
                Paragraph(f"Left {part} {prose(part, 70)}", _STYLES["BodyText"])
                for part in range(6)
            ]
            flow += [
                Paragraph(f"Right {part} {prose(part, 30)}", _STYLES["BodyText"])
                for part in range(6)
            ]
        if page < pages:
            flow.append(PageBreak())
    template.build(flow)


def pdf(number: int = 0, encrypt: str | None = None) -> bytes:
    """A small PDF."""
    target = io.BytesIO()
    template = BaseDocTemplate(target, pagesize=A4, encrypt=encrypt)
    template.addPageTemplates(PageTemplate(frames=[Frame(2 * cm, 2 * cm, 17 * cm, 25 * cm)]))
    template.build(
        [
            Paragraph("A title", _STYLES["Heading1"]),
            Paragraph(prose(number, 80), _STYLES["BodyText"]),
        ]
    )
    return target.getvalue()


def write_docx(path: Path | io.BytesIO, number: int, extra: Sequence[str] = ()) -> None:
    document = docx.Document()
    document.add_heading(f"Guide {number}", level=1)
    document.add_paragraph(f"The word is {code(number)}. {prose(number, 60)}")
    document.add_heading("What to do", level=2)
    for step in ("Ask the customer", "Look at the invoice"):
        document.add_paragraph(step, style="List Bullet")
    rows = document.add_table(rows=0, cols=3)
    for row in PRICES:
        for cell, text in zip(rows.add_row().cells, row, strict=True):
            cell.text = text
    for text in extra:
        document.add_paragraph(text)
    document.sections[0].footer.paragraphs[0].text = "Confidential"
    document.save(str(path) if isinstance(path, Path) else path)


def raw_rows(headrace: Headrace, source: str) -> dict[str, tuple[Any, ...]]:
    """The rows of a source in raw_documents, by document_id."""
    with psycopg.connect(headrace.postgres_url) as connection:
        rows = connection.execute(
            "select * from headrace_ops.raw_documents where source_name = %s", (source,)
        ).fetchall()
    return {row[0]: row for row in rows}


def bodies(headrace: Headrace, source: str) -> dict[str, str]:
    """The texts of a source in raw_documents, by document_id."""
    with psycopg.connect(headrace.postgres_url) as connection:
        return dict(
            connection.execute(
                "select document_id, body from headrace_ops.raw_documents where source_name = %s",
                (source,),
            ).fetchall()
        )


def quarantine(headrace: Headrace, source: str) -> dict[str, str]:
    """The reasons of what an ingest of a source refused, by document_id."""
    with psycopg.connect(headrace.postgres_url) as connection:
        return dict(
            connection.execute(
                "select document_id, reason from headrace_ops.quarantine where found_in = %s",
                (f"ingest {source}",),
            ).fetchall()
        )


def index_rows(headrace: Headrace) -> dict[str, set[tuple[str, str]]]:
    """The id and the text of each chunk that readers see, by document."""
    found: dict[str, set[tuple[str, str]]] = {}
    for row in headrace.store.index(headrace.live_generation).dump():
        found.setdefault(row["document_id"], set()).add((row["chunk_id"], row["text"]))
    return found
