"""A workspace export of 20 channels and 3,000 messages; the tests follow one another."""

from __future__ import annotations

import json
import random
import zipfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from dagster_project.core.build import Headrace
from dagster_project.core.errors import ConfigurationError
from dagster_project.core.ingest import IngestReport, ingest_slack
from dagster_project.core.ingest.slack_text import Names, to_markdown
from dagster_project.core.retrieval import Principals, Retriever

from .desk import WITHOUT_TESTS
from .papers import bodies, code, index_rows, raw_rows

CHANNELS, MESSAGES, START = 20, 3_000, 1_767_225_600
PRIVATE = {18, 19}
Day = list[dict[str, Any]]


class Workspace:
    """The files of an export: lists, and messages by channel and day."""

    def __init__(self) -> None:
        chance = random.Random(5)
        self.users = [
            {"id": f"U{n}", "name": f"user{n}", "profile": {"display_name": f"User {n}",
             "email": f"user{n}@example.com"}} for n in range(12)
        ]  # fmt: skip
        self.channels: list[list[dict[str, Any]]] = [[] for _ in range(CHANNELS)]
        for number in range(MESSAGES):
            channel = self.channels[number % CHANNELS]
            # A day of messages a quarter of an hour apart, then a night.
            turn = number // CHANNELS
            moment = START + turn // 30 * 86_400 + turn % 30 * 900
            message: dict[str, Any] = {
                "type": "message",
                "user": f"U{chance.randrange(12)}",
                "ts": f"{moment}.{number:06d}",
                "text": f"Message {code(number)} of <@U1> &amp; more",
            }
            if turn % 10 == 3:
                message["thread_ts"] = message["ts"]
                message["reply_count"] = 1
            if turn % 10 == 4:
                message["thread_ts"] = channel[-1]["ts"]
            channel.append(message)

    def write(self, folder: Path, name: str) -> Path:
        """The export as a zip."""
        lists: dict[str, list[dict[str, Any]]] = {"channels.json": [], "groups.json": []}
        for number in range(CHANNELS):
            kind = "groups.json" if number in PRIVATE else "channels.json"
            lists[kind].append(
                {"id": f"C{number}", "name": f"room{number}", "members": ["U1", "U2", "U99"]}
            )
        path = folder / f"{name}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            lists["dms.json"] = [{"id": "D1", "members": ["U1", "U2"]}]
            for file, entries in {**lists, "users.json": self.users}.items():
                archive.writestr(file, json.dumps(entries))
            archive.writestr("D1/2026-01-01.json", json.dumps([self._said("a secret of two")]))
            for number, messages in enumerate(self.channels):
                days: dict[str, Day] = {}
                for message in messages:
                    moment = datetime.fromtimestamp(float(message["ts"]), tz=timezone.utc)
                    days.setdefault(f"{moment:%Y-%m-%d}", []).append(message)
                for day, said in days.items():
                    archive.writestr(f"room{number}/{day}.json", json.dumps(said))
        return path

    @staticmethod
    def _said(text: str) -> dict[str, Any]:
        return {"type": "message", "user": "U1", "ts": f"{START}.5", "text": text}


@pytest.fixture(scope="module")
def workspace() -> Workspace:
    return Workspace()


def _load(headrace: Headrace, path: Path) -> IngestReport:
    return ingest_slack(headrace.warehouse, path, "slack", "acme")


def test_threads_and_conversations_are_documents(
    headrace: Headrace, workspace: Workspace, tmp_path: Path
) -> None:
    report = _load(headrace, workspace.write(tmp_path, "first"))
    # Each channel has 15 threads of two messages, and five days of 24 messages outside of them.
    assert (report.added, report.refused) == (CHANNELS * (15 + 5), [])
    assert report.ignored == {"direct messages": 1}
    said = "\n".join(bodies(headrace, "slack").values())
    assert all(said.count(code(number) + " ") == 1 for number in range(MESSAGES))
    assert "&amp;" not in said
    assert "@User 1 & more" in said
    rows = raw_rows(headrace, "slack")
    thread = rows[f"slack:C0:{START + 2700}.000060"]
    assert thread[2:4] == ("slack_thread", f"#room0: Message {code(60)} of @User 1 & more")
    assert thread[5] == f"https://acme.slack.com/archives/C0/p{START + 2700}000060"
    assert {
        row[13][0] for key, row in rows.items() if ":C18:" not in key and ":C19:" not in key
    } == {"everyone"}
    assert rows[f"slack:C18:{START}.000018"][13] == [
        "slack:U99", "slack:user1@example.com", "slack:user2@example.com"
    ]  # fmt: skip


def test_a_hit_names_its_thread(headrace: Headrace) -> None:
    headrace.build(WITHOUT_TESTS)
    retriever = Retriever(headrace, Principals.of())
    for number in (60, 80, 1463):
        hit = next(h for h in retriever.search(code(number), 5) if code(number) in h.text)
        thread = number - CHANNELS if number // CHANNELS % 10 == 4 else number
        turn = thread // CHANNELS
        moment = START + turn // 30 * 86_400 + turn % 30 * 900
        assert hit.document_id == f"slack:C{number % CHANNELS}:{moment}.{thread:06d}"
        assert hit.url and hit.url.endswith(f"p{moment}{thread:06d}")


