"""PDF, Word, HTML, Markdown and text, loaded, built and found; the tests follow one another."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from pathlib import Path

import fsspec
import psycopg
import pytest

from dagster_project.core.build import Headrace
from dagster_project.core.errors import ConfigurationError
from dagster_project.core.ingest import IngestReport, Limits, ingest_files
from dagster_project.core.ingest.formats.html import parse_html
from dagster_project.core.ingest.formats.pdf import parse_pdf
from dagster_project.core.retrieval import Hit, Principals, Retriever

from .desk import WITHOUT_TESTS
from .papers import bodies, code, index_rows, raw_rows, write_docx, write_pdf

PDFS, GUIDES = 20, 10
PAGE = """<!doctype html><html lang="en"><head><title>Holidays</title><style>p {}</style></head>
<body><header>Menu of the site</header><nav>Home</nav><main><header><h1>Days off</h1></header>
<p>Everybody has <b>thirty</b> days.</p><aside>Advertisement</aside>
<table><tr><th>Country</th><th>Days</th></tr><tr><td>Norway</td><td>25</td></tr></table>
<script>alert(1)</script></main><footer>Imprint</footer></body></html>"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("papers")
    (folder / "sub").mkdir()
    for number in range(PDFS):
        write_pdf(folder / f"manual{number}.pdf", number, two_columns=number % 2 == 1)
    for number in range(GUIDES):
        write_docx(folder / "sub" / f"guide{number}.docx", 100 + number)
    (folder / "holidays.html").write_text(PAGE)
    (folder / "note.txt").write_text("A note in plain text.")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    _settle(folder)
    return folder


def _settle(folder: Path) -> None:
    """As if the files had been there for a while."""
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_mtime > 1_700_000_000:
            os.utime(path, (1_600_000_000, 1_600_000_000))


def _load(headrace: Headrace, folder: Path) -> IngestReport:
    return ingest_files(headrace.warehouse, str(folder), "papers", Limits(processes=2))


def _find(headrace: Headrace, word: str) -> Hit:
    hits = Retriever(headrace, Principals.of()).search(word, 5)
    return next(hit for hit in hits if word in hit.text)


def test_every_file_is_a_document(headrace: Headrace, folder: Path) -> None:
    report = _load(headrace, folder)
    assert (report.added, report.refused) == (PDFS + GUIDES + 2, [])
    assert report.ignored == {".png": 1}
    found = bodies(headrace, "papers")
    for number in range(PDFS):
        body = found[f"papers:manual{number}.pdf"]
        assert body.startswith(f"# Manual {number}\n\n## Chapter 1\n\nThe word is ")
        assert "| Plan | Seats | Price |\n| --- | --- | --- |\n| Starter | 5 | 29 |" in body
        assert "Confidential" not in body
        assert "Page " not in body
    # A column is read to its end before the next one.
    columns = re.findall(r"\b(Left|Right) (\d)", found["papers:manual1.pdf"])
    assert columns == [
        (side, str(n)) for _ in (2, 3) for side in ("Left", "Right") for n in range(6)
    ]
    guide = found["papers:sub/guide0.docx"]
    assert guide.startswith("# Guide 100\n\nThe word is ")
    assert "## What to do\n\n- Ask the customer\n- Look at the invoice" in guide
    assert "| Plan | Seats | Price |" in guide
    assert found["papers:holidays.html"].split("\n\n") == [
        "# Days off",
        "Everybody has **thirty** days.",
        "| Country | Days |\n| --- | --- |\n| Norway | 25 |",
    ]


def test_a_hit_names_its_page(headrace: Headrace, folder: Path) -> None:
    headrace.build(WITHOUT_TESTS)
    for number in range(PDFS):
        for page in (1, 2, 3):
            hit = _find(headrace, code(number, page))
            assert hit.document_id == f"papers:manual{number}.pdf"
            assert hit.pages == (page, page)
    guide = _find(headrace, code(100))
    assert (guide.document_id, guide.pages) == ("papers:sub/guide0.docx", None)


def test_a_second_load_reads_no_file_again(headrace: Headrace, folder: Path) -> None:
    before = raw_rows(headrace, "papers")
    path = folder / "note.txt"
    # What cannot be told by size and time is not read: that is how the next line shows it.
    path.write_text("A note in other text.")
    os.utime(path, (1_600_000_000, 1_600_000_000))
    report = _load(headrace, folder)
    assert (report.changed, report.unchanged) == (0, PDFS + GUIDES + 2)
    assert raw_rows(headrace, "papers") == before


