"""A Slack workspace export to documents: a thread is one, and so is a stretch of a channel.

The export has to be whole: what it does not hold any more is a delete.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

from dagster_project.core.errors import ConfigurationError
from dagster_project.core.ingest.archive import Export
from dagster_project.core.ingest.documents import Document, first_words, new_document
from dagster_project.core.ingest.load import IngestReport, Load, check_source, replace_source
from dagster_project.core.ingest.slack_text import Names, to_markdown
from dagster_project.core.warehouse import Warehouse

_SILENCE_SECONDS = 4 * 3600
_MOST_MESSAGES = 40
# What a person says comes without a subtype or with one of these; the rest is noise of the house.
_SPOKEN = {None, "thread_broadcast", "me_message", "file_share", "file_comment"}
_LISTS = {"channels.json": True, "groups.json": False}
_DIRECT = {"dms.json": False, "mpims.json": False}


@dataclass(frozen=True)
class _Channel:
    id: str
    name: str
    folder: str
    access: list[str] | None
    is_public: bool


@dataclass(frozen=True)
class _Message:
    ts: str
    thread_ts: str | None
    author: str
    text: str
    changed: float
    reactions: dict[str, int]

    @property
    def time(self) -> datetime:
        return datetime.fromtimestamp(float(self.ts), tz=timezone.utc)


def ingest_slack(
    warehouse: Warehouse,
    export: Path,
    source: str,
    workspace: str | None = None,
    *,
    direct: bool = False,
    access: Sequence[str] | None = None,
) -> IngestReport:
    """Make the documents of `source` those of a workspace export.

    A channel of which a file cannot be read is set aside with the reason, and what was loaded of
    it before stays.

    Args:
        warehouse: where the documents go.
        export: the zip, or the folder that it unpacks to.
        source: the source's name, in front of every document's id.
        workspace: the workspace's domain, ``acme`` of acme.slack.com, for links.
        direct: whether direct messages are loaded too.
        access: who may read what is said in public channels; see `Load`.

    Raises:
        ConfigurationError: the export or the source's name cannot be used.
        WarehouseError: the warehouse cannot be written.
    """
    check_source(source)
    files = Export(export)
    try:
        people = _people(files)
        channels = _channels(files, people, direct=direct)
    except ValueError as error:
        raise ConfigurationError(f"{export}: {error}. Nothing was changed.") from error
    names = Names(
        {key: name for key, (name, _) in people.items()}, {c.id: c.name for c in channels}
    )
    load = Load(access)
    by_folder = _by_folder(files)
    if not direct:
        for _ in _direct_entries(files):
            load.ignore("direct messages")
    for channel in channels:
        try:
            said = _messages(files, by_folder.get(channel.folder, []), names, load)
            documents = list(_documents(channel, said, source, workspace))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            load.refuse(f"{source}:{channel.id}:", f"#{channel.name}: {_why(error)}")
            continue
        for document in documents:
            load.add(document)
    return replace_source(warehouse, source, load)


def _why(error: Exception) -> str:
    if type(error) is ValueError:
        return str(error)
    return f"a message is not as Slack exports it ({type(error).__name__}: {error})"


def _json(files: Export, name: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(files.read(name))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{name} is not JSON ({error}): export it again") from error
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise ValueError(f"{name} is no list of objects: export it again")
    return found


def _people(files: Export) -> dict[str, tuple[str, str]]:
    """The name and the principal of each user, by id."""
    people = {}
    for user in _json(files, "users.json") if "users.json" in files else []:
        key, profile = str(user.get("id")), user.get("profile")
        profile = profile if isinstance(profile, dict) else {}
        name = profile.get("display_name") or profile.get("real_name") or user.get("real_name")
        people[key] = (str(name or user.get("name") or key), f"slack:{profile.get('email') or key}")
    return people


def _direct_entries(files: Export) -> Iterator[dict[str, Any]]:
    for name in _DIRECT:
        if name in files:
            yield from _json(files, name)


def _channels(
    files: Export, people: Mapping[str, tuple[str, str]], *, direct: bool
) -> list[_Channel]:
    lists = _LISTS | (_DIRECT if direct else {})
    if not any(name in files for name in _LISTS):
        raise ValueError("it holds no channels.json: give the export of a Slack workspace")
    channels = []
    for name, is_public in lists.items():
        for entry in _json(files, name) if name in files else []:
            key = entry.get("id")
            if not isinstance(key, str) or not key:
                raise ValueError(f"{name} has a channel without an id: export it again")
            members = [str(member) for member in entry.get("members") or []]
            readers = [people[m][1] if m in people else f"slack:{m}" for m in members]
            channels.append(
                _Channel(
                    id=key,
                    name=str(entry.get("name") or key),
                    folder=str(entry.get("name") or key),
                    # Nobody is a principal that no reader has: a private channel without members.
                    access=None if is_public else sorted(readers) or ["nobody"],
                    is_public=is_public,
                )
            )
    return channels


def _by_folder(files: Export) -> dict[str, list[str]]:
    folders: dict[str, list[str]] = {}
    for name in files.names():
        path = PurePosixPath(name)
        if len(path.parts) == 2 and path.suffix == ".json":
            folders.setdefault(path.parts[0], []).append(name)
    return folders


def _messages(files: Export, names: Sequence[str], known: Names, load: Load) -> list[_Message]:
    """What was said in a channel and stands, by time."""
    entries: dict[str, dict[str, Any]] = {}
    deleted: set[str] = set()
    for entry in (entry for name in names for entry in _json(files, name)):
        subtype = entry.get("subtype")
        if subtype == "message_deleted":
            deleted.add(str(entry.get("deleted_ts")))
        elif subtype == "message_changed":
            message = entry["message"]
            entries[str(message["ts"])] = entries.get(str(message["ts"]), {}) | message
        else:
            # A change may stand before the message that it changes.
            entries.setdefault(str(entry["ts"]), entry)
    messages = []
    for ts, entry in entries.items():
        if ts in deleted or entry.get("subtype") == "tombstone":
            load.ignore("deleted messages")
        elif entry.get("subtype") not in _SPOKEN or entry.get("bot_id"):
            load.ignore("messages of bots and of joining and leaving")
        elif (message := _message(ts, entry, known)).text:
            messages.append(message)
        else:
            load.ignore("messages without text")
    return sorted(messages, key=lambda message: float(message.ts))


def _message(ts: str, entry: Mapping[str, Any], known: Names) -> _Message:
    files = [
        f"(file: {file.get('title') or file.get('name') or 'without a name'})"
        for file in entry.get("files") or []
        if file.get("mode") != "tombstone"
    ]
    text = "\n".join(filter(None, [to_markdown(str(entry.get("text") or ""), known), *files]))
    edited = entry.get("edited")
    thread_ts = entry.get("thread_ts")
    return _Message(
        ts=ts,
        thread_ts=str(thread_ts) if thread_ts else None,
        author=known.user(str(entry.get("user") or entry.get("username") or "somebody")),
        text=text,
        changed=max(float(ts), float(edited["ts"]) if edited else 0.0),
        reactions={str(r["name"]): int(r["count"]) for r in entry.get("reactions") or []},
    )


def _documents(
    channel: _Channel, messages: Iterable[_Message], source: str, workspace: str | None
) -> Iterator[Document]:
    threads: dict[str, list[_Message]] = {}
    alone: list[_Message] = []
    for message in messages:
        if message.thread_ts:
            threads.setdefault(message.thread_ts, []).append(message)
        else:
            alone.append(message)
    for ts, thread in threads.items():
        yield _document(channel, ts, thread, "slack_thread", source, workspace)
    for stretch in _stretches(alone):
        yield _document(channel, stretch[0].ts, stretch, "slack_conversation", source, workspace)


def _stretches(messages: Sequence[_Message]) -> Iterator[list[_Message]]:
    """Messages cut at silences, and before they become too many; later ones move no cut."""
    stretch: list[_Message] = []
    for message in messages:
        if stretch and (
            float(message.ts) - float(stretch[-1].ts) > _SILENCE_SECONDS
            or len(stretch) >= _MOST_MESSAGES
        ):
            yield stretch
            stretch = []
        stretch.append(message)
    if stretch:
        yield stretch


def _document(
    channel: _Channel,
    ts: str,
    messages: Sequence[_Message],
    doc_type: str,
    source: str,
    workspace: str | None,
) -> Document:
    reactions: dict[str, int] = {}
    for message in messages:
        for name, count in message.reactions.items():
            reactions[name] = reactions.get(name, 0) + count
    link = f"https://{workspace}.slack.com/archives/{channel.id}/p{ts.replace('.', '')}"
    return new_document(
        source,
        f"{channel.id}:{ts}",
        doc_type=doc_type,
        title=f"#{channel.name}: {first_words(messages[0].text)}",
        body="\n\n".join(_paragraphs(messages)),
        modified=datetime.fromtimestamp(
            max(message.changed for message in messages), tz=timezone.utc
        ),
        payload={
            "channel": channel.name,
            "thread_ts": ts,
            "participants": sorted({message.author for message in messages}),
            "private": not channel.is_public,
        }
        | ({"reactions": reactions} if reactions else {}),
        access=channel.access,
        url=link if workspace else None,
    )


def _paragraphs(messages: Sequence[_Message]) -> Iterator[str]:
    """A paragraph a message; the day stands once, before the first that was said on it."""
    for day, group in groupby(messages, key=lambda message: message.time.date()):
        for number, message in enumerate(group):
            moment = f"{message.time:%H:%M}" if number else f"{day} {message.time:%H:%M}"
            yield f"**{message.author}** ({moment}): {message.text}"
