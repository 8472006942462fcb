"""The command line on a new home, as a person uses it; these tests follow one another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx2
import psycopg
import pytest

from dagster_project.core.build import Headrace
from dagster_project.core.settings import Settings


class Shell:
    """Runs `headrace` in a home of its own, with the embedded Postgres of that home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = os.environ | {
            "HEADRACE_HOME": str(home),
            "HEADRACE_MODEL": "fake",
            "COLUMNS": "400",
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "dagster_project.cli", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def json(self, *arguments: str, code: int = 0) -> Any:  # noqa: ANN401 - any JSON
        done = self.run(*arguments, "--json")
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def error(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1, done.stderr
        return done.stderr


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    shell = Shell(tmp_path_factory.mktemp("cli") / "home")
    yield shell
    shell.run("down")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    (folder / "refund.md").write_text("# Refunds\n\nMoney goes back within 30 days — always.\n")
    (folder / "shift.md").write_text("# Shifts\n\nA shift starts on the hour.\n")
    (folder / "bad.md").write_bytes(b"\xff")
    return folder


def test_a_search_before_a_build_says_what_to_run(shell: Shell) -> None:
    assert "headrace build" in shell.error("search", "refund")


def test_the_status_of_a_new_home_is_empty(shell: Shell) -> None:
    assert shell.json("status") == {
        "warehouse": "postgres headrace",
        "documents": 0,
        "chunks_active": 0,
        "index_rows": 0,
        "missing": 0,
        "orphans": 0,
        "quarantined": 0,
        "generation": None,
        "live_version": None,
        "last_batch_id": None,
        "model_id": "fake-384",
        "documents_waiting": 0,
        "oldest_waiting": None,
        "seconds_to_catch_up": None,
        "lag_seconds": {},
    }


def test_a_folder_is_ingested(shell: Shell, folder: Path) -> None:
    found = shell.json("ingest", "files", str(folder), "--source", "docs")
    refused = found.pop("refused")
    assert found == {"added": 2, "changed": 0, "deleted": 0, "unchanged": 0, "ignored": {}}
    assert [(row["document_id"], row["reason"][:9]) for row in refused] == [
        ("docs:bad.md", "not UTF-8")
    ]


def test_a_principal_that_is_none_is_refused(shell: Shell, folder: Path) -> None:
    said = shell.error("ingest", "files", str(folder), "--source", "docs", "--access", " ")
    assert "The principal ' ' cannot be one" in said


def test_a_build_publishes_what_was_ingested(shell: Shell) -> None:
    report = shell.json("build")
    assert set(report) == {
        "dbt",
        "sync",
        "live_version",
        "generation",
        "others",
        "sources",
        "more",
    }
    assert (report["sync"]["added"], report["sync"]["embedded"]) == (2, 2)
    found = shell.json("status")
    assert (found["documents"], found["chunks_active"], found["index_rows"]) == (2, 2, 2)
    assert found["live_version"] == report["live_version"]


def test_a_search_has_stable_keys(shell: Shell) -> None:
    hits = shell.json("search", "money back", "--k", "1")
    assert [set(hit) for hit in hits] == [
        {
            "chunk_id",
            "document_id",
            "doc_type",
            "source_name",
            "title",
            "section_path",
            "text",
            "chunk_index",
            "score",
            "vector_rank",
            "text_rank",
            "url",
            "lifecycle_state",
            "source_updated_at",
            "dbt_invocation_id",
            "payload",
            "pages",
            "also_in",
        }
    ]
    assert hits[0]["document_id"] == "docs:refund.md"
    assert hits[0]["text"] == "# Refunds\n\nMoney goes back within 30 days — always."


def test_a_search_is_narrowed_and_is_in_a_readers_name(shell: Shell) -> None:
    def found(*arguments: str) -> list[str]:
        return [hit["document_id"] for hit in shell.json("search", "money", *arguments)]

    assert found("--document", "docs:shift.md") == ["docs:shift.md"]
    assert found("--payload", "plan_name=Team") == []
    assert len(found("--admin")) == len(found("--as", "role:support")) == 2


def test_a_context_has_stable_keys_and_a_text_within_its_budget(shell: Shell) -> None:
    pack = shell.json("context", "money back", "--words", "30")
    assert set(pack) == {"query", "passages", "value", "words", "tokens", "text"}
    assert pack["words"] == len(pack["text"].split()) <= 30
    assert pack["passages"][0]["document_id"] == "docs:refund.md"
    assert "Money goes back within 30 days" in shell.run("context", "money back").stdout


def test_a_lineage_has_stable_keys(shell: Shell) -> None:
    found = shell.json("lineage", "docs:refund.md")
    assert set(found) == {
        "document_id",
        "doc_type",
        "source_name",
        "title",
        "lifecycle_state",
        "source_updated_at",
        "batch_id",
        "generation",
        "version",
        "model_id",
        "chunks",
        "document_model",
        "source_tables",
        "delivery",
        "waits_since",
        "problem",
    }
    assert (found["document_model"], found["problem"]) == ("doc_ingested", "")
    printed = shell.run("lineage", "docs:refund.md").stdout
    assert "doc_ingested" in printed and found["chunks"][0]["run"]["invocation_id"] in printed
    assert "no document 'docs:none.md'" in shell.error("lineage", "docs:none.md")


def test_a_page_is_served_until_it_is_interrupted(shell: Shell) -> None:
    command = [sys.executable, "-m", "dagster_project.cli", "serve", "--port", "0"]
    page = subprocess.Popen(command, env=shell.environment, stdout=subprocess.PIPE, text=True)
    try:
        assert page.stdout is not None
        said = page.stdout.readline()
        url = said.split()[0]
        assert url.startswith("http://127.0.0.1:") and "reading as everyone" in said
        assert "docs:refund.md" in httpx2.get(url, params={"q": "money back"}).text
        refused = httpx2.get(url, headers={"Host": "evil.example"})
        assert refused.status_code == 400 and "docs" not in refused.text
        port = url.rstrip("/").rsplit(":", 1)[1]
        assert "name another with --port" in shell.error("serve", "--port", port)
    finally:
        page.send_signal(signal.SIGINT)
        assert page.wait(timeout=60) == 0


def test_a_dump_has_stable_keys(shell: Shell) -> None:
    rows = shell.json("index", "dump")
    assert [row["document_id"] for row in rows] == ["docs:refund.md", "docs:shift.md"]
    assert {key for row in rows for key in row} == {
        "chunk_id",
        "document_id",
        "text",
        "content_hash",
        "lifecycle_state",
    }


def test_an_index_that_agrees_is_verified(shell: Shell) -> None:
    assert shell.json("verify") == {"missing": [], "orphans": [], "duplicates": [], "stale": []}


def test_a_run_of_dbt_beside_another_is_refused(shell: Shell) -> None:
    warehouse = Headrace(Settings.load(shell.home)).warehouse
    with warehouse.lock("build", 0), pytest.MonkeyPatch.context() as patch:
        patch.setitem(shell.environment, "HEADRACE_LOCK_WAIT", "0")
        assert "has been running build" in shell.error("dbt", "--quiet", "run")
        assert shell.run("dbt", "--quiet", "ls", "--select", "rag__chunks").returncode == 0


def test_mistakes_are_one_line_and_exit_code_2(shell: Shell, folder: Path) -> None:
    assert "is no folder" in shell.error(
        "ingest", "files", str(folder / "none"), "--source", "docs"
    )
    assert "The query is empty" in shell.error("search", " ")
    assert "leave one of them out" in shell.error("search", "refund", "--as", "a", "--admin")
    assert "has no value" in shell.error("search", "refund", "--payload", "status")
    assert "budget_words is 0" in shell.error("context", "refund", "--words", "0")


def test_an_index_that_lags_behind_fails_the_verification(shell: Shell) -> None:
    # dbt alone: the warehouse has a chunk less than the index, which nobody synced.
    (new := shell.home.parent / "new").mkdir()
    (new / "refund.md").write_text("# Refunds\n\nMoney goes back within 30 days — always.\n")
    shell.json("ingest", "files", str(new), "--source", "docs")
    done = shell.run("dbt", "build", "--exclude-resource-type", "unit_test", "--quiet")
    assert done.returncode == 0, done.stdout + done.stderr
    found = shell.json("verify", code=1)
    assert len(found["orphans"]) == 1 and not found["missing"]
    assert shell.json("status")["orphans"] == 1
    assert shell.json("build")["sync"]["deleted"] == 1
    shell.json("verify")


def test_checks_of_what_is_right_pass(shell: Shell, tmp_path: Path) -> None:
    outcomes = shell.json("check", "--junit", str(tmp_path / "checks.xml"))
    # How long a build took on this machine is no fault of what it built.
    not_right = {each["name"] for each in outcomes if each["status"] != "pass"}
    assert not_right <= {"lag_is_within_the_promise"}
    assert {"holds_what_the_warehouse_holds", "lag_is_within_the_promise"} <= {
        outcome["name"] for outcome in outcomes
    }
    assert len(outcomes) > 20
    suite = ElementTree.parse(tmp_path / "checks.xml").getroot()
    assert suite.get("tests") == str(len(outcomes)) and suite.get("failures") == "0"


def test_an_index_that_lost_a_row_fails_its_check_until_it_is_mended(
    shell: Shell, tmp_path: Path
) -> None:
    headrace = Headrace(replace(Settings.load(shell.home), model="fake"))
    chunk_id = headrace.live_index.dump()[0]["chunk_id"]
    headrace.live_index.delete([chunk_id])
    headrace.live_index.publish()
    junit, markdown = tmp_path / "checks.xml", tmp_path / "checks.md"

    name = "holds_what_the_warehouse_holds"
    arguments = ("check", "--select", name, "--junit", str(junit))
    [outcome] = shell.json(*arguments, "--markdown", str(markdown), code=1)
    assert outcome["status"] == "fail"
    assert [row["chunk_id"] for row in outcome["samples"]] == [chunk_id]
    assert "verify --repair" in outcome["remedy"]
    failure = ElementTree.parse(junit).getroot().find("testcase/failure")
    assert failure is not None and "1 chunks missing" in (failure.get("message") or "")
    assert "verify --repair" in markdown.read_text()

    shell.run("verify", "--repair")
    [outcome] = shell.json(*arguments)
    assert outcome["status"] == "pass" and not outcome["remedy"]


def test_a_chunk_that_breaks_its_contract_fails_dbts_test(shell: Shell) -> None:
    headrace = Headrace(replace(Settings.load(shell.home), model="fake"))
    with psycopg.connect(headrace.postgres_url) as connection:
        connection.execute("update headrace.rag__documents set lifecycle_state = 'forgotten'")
    outcomes = shell.json("check", "--select", "rag__documents", code=1)
    failed = [outcome for outcome in outcomes if outcome["status"] == "fail"]
    assert failed and all("--store-failures" in outcome["remedy"] for outcome in failed)
    with psycopg.connect(headrace.postgres_url) as connection:
        connection.execute("update headrace.rag__documents set lifecycle_state = 'active'")
    shell.json("check", "--select", "rag__documents")


def test_checks_that_cannot_run_exit_with_2(shell: Shell) -> None:
    assert "No check is named or about nothing" in shell.error("check", "--select", "nothing")


def test_a_live_run_and_a_worker_that_it_would_fill_are_refused(shell: Shell) -> None:
    instance = shell.home / "dagster" / "dagster.yaml"
    instance.parent.mkdir(exist_ok=True)
    instance.write_text("run_launcher: {module: dagster_celery.launcher, class: CeleryRunLauncher}")
    assert "leave out --live" in shell.error("dev", "--live")

    instance.write_text("run_launcher: {module: dagster, class: DefaultRunLauncher}")
    assert "leave out --warm" in shell.error("dev", "--warm")
    assert instance.read_text().count("run_launcher") == 1
