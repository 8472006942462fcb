"""Where files are: a folder, or a bucket through fsspec."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import fsspec
from fsspec.asyn import AsyncFileSystem

from dagster_project.core.errors import ConfigurationError

# The filesystem behind a protocol, where it is a package of its own.
_REMEDIES = {
    "s3": "pip install 'headrace[s3]'",
    "gs": "pip install gcsfs",
    "gcs": "pip install gcsfs",
}
# A file may change twice within a tick of the filesystem's clock, and keep its size.
_SETTLED_SECONDS = 2.0


@dataclass(frozen=True)
class Found:
    """A file, or what looks like one.

    Attributes:
        name: its path below the location, with slashes; a folder's ends in one.
        size: bytes.
        modified: when it changed, UTC.
        state: another text once the file is another; empty where that cannot be told.
        problem: why it is not read; empty where it can be.
        open: opens it for reading.
    """

    name: str
    size: int
    modified: datetime
    state: str
    problem: str
    open: Callable[[], BinaryIO]


def list_files(location: str) -> Iterator[Found]:
    """Everything below a location that is no folder, in the order of its names.

    Args:
        location: a folder, or a URL such as ``s3://bucket/folder``.

    Raises:
        ConfigurationError: there is no such place, or nothing can list it.
    """
    if "://" not in location:
        folder = Path(location).expanduser()
        if not folder.is_dir():
            raise ConfigurationError(
                f"{location} is no folder: give the folder that holds the files."
            )
        return iter(sorted(_local(folder), key=lambda found: found.name))
    return iter(sorted(_remote(location), key=lambda found: found.name))


def _local(folder: Path) -> Iterator[Found]:
    failures: list[Found] = []

    def fail(error: OSError) -> None:
        name = Path(str(error.filename)).relative_to(folder).as_posix()
        if name == ".":
            # Else everything that was loaded of it would be taken for gone.
            raise ConfigurationError(
                f"{folder} cannot be listed: {error.strerror}. Nothing was changed."
            ) from error
        failures.append(_problem(f"{name}/", f"the folder cannot be read: {error.strerror}"))

    root = folder.resolve()
    for place, folders, names in os.walk(folder, onerror=fail):
        for name in [*names, *(name for name in folders if Path(place, name).is_symlink())]:
            path = Path(place, name)
            yield _local_file(path, path.relative_to(folder).as_posix(), root)
    yield from failures


def _opener(path: Path) -> Callable[[], BinaryIO]:
    return lambda: path.open("rb")


def _problem(name: str, problem: str) -> Found:
    return Found(name, 0, datetime.now(timezone.utc), "", problem, _opener(Path(os.devnull)))


def _local_file(path: Path, name: str, root: Path) -> Found:
    try:
        if path.is_symlink() and not path.resolve(strict=True).is_relative_to(root):
            return _problem(name, "it is a link that leads out of the folder: put the file here")
        facts = path.stat()
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "a link that leads to itself"
        return _problem(name, f"it cannot be read: {reason}")
    if stat.S_ISDIR(facts.st_mode):
        return _problem(f"{name}/", "it is a link to a folder, which is not followed")
    if not stat.S_ISREG(facts.st_mode):
        return _problem(name, "it is a pipe, a device or a socket, and no file")
    settled = abs(time.time() - facts.st_mtime) > _SETTLED_SECONDS
    return Found(
        name=name,
        size=facts.st_size,
        modified=datetime.fromtimestamp(facts.st_mtime, tz=timezone.utc),
        state=f"{facts.st_size}:{facts.st_mtime_ns}" if settled else "",
        problem="",
        open=_opener(path),
    )


def _remote(location: str) -> Iterator[Found]:
    protocol = location.split("://", 1)[0]
    try:
        filesystem, root = fsspec.core.url_to_fs(location)
    except ImportError as error:
        remedy = _REMEDIES.get(protocol, f"install what fsspec asks for: {error}")
        raise ConfigurationError(f"{location} cannot be read here: {remedy}.") from error
    except ValueError as error:
        raise ConfigurationError(f"{location} cannot be read: {error}.") from error
    # What a store raises has no common class.
    try:
        if not filesystem.isdir(root):
            raise ConfigurationError(f"{location} holds no files: give a folder that does.")
        listing = _listing(filesystem, root)
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"{location} cannot be listed ({type(error).__name__}: {error}): check the name and "
            "the credentials. Nothing was changed."
        ) from error
    for path, facts in listing.items():
        yield _remote_file(filesystem, path, path[len(root) :].lstrip("/"), facts)


def _listing(filesystem: fsspec.AbstractFileSystem, root: str) -> dict[str, dict[str, Any]]:
    """Every file below a root by its path; fails where a folder cannot be read.

    fsspec's own way from folder to folder passes over those, as if they were empty.
    """
    find = getattr(type(filesystem), "_find", type(filesystem).find)
    if find not in (fsspec.AbstractFileSystem.find, AsyncFileSystem._find):
        # A store that has no folders is listed in one go.
        listing: dict[str, dict[str, Any]] = filesystem.find(root, detail=True)
        return listing
    found: dict[str, dict[str, Any]] = {}
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        for facts in filesystem.ls(folder, detail=True):
            path = facts["name"].rstrip("/")
            if facts["type"] != "directory":
                found[path] = facts
            elif path != folder.rstrip("/") and not facts.get("islink"):
                waiting.append(path)
    return found


def _remote_file(
    filesystem: fsspec.AbstractFileSystem, path: str, name: str, facts: dict[str, Any]
) -> Found:
    modified = next(
        (
            facts[key]
            for key in ("LastModified", "mtime", "updated", "modified", "created")
            if facts.get(key)
        ),
        None,
    )
    etag = next(
        (facts[key] for key in ("ETag", "etag", "md5Hash", "generation") if key in facts), ""
    )
    size = int(facts.get("size") or 0)
    return Found(
        name=name,
        size=size,
        modified=_time(modified),
        state=f"{size}:{modified}:{etag}" if modified or etag else "",
        problem="",
        open=partial(filesystem.open, path, "rb"),
    )


def _time(value: object) -> datetime:
    """A time as the stores give it: a datetime, seconds, or ISO text; the epoch where none is."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            value = None
    if isinstance(value, (int, float)):
        return datetime.fromtimestamp(value, tz=timezone.utc)
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=timezone.utc)
    return datetime.fromtimestamp(0, tz=timezone.utc)
