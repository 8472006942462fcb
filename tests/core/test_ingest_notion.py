"""Exports of a Notion of 150 pages and 5 databases; the tests follow one another."""

from __future__ import annotations

import csv
import io
import json
import shutil
import zipfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from dagster_project.core.build import Headrace
from dagster_project.core.errors import ConfigurationError
from dagster_project.core.ingest import IngestReport, ingest_notion
from dagster_project.core.ingest.notion_blocks import blocks_to_markdown
from dagster_project.core.retrieval import Principals, Retriever

from .desk import WITHOUT_TESTS
from .papers import bodies, code, index_rows, raw_rows

PAGES, DATABASES, ROWS = 150, 5, 20


def _hex(kind: int, number: int) -> str:
    return f"{kind:04x}{number:028x}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 rows of databases, and pages that stand in one another."""
    folder = tmp_path_factory.mktemp("notion")
    for base in range(DATABASES):
        name = f"Tasks {base} {_hex(2, base)}"
        (folder / name).mkdir()
        rows = [["Name", "Owner", "Status"]]
        for row in range(ROWS):
            number = base * ROWS + row
            rows.append([f"Task {number}", "Ada", "Open"])
            (folder / name / f"Task {number} {_hex(1, number)}.md").write_text(
                f"# Task {number}\n\nOwner: Ada\nStatus: Open\nTags: money, law\nDue: soon\n"
                f"Last edited time: March 3, 2026 10:12 AM\n\nThe word is {code(number)}.\n\n"
                f"See [Task 0](Task%200%20{_hex(1, 0)}.md) and [out](https://a.b/c).\n"
            )
        target = io.StringIO()
        csv.writer(target).writerows(rows)
        (folder / f"{name}_all.csv").write_text("\ufeff" + target.getvalue())
        (folder / f"{name}.csv").write_text("Name\nTask\n")
    for number in range(DATABASES * ROWS, PAGES):
        above = f"Page 100 {_hex(1, 100)}" if number > 100 else ""
        (folder / above).mkdir(exist_ok=True)
        (folder / above / f"Page {number} {_hex(1, number)}.md").write_text(
            f"# Page {number}: all/of it\n\nNote: keep this line.\n\nThe word is {code(number)}.\n"
        )
    (folder / "picture.png").write_bytes(b"\x89PNG")
    return folder


def _load(headrace: Headrace, path: Path) -> IngestReport:
    return ingest_notion(headrace.warehouse, path, "wiki")


def test_pages_and_databases_are_documents(headrace: Headrace, folder: Path) -> None:
    report = _load(headrace, folder)
    assert (report.added, report.refused) == (PAGES + DATABASES, [])
    assert report.ignored == {".png": 1}
    rows = raw_rows(headrace, "wiki")
    task = rows[f"wiki:{_hex(1, 7)}"]
    assert task[2:4] == ("notion_page", "Task 7")
    assert task[4] == (
        f"# Task 7\n\n\nThe word is {code(7)}.\n\nSee Task 0 and [out](https://a.b/c)."
    )
    assert task[6] == "Ada"
    assert task[15] == datetime(2026, 3, 3, 10, 12, tzinfo=timezone.utc)
    payload = json.loads(task[14])
    assert payload["path"] == "Tasks 0 / Task 7"
    assert (payload["status"], payload["tags"]) == ("Open", ["money", "law"])
    assert payload["properties"]["Due"] == "soon"
    page = rows[f"wiki:{_hex(1, 120)}"]
    assert page[3] == "Page 120: all/of it"
    # A line that looks like a property is one only where a page can have properties.
    assert "Note: keep this line." in page[4]
    base = rows[f"wiki:{_hex(2, 3)}"]
    assert base[2:4] == ("notion_database", "Tasks 3")
    assert base[4].startswith(
        "# Tasks 3\n\n| Name | Owner | Status |\n| --- | --- | --- |\n| Task 60 |"
    )