def test_edits_deletes_and_new_messages_have_their_effect_and_no_other(
    headrace: Headrace, workspace: Workspace, tmp_path: Path
) -> None:
    rows = raw_rows(headrace, "slack")
    first, second, third = workspace.channels[1], workspace.channels[2], workspace.channels[3]
    edited = first[3] | {
        "text": "Edited.",
        "edited": {"user": "U1", "ts": f"{START + 9_000_000}.0"},
    }
    first[3] = edited
    # As a log of events gives them: the message stays, and another says what became of it.
    second.append(
        {"subtype": "message_changed", "ts": f"{START}.9", "message": second[0] | {"text": "Anew."}}
    )
    third[3] = third[3] | {"subtype": "tombstone", "text": "This message was deleted."}
    third.append({"subtype": "message_deleted", "ts": f"{START}.9", "deleted_ts": third[4]["ts"]})
    fourth = workspace.channels[4]
    fourth.append(
        {"user": "U3", "ts": f"{float(fourth[-1]['ts']) + 60:.6f}", "text": "One more.",
         "reactions": [{"name": "tada", "count": 2}], "files": [{"title": "Plan"}]}
    )  # fmt: skip
    fourth.append({"subtype": "channel_join", "user": "U3", "ts": f"{START}.8", "text": "joined"})
    fourth.append({"bot_id": "B1", "user": "U3", "ts": f"{START}.7", "text": "Build 5 is green"})
    report = _load(headrace, workspace.write(tmp_path, "second"))
    assert (report.added, report.changed, report.deleted) == (0, 3, 1)
    assert report.ignored == {
        "direct messages": 1, "deleted messages": 2,
        "messages of bots and of joining and leaving": 2,
    }  # fmt: skip
    now = raw_rows(headrace, "slack")
    changed = {key for key in rows if now.get(key) != rows[key]}
    assert len(changed) == 4
    assert set(now) == set(rows) - {f"slack:C3:{third[3]['ts']}"}
    thread = now[f"slack:C1:{edited['ts']}"]
    assert "Edited." in thread[4]
    assert thread[15] == datetime.fromtimestamp(START + 9_000_000, tz=timezone.utc)
    last = max(key for key in now if key.startswith("slack:C4:") and now[key] != rows[key])
    assert now[last][4].endswith("One more.\n(file: Plan)")
    assert json.loads(now[last][14])["reactions"] == {"tada": 2}
    headrace.build(WITHOUT_TESTS)
    assert set(index_rows(headrace)) == set(now)


def test_direct_messages_are_loaded_where_that_is_asked(
    headrace: Headrace, workspace: Workspace, tmp_path: Path
) -> None:
    path = workspace.write(tmp_path, "direct")
    ingest_slack(headrace.warehouse, path, "direct", direct=True)
    row = raw_rows(headrace, "direct")[f"direct:D1:{START}.5"]
    assert row[13] == ["slack:user1@example.com", "slack:user2@example.com"]


def test_an_unpacked_export_is_the_same(
    headrace: Headrace, workspace: Workspace, tmp_path: Path
) -> None:
    with zipfile.ZipFile(workspace.write(tmp_path, "again")) as archive:
        archive.extractall(tmp_path / "folder")
    report = _load(headrace, tmp_path / "folder")
    assert (report.added, report.changed, report.deleted) == (0, 0, 0)


def test_a_broken_day_sets_its_channel_aside(
    headrace: Headrace, workspace: Workspace, tmp_path: Path
) -> None:
    with zipfile.ZipFile(workspace.write(tmp_path, "broken")) as archive:
        archive.extractall(tmp_path / "folder")
    (tmp_path / "folder" / "room5" / "2026-01-01.json").write_text("[{")
    before = raw_rows(headrace, "slack")
    report = _load(headrace, tmp_path / "folder")
    assert [refusal.document_id for refusal in report.refused] == ["slack:C5:"]
    assert raw_rows(headrace, "slack") == before
    with pytest.raises(ConfigurationError, match=r"holds no channels\.json"):
        _load(headrace, tmp_path / "folder" / "room5")


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("<@U1> and <@U9|bob> and <@U8>", "@User 1 and @bob and @U8"),
        ("<#C1|general> <#C2>", "#general #random"),
        ("<!here> <!subteam^S1|@team> <!date^1^{date}|today>", "@here @team today"),
        ("<https://a.b/c|here> <https://a.b>", "[here](https://a.b/c) https://a.b"),
        ("<mailto:a@b.c|a@b.c>", "a@b.c"),
        ("1 &lt; 2 &amp;&amp; 3 &gt; 2", "1 < 2 && 3 > 2"),
        ("*bold* and ~gone~ and 2*3*4", "**bold** and ~~gone~~ and 2*3*4"),
        ("see ```a = *b*\nc``` there", "see \n```\na = *b*\nc\n```\n there"),
        ("# no heading\n• an item", "\\# no heading\n- an item"),
        ("an open ``` fence", "an open ''' fence"),
    ],
)
def test_a_message_is_markdown(text: str, markdown: str) -> None:
    assert to_markdown(text, Names({"U1": "User 1"}, {"C2": "random"})) == markdown
