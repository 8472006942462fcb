"""The file of readers, and how often they may call."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import stat
from pathlib import Path

import pytest

from dagster_project.core.errors import ConfigurationError, VectorStoreError, WarehouseError
from dagster_project.core.retrieval import Principals
from dagster_project.serving.limits import Lane, Places, RateLimit, TooManyCallsError
from dagster_project.serving.log import SILENT, log_to_stderr, told
from dagster_project.serving.readers import Readers, add_reader

HASH = hashlib.sha256(b"known").hexdigest()


def test_a_token_is_made_once_and_kept_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "readers.yml"
    support = add_reader(path, "support", ["role:support", "it's: odd"])
    boss = add_reader(path, "boss", [], admin=True)
    assert support not in path.read_text() and boss not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    readers = Readers(path)
    found = readers.of_token(support)
    assert found is not None and found.name == "support"
    assert found.principals == Principals.of("role:support", "it's: odd")
    admin = readers.of_token(boss)
    assert admin is not None and admin.principals.sees_all
    assert [path.name for path in tmp_path.iterdir()] == ["readers.yml"]


@pytest.mark.parametrize(
    "token", ["", "known ", "Known", HASH, "\x00", "\ud800", "é", "known" * 1_000, "hr_"]
)
def test_what_is_no_token_is_nobody(token: str, tmp_path: Path) -> None:
    path = tmp_path / "readers.yml"
    path.write_text(f"[{{name: a, sha256: '{HASH}', principals: [everyone]}}]")
    readers = Readers(path)
    assert readers.of_token(token) is None
    assert readers.of_token("known") is not None


def test_comments_and_the_mode_stay_and_a_name_is_taken_once(tmp_path: Path) -> None:
    path = tmp_path / "readers.yml"
    path.write_text(f"# ours\n- name: first\n  sha256: '{HASH}'\n  principals: [role:a]")
    path.chmod(0o640)
    add_reader(path, "second", ["role:b"])
    assert path.read_text().startswith("# ours\n- name: first\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert str(Readers(path)) == f"2 of {path}"
    with pytest.raises(ConfigurationError, match="'second' already"):
        add_reader(path, "second", ["role:b"])


def test_a_link_stays_one(tmp_path: Path) -> None:
    path = tmp_path / "link.yml"
    (tmp_path / "real.yml").write_text("")
    path.symlink_to("real.yml")
    add_reader(path, "one", ["role:a"])
    assert path.is_symlink() and str(Readers(path)) == f"1 of {path}"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("a: b", "no list"),
        ("- [", "no YAML"),
        ("\xff", "no YAML"),
        ("- a", "give name, sha256"),
        ("- {name: a, sha256: HASH, principal: [role:a]}", "give name, sha256"),
        ("- {name: a, sha256: HASH}", "principals is no list"),
        ("- {name: a, sha256: HASH, principals: []}", "principals is no list"),
        ("- {name: a, sha256: HASH, principals: role:a}", "principals is no list"),
        ("- {name: a, sha256: HASH, principals: [1]}", "cannot be one"),
        ("- {name: a, sha256: HASH, principals: ['']}", "cannot be one"),
        ("- {name: a, sha256: HASH, admin: 'true'}", "admin: true"),
        ("- {name: a, sha256: HASH, admin: 1}", "admin: true"),
        ("- {name: a, sha256: HASH, admin: true, principals: [role:a]}", "admin: true"),
        ("- {name: a, sha256: HASH, admin: false}", "principals is no list"),
        ("- {name: '', sha256: HASH, admin: true}", "the name is"),
        ('- {name: "a\\nb", sha256: HASH, admin: true}', "the name is"),
        ("- {name: a, sha256: known, admin: true}", "no SHA-256"),
        ("- {name: a, admin: true}", "no SHA-256"),
        ("[{name: a, sha256: HASH, admin: true}, {name: b, sha256: HASH, admin: true}]", "twice"),
        ("- !!python/object/apply:os.system ['true']", "no YAML"),
    ],
)
def test_a_file_that_says_nothing_clear_is_refused(content: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "readers.yml"
    path.write_bytes(content.replace("HASH", f"'{HASH}'").encode("latin-1"))
    with pytest.raises(ConfigurationError, match=what):
        Readers(path)


@pytest.mark.parametrize(
    ("name", "principals", "admin"),
    [("", ["role:a"], False), ("a", [], False), ("a", [""], False), ("a", ["role:a"], True)],
)
def test_a_token_for_nobody_is_not_made(
    name: str, principals: list[str], admin: bool, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError):
        add_reader(tmp_path / "readers.yml", name, principals, admin=admin)
    assert not list(tmp_path.iterdir())


def test_a_list_in_brackets_takes_no_entry_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "readers.yml"
    path.write_text("[]\n")
    with pytest.raises(ConfigurationError):
        add_reader(path, "a", ["role:a"])
    assert path.read_text() == "[]\n"


def test_what_changes_in_the_file_counts_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "readers.yml"
    one, two = (add_reader(path, name, ["role:a"]) for name in ("one", "two"))
    whole = path.read_text()
    readers = Readers(path)
    cut = whole[: whole.index("- name: two")]
    path.write_text(cut)
    assert readers.of_token(one) and not readers.of_token(two)
    for broken in ("- [", "", None):
        if broken is None:
            path.unlink()
        else:
            path.write_text(broken)
        assert not readers.of_token(one) and not readers.of_token(two)
        assert not readers.of_token(one)
    refusals = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert len(refusals) == 2 and "Every reader is refused" in caplog.text
    path.write_text(whole)
    assert readers.of_token(one) and readers.of_token(two)


def test_calls_are_counted_by_reader_and_come_back() -> None:
    now = 0.0
    rate = RateLimit(60, 3, lambda: now)
    for _ in range(3):
        rate.admit("a")
    with pytest.raises(TooManyCallsError, match=r"60 a minute, 3 at once\. Try again in 1 s"):
        rate.admit("a")
    rate.admit("b")
    now = 0.9
    with pytest.raises(TooManyCallsError):
        rate.admit("a")
    now = 1.0
    rate.admit("a")
    with pytest.raises(TooManyCallsError):
        rate.admit("a")
    now = 1_000.0
    for _ in range(3):
        rate.admit("a")
    with pytest.raises(TooManyCallsError):
        rate.admit("a")


def test_metrics_hold_up_no_search_and_a_reader_no_other() -> None:
    async def main() -> None:
        places = Places(4, patience=0.05)
        async with places.place("a", Lane.METRICS):
            with pytest.raises(TooManyCallsError, match="busy"):
                async with places.place("b", Lane.METRICS):
                    raise AssertionError
            async with places.place("a", Lane.SEARCH), places.place("a", Lane.SEARCH):
                with pytest.raises(TooManyCallsError):
                    async with places.place("a", Lane.SEARCH):
                        raise AssertionError
                async with places.place("b", Lane.SEARCH), places.place("b", Lane.SEARCH):
                    with pytest.raises(TooManyCallsError):
                        async with places.place("c", Lane.SEARCH):
                            raise AssertionError
                async with places.place("c", Lane.SEARCH):
                    pass
        async with places.place("b", Lane.METRICS):
            pass

    asyncio.run(main())


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        (
            "The index in /srv/headrace/lancedb was never published: run `headrace build`.",
            "The index in … was never published: run `headrace build`.",
        ),
        ("The index in gs://bucket/x?key=1 has none", "The index in … has none"),
        (
            "dbt parse failed (its log: /home/me/dbt.log):\n  select 1",
            "dbt parse failed (its log: …):",
        ),
        ("open postgresql://me:secret@db/x now", "open … now"),
        ("give 24/7 or and/or, a / b, '~/x'", "give 24/7 or and/or, a / b, '…'"),
    ],
)
def test_readers_are_told_of_no_place(message: str, wanted: str) -> None:
    assert told(VectorStoreError(message)) == wanted


@pytest.mark.parametrize(
    "message",
    [
        'Postgres does not answer (connection to server at "10.1.2.3", port 5 failed)',
        "Postgres does not answer (failed to resolve host 'db.corp')",
        "403 project acme-prod: reader@acme.iam lacks bigquery.jobs.create",
    ],
)
def test_what_a_warehouse_says_is_for_the_log(message: str) -> None:
    assert told(WarehouseError(message)) == SILENT


def test_the_log_has_no_password(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    for handler in before:
        root.removeHandler(handler)
    try:
        log_to_stderr()
        try:
            raise ValueError("cannot open postgresql://me:se:cret@db/x")
        except ValueError:
            logging.getLogger("dagster_project.serving.x").exception("at s3://key:secret@bucket")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    written = capsys.readouterr()
    assert "ValueError: cannot open postgresql://***@db/x" in written.err
    assert "cret" not in written.err and written.out == ""