def test_a_hit_names_its_page(headrace: Headrace) -> None:
    headrace.build(WITHOUT_TESTS)
    retriever = Retriever(headrace, Principals.of())
    for number in range(0, PAGES, 10):
        hit = next(h for h in retriever.search(code(number), 5) if code(number) in h.text)
        assert hit.document_id == f"wiki:{_hex(1, number)}"


def test_each_change_has_its_effect_and_no_other(headrace: Headrace, folder: Path) -> None:
    rows, chunks = raw_rows(headrace, "wiki"), index_rows(headrace)
    home = folder / f"Page 100 {_hex(1, 100)}"
    edited = home / f"Page 101 {_hex(1, 101)}.md"
    edited.write_text(edited.read_text() + "\nAn addition.\n")
    (home / f"Page 102 {_hex(1, 102)}.md").rename(folder / f"Moved {_hex(1, 102)}.md")
    (home / f"Page 103 {_hex(1, 103)}.md").unlink()
    report = _load(headrace, folder)
    assert (report.added, report.changed, report.deleted) == (0, 2, 1)
    now = raw_rows(headrace, "wiki")
    assert {key for key in rows if now.get(key) != rows[key]} == {
        f"wiki:{_hex(1, number)}" for number in (101, 102, 103)
    }
    built = headrace.build(WITHOUT_TESTS)
    assert built.sync.embedded == 1
    after = index_rows(headrace)
    assert {key for key in chunks if after.get(key) != chunks[key]} == {
        f"wiki:{_hex(1, number)}" for number in (101, 103)
    }


def test_zips_in_a_zip_are_the_same(headrace: Headrace, folder: Path, tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "Part-1"), "zip", folder)
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.write(tmp_path / "Part-1.zip", "ExportBlock-Part-1.zip")
    report = _load(headrace, tmp_path / "export.zip")
    assert (report.added, report.changed, report.deleted) == (0, 0, 0)


def test_a_long_database_says_what_is_left_out(headrace: Headrace, tmp_path: Path) -> None:
    lines = "\n".join(f"Row {number}" for number in range(700))
    (tmp_path / f"Long {_hex(3, 1)}.csv").write_text(f"Name\n{lines}\n")
    ingest_notion(headrace.warehouse, tmp_path, "long")
    (body,) = bodies(headrace, "long").values()
    assert body.endswith("| Row 499 |\n\n200 more rows are not shown here.")
    (tmp_path / f"Long {_hex(3, 1)}.csv").rename(tmp_path / "other.dat")
    with pytest.raises(ConfigurationError, match="holds no Markdown, CSV or JSON"):
        ingest_notion(headrace.warehouse, tmp_path, "long")


def _text(text: str, **marks: bool) -> dict[str, Any]:
    return {"type": "text", "plain_text": text, "annotations": marks, "href": None}


def _block(
    kind: str, text: str = "", children: list[Any] | None = None, **more: object
) -> dict[str, Any]:
    content = {"rich_text": [_text(text)] if text else [], "children": children or [], **more}
    return {"object": "block", "type": kind, kind: content}


BLOCKS = [
    _block("heading_1", "One"),
    {"object": "block", "type": "paragraph", "paragraph": {"rich_text": [
        _text("A "), _text("bold", bold=True), _text(" and "), _text("x = 1", code=True),
        {"type": "text", "plain_text": "link", "href": "https://a.b", "annotations": {}}]}},
    _block("bulleted_list_item", "first", [_block("to_do", "inner", checked=True)]),
    _block("bulleted_list_item", "second"),
    _block("numbered_list_item", "one"),
    _block("numbered_list_item", "two"),
    _block("toggle", "More", [_block("paragraph", "hidden")]),
    _block("quote", "Said"),
    _block("callout", "Mind"),
    _block("code", "a = 1\nb = 2", language="python"),
    _block("divider"),
    _block("table", children=[
        {"type": "table_row", "table_row": {"cells": [[_text("A")], [_text("B")]]}},
        {"type": "table_row", "table_row": {"cells": [[_text("1")], [_text("2|3")]]}}]),
    _block("column_list", children=[
        _block("column", children=[_block("paragraph", "left")]),
        _block("column", children=[_block("paragraph", "right")])]),
    _block("bookmark", url="https://c.d"),
    _block("image", external={"url": "https://e.f/g.png"}, caption=[_text("A picture")]),
    _block("equation", expression="E=mc^2"),
    _block("child_page", title="Below"),
]  # fmt: skip
MARKDOWN = """## One

A **bold** and `x = 1`[link](https://a.b)

- first
  - [x] inner
- second
1. one
2. two
- More
  hidden

> Said

> Mind

```python
a = 1
b = 2
```

---

| A | B |
| --- | --- |
| 1 | 2\\|3 |

left

right

https://c.d

[A picture](https://e.f/g.png)

$$E=mc^2$$

Below"""