def test_each_change_has_its_effect_and_no_other(headrace: Headrace, folder: Path) -> None:
    rows, chunks = raw_rows(headrace, "papers"), index_rows(headrace)
    write_pdf(folder / "manual2.pdf", 2, extra=f"An addition, {code(999)}.")
    (folder / "manual4.pdf").rename(folder / "renamed.pdf")
    (folder / "sub" / "guide3.docx").unlink()
    report = _load(headrace, folder)
    assert (report.added, report.changed, report.deleted) == (1, 1, 2)
    after = raw_rows(headrace, "papers")
    touched = {f"papers:{name}" for name in ("manual2.pdf", "manual4.pdf", "renamed.pdf")}
    touched.add("papers:sub/guide3.docx")
    assert {k: v for k, v in rows.items() if k not in touched} == {
        k: v for k, v in after.items() if k not in touched
    }
    built = headrace.build(WITHOUT_TESTS)
    now = index_rows(headrace)
    assert {k: v for k, v in chunks.items() if k not in touched} == {
        k: v for k, v in now.items() if k not in touched
    }
    assert not {"papers:manual4.pdf", "papers:sub/guide3.docx"} & set(now)
    # A file of another name has the same texts: they keep their vectors.
    assert {text for _, text in now["papers:renamed.pdf"]} == {
        text for _, text in chunks["papers:manual4.pdf"]
    }
    assert built.sync.reused == len(now["papers:renamed.pdf"])
    assert built.sync.embedded == len(now["papers:manual2.pdf"] - chunks["papers:manual2.pdf"])
    hit = _find(headrace, code(999))
    assert (hit.document_id, hit.pages) == ("papers:manual2.pdf", (3, 3))


def test_a_bucket_is_read_as_a_folder_is(headrace: Headrace, folder: Path) -> None:
    memory = fsspec.filesystem("memory")
    for name in ("manual0.pdf", "sub/guide0.docx"):
        memory.pipe(f"/bucket/docs/{name}", (folder / name).read_bytes())
    report = ingest_files(headrace.warehouse, "memory://bucket/docs", "bucket")
    assert (report.added, report.refused) == (2, [])
    local = bodies(headrace, "papers")
    assert bodies(headrace, "bucket") == {
        f"bucket:{name}": local[f"papers:{name}"] for name in ("manual0.pdf", "sub/guide0.docx")
    }
    assert ingest_files(headrace.warehouse, "memory://bucket/docs", "bucket").unchanged == 2
    with pytest.raises(ConfigurationError, match="memory://bucket/doc holds no files"):
        ingest_files(headrace.warehouse, "memory://bucket/doc", "bucket")
    assert len(bodies(headrace, "bucket")) == 2


@pytest.mark.skipif(importlib.util.find_spec("s3fs") is not None, reason="s3fs is installed")
def test_a_missing_filesystem_names_what_to_install(headrace: Headrace) -> None:
    with pytest.raises(ConfigurationError, match=r"pip install 'headrace\[s3\]'"):
        ingest_files(headrace.warehouse, "s3://bucket/docs", "bucket")


def test_pages_are_counted_in_the_body(folder: Path) -> None:
    parsed = parse_pdf((folder / "manual7.pdf").read_bytes())
    body = "".join(parsed.body.split())
    assert len(parsed.pages) == 3
    for page, start in enumerate(parsed.pages, start=1):
        end = [*parsed.pages, len(body)][page]
        assert code(7, page) in body[start:end]
    assert parsed.title == "Manual 7"


def test_a_page_without_a_main_element_loses_its_menus() -> None:
    page = "<body><header>Logo</header><div role=navigation>Home</div><p>Text &amp; more</p></body>"
    assert parse_html(page.encode()).body == "Text & more"
    with pytest.raises(ValueError, match="no text outside of scripts"):
        parse_html(b"<body><script>1</script><nav>Home</nav></body>")
    declared = '<meta charset="iso-8859-1"><p>caf\xe9</p>'.encode("latin-1")
    assert parse_html(declared).body == "café"


def test_facts_of_a_file_stand_in_the_payload(headrace: Headrace) -> None:
    with psycopg.connect(headrace.postgres_url) as connection:
        (payload,) = connection.execute(
            "select payload from headrace_ops.raw_documents where document_id = %s",
            ("papers:manual0.pdf",),
        ).fetchall()[0]
    facts = json.loads(payload)
    assert facts["path"] == "manual0.pdf"
    assert facts["pages"][0] == 0
    assert facts["pages"] == sorted(facts["pages"])
