"""Folders of Markdown to rows of raw_documents; these tests follow one another on one folder."""

from __future__ import annotations

import json
import os
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from dagster_project.core.build import Headrace
from dagster_project.core.errors import ConfigurationError
from dagster_project.core.ingest import IngestReport, ingest_files
from dagster_project.core.ingest.markdown import read_markdown

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
FULL = """---
title: Refund policy
doc_type: policy
url: https://example.com/refunds
owner: finance
language: en
valid_from: 2024-01-01
valid_to: "2026-12-31"
version_family: refund-policy
version_date: 2024-01-01 09:00:00
review_by:
access: [support, finance]
updated_at: 2024-05-06T07:08:09+02:00
region: EU
tags: [money]
---
# Refunds

Money goes back.
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    (folder / "sub").mkdir()
    (folder / "full.md").write_text(FULL)
    (folder / "sub" / "plain.MD").write_text("# Plain title\n\ntext")
    (folder / "bom.markdown").write_bytes(b"\xef\xbb\xbfno heading \x00 here")
    (folder / "notes.rst").write_text("no document")
    return folder


def _rows(headrace: Headrace) -> dict[str, dict[str, Any]]:
    with (
        psycopg.connect(headrace.postgres_url) as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        rows = cursor.execute("select * from headrace_ops.raw_documents").fetchall()
    return {row["document_id"]: row for row in rows}


def _ingest(headrace: Headrace, folder: Path, source: str = "docs") -> IngestReport:
    return ingest_files(headrace.warehouse, str(folder), source)


def test_a_file_becomes_a_document(headrace: Headrace, folder: Path) -> None:
    report = _ingest(headrace, folder)
    assert (report.added, report.changed, report.deleted, report.unchanged) == (3, 0, 0, 0)
    rows = _rows(headrace)
    assert set(rows) == {"docs:full.md", "docs:sub/plain.MD", "docs:bom.markdown"}
    full = rows["docs:full.md"]
    del full["fingerprint"]
    assert json.loads(full.pop("payload")) == {"path": "full.md", "region": "EU", "tags": ["money"]}
    assert full.pop("source_updated_at") == datetime(2024, 5, 6, 5, 8, 9, tzinfo=timezone.utc)
    assert full == {
        "document_id": "docs:full.md",
        "source_name": "docs",
        "doc_type": "policy",
        "title": "Refund policy",
        "body": "# Refunds\n\nMoney goes back.",
        "url": "https://example.com/refunds",
        "owner": "finance",
        "language": "en",
        "valid_from": date(2024, 1, 1),
        "valid_to": date(2026, 12, 31),
        "version_family": "refund-policy",
        "version_date": date(2024, 1, 1),
        "review_by": None,
        "access": ["support", "finance"],
        "is_deleted": False,
    }


def test_what_the_front_matter_leaves_out_has_a_default(headrace: Headrace) -> None:
    plain, bom = (_rows(headrace)[key] for key in ("docs:sub/plain.MD", "docs:bom.markdown"))
    assert (plain["title"], plain["doc_type"], plain["access"]) == (
        "Plain title",
        "document",
        ["everyone"],
    )
    assert (bom["title"], bom["body"]) == ("bom", "no heading   here")
    assert plain["valid_from"] is None


def test_a_second_ingest_changes_nothing(headrace: Headrace, folder: Path) -> None:
    before = _rows(headrace)
    (folder / "sub" / "plain.MD").touch()
    report = _ingest(headrace, folder)
    assert (report.added, report.changed, report.deleted, report.unchanged) == (0, 0, 0, 3)
    after = _rows(headrace)
    for row in [*before.values(), *after.values()]:
        del row["fingerprint"]
    assert after == before


def test_files_that_changed_or_went_are_followed(headrace: Headrace, folder: Path) -> None:
    (folder / "sub" / "plain.MD").write_text("# Plain title\n\nother text")
    (folder / "bom.markdown").unlink()
    report = _ingest(headrace, folder)
    assert (report.added, report.changed, report.deleted, report.unchanged) == (0, 1, 1, 1)
    rows = _rows(headrace)
    assert rows["docs:sub/plain.MD"]["body"].endswith("other text")
    assert "docs:bom.markdown" not in rows


def test_an_unreadable_file_is_set_aside_and_its_document_stays(
    headrace: Headrace, folder: Path
) -> None:
    (folder / "full.md").write_bytes(b"caf\xe9")
    report = _ingest(headrace, folder)
    assert [refusal.document_id for refusal in report.refused] == ["docs:full.md"]
    assert (report.deleted, report.unchanged) == (0, 1)
    assert _rows(headrace)["docs:full.md"]["title"] == "Refund policy"
    assert _quarantine(headrace) == [
        ("ingest docs", "docs:full.md", "not UTF-8 at byte 3: save the file as UTF-8")
    ]
    (folder / "full.md").write_text(FULL)
    assert not _ingest(headrace, folder).refused
    assert _quarantine(headrace) == []


def _quarantine(headrace: Headrace) -> list[tuple[str, str, str]]:
    with psycopg.connect(headrace.postgres_url) as connection:
        return connection.execute(
            "select found_in, document_id, reason from headrace_ops.quarantine"
        ).fetchall()


def test_another_source_has_its_own_documents(
    headrace: Headrace, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "full.md").write_text("another")
    assert _ingest(headrace, tmp_path, "other").added == 1
    assert {"docs:full.md", "other:full.md"} <= set(_rows(headrace))
    (tmp_path / "full.md").unlink()
    assert _ingest(headrace, tmp_path, "other").deleted == 1
    assert "docs:full.md" in _rows(headrace)


def test_a_load_says_who_reads_what_does_not_say_so(headrace: Headrace, tmp_path: Path) -> None:
    (tmp_path / "leave.md").write_text("silent")
    (tmp_path / "pay.md").write_text("---\naccess: [board]\n---\nits own")

    def load(*access: str) -> IngestReport:
        return ingest_files(headrace.warehouse, str(tmp_path), "hr", access=access or None)

    def readers() -> list[list[str]]:
        rows = _rows(headrace)
        return [rows[f"hr:{name}.md"]["access"] for name in ("leave", "pay")]

    load("role:hr", "role:audit")
    assert readers() == [["role:audit", "role:hr"], ["board"]]
    assert load("role:audit", "role:hr").unchanged == 2
    # A load that forgets it would show everyone what it showed few, new files included.
    (tmp_path / "new.md").write_text("silent too")
    with pytest.raises(ConfigurationError, match="1 of the documents of hr, such as hr:leave.md"):
        load()
    assert readers() == [["role:audit", "role:hr"], ["board"]]
    assert "hr:new.md" not in _rows(headrace)
    # Nor is a file opened that moved.
    (tmp_path / "new.md").unlink()
    (tmp_path / "leave.md").rename(tmp_path / "moved.md")
    with pytest.raises(ConfigurationError, match="1 of the documents of hr, such as hr:moved.md"):
        load()
    (tmp_path / "moved.md").rename(tmp_path / "leave.md")
    (tmp_path / "new.md").write_text("silent too")
    # Names that read alike when they are joined.
    for page in tmp_path.iterdir():
        os.utime(page, (1_600_000_000, 1_600_000_000))
    assert load("role", "hr").added == 1
    assert load("role:hr").changed == 2
    assert load("everyone").changed == 2
    assert readers() == [["everyone"], ["board"]]
    assert load().unchanged == 3


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("---\ntitle: [open\n---\ntext", r"front matter is not YAML at line \d+"),
        ("---\nvalid_from: next week\n---\ntext", "valid_from is 'next week': write it as YYYY"),
        ("---\naccess: []\n---\ntext", "access is an empty list"),
        ("---\na: &x [1]\nb: [*x, *x]\n---\ntext", r"uses an alias \(\*name\)"),
        ("---\naccess:\n---\ntext", "access is empty: name who may read"),
        ("---\naccess: [hr]\naccess : [hr]\nAccess: [it]\n---\ntext", "access stands there more"),
        ("---\naccess: [hr]\naccess: [everyone]\n---\ntext", "access stands there more"),
        ("---\naccess: [hr]\n# Salaries", "access: is not read as front matter"),
        ("---\r\ntitle: Pay\r\naccess: [hr]\r\n...\r\n# Salaries", "is not read as front matter"),
        ("---\naccess:[hr]\n---\n# Salaries", "is not read as front matter"),
        ("\n---\naccess: [hr]\n---\n# Salaries", "is not read as front matter"),
        ("---\n# who\n'Access': [hr]\n# Salaries", "is not read as front matter"),
        ("---\naccess: 5\n---\ntext", "access is 5: write a list"),
        ("---\naccess: [support, 5]\n---\ntext", "write a list of the principals"),
        ("---\nupdated_at: yesterday\n---\ntext", "updated_at 'yesterday' is not an ISO date"),
    ],
)
def test_front_matter_that_cannot_be_used_says_why(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_markdown(text.encode(), "a.md", "docs", NOW)


def test_the_readers_are_found_however_the_word_is_written() -> None:
    document = read_markdown(b"---\nAccess : [hr]\n---\nSalaries", "a.md", "docs", NOW)
    assert document.access == ["hr"] and "hr" not in document.payload


def test_a_folder_or_source_that_cannot_be_used_is_refused(
    headrace: Headrace, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="is no folder"):
        _ingest(headrace, tmp_path / "missing")
    for source in ("", "a:b"):
        with pytest.raises(ConfigurationError, match="without a colon"):
            _ingest(headrace, tmp_path, source)


@pytest.mark.parametrize("block", ["- a\n- list", "Prose between two rules."])
def test_what_is_no_front_matter_stays_text(block: str) -> None:
    text = f"---\n{block}\n---\nThe rest.\n"
    assert read_markdown(text.encode(), "rules.md", "test", NOW).body == text