def test_blocks_are_markdown() -> None:
    made = blocks_to_markdown(BLOCKS, lambda _: [])
    while "\n\n\n" in made:
        made = made.replace("\n\n\n", "\n\n")
    assert made == MARKDOWN


def test_a_folder_of_the_answers_of_the_api(headrace: Headrace, tmp_path: Path) -> None:
    page_id, base_id = (
        "00000000-0000-0000-0000-0000000000aa",
        "00000000-0000-0000-0000-0000000000bb",
    )
    properties = {
        "Task": {"type": "title", "title": [_text("Pay Ada")]},
        "Owner": {"type": "people", "people": [{"name": "Ada"}]},
        "Status": {"type": "status", "status": {"name": "Open"}},
        "Due": {"type": "date", "date": {"start": "2026-03-01", "end": None}},
        "Sum": {"type": "formula", "formula": {"type": "number", "number": 5}},
    }
    page: dict[str, Any] = {
        "object": "page", "id": page_id, "properties": properties, "url": "https://notion.so/aa",
        "last_edited_time": "2026-03-03T10:12:00.000Z", "parent": {"database_id": base_id},
    }  # fmt: skip
    base = {
        "object": "database", "id": base_id, "title": [_text("Tasks")],
        "properties": {"Status": {"type": "status"}, "Task": {"type": "title"}},
    }  # fmt: skip
    blocks = [
        block | {"id": f"b{number}", "parent": {"page_id": page_id}}
        for number, block in enumerate(BLOCKS[:2])
    ]
    (tmp_path / "pages.json").write_text(json.dumps({"object": "list", "results": [page, base]}))
    blocks.append(_block("paragraph", "x") | {"id": "b9", "parent": {"page_id": "none"}})
    (tmp_path / "blocks.json").write_text(json.dumps({"object": "list", "results": blocks}))
    report = ingest_notion(headrace.warehouse, tmp_path, "api")
    assert (report.added, report.ignored) == (2, {"blocks of pages that are not there": 1})
    rows = raw_rows(headrace, "api")
    found = rows[f"api:{page_id.replace('-', '')}"]
    assert found[3:7] == (
        "Pay Ada",
        "# Pay Ada\n\n## One\n\nA **bold** and `x = 1`[link](https://a.b)",
        "https://notion.so/aa",
        "Ada",
    )
    assert json.loads(found[14])["properties"] == {
        "Owner": "Ada", "Status": "Open", "Due": "2026-03-01", "Sum": "5"
    }  # fmt: skip
    table = rows[f"api:{base_id.replace('-', '')}"]
    assert table[4] == "# Tasks\n\n| Task | Status |\n| --- | --- |\n| Pay Ada | Open |"
    (tmp_path / "broken.json").write_text("{")
    page["in_trash"] = True
    (tmp_path / "pages.json").write_text(json.dumps([page, base]))
    report = ingest_notion(headrace.warehouse, tmp_path, "api")
    # A page may be in the file that is broken: nothing goes.
    assert (report.deleted, len(report.refused)) == (0, 1)
    (tmp_path / "broken.json").unlink()
    report = ingest_notion(headrace.warehouse, tmp_path, "api")
    assert (report.deleted, report.ignored) == (
        1,
        {"in the trash": 1, "blocks of pages that are not there": 1},
    )
