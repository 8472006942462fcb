"""Whose a bearer token is: a YAML file with the hash of each token and what its reader may read.

    - name: support-bot
      sha256: 7d0a…
      principals: [role:support]
    - name: operations
      sha256: 03be…
      admin: true

A token has 256 random bits, so that its plain SHA-256 tells nothing of it.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from dagster_project.core.errors import ConfigurationError
from dagster_project.core.retrieval import Principals

_PREFIX = "hr_"
_LONGEST_FILE = 1 << 20
_LONGEST_TOKEN = 512
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.@+-]{0,79}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_KEYS = {"name", "sha256", "principals", "admin"}
_HEADER = "# Who may read, by the SHA-256 of a token. An entry that is taken out ends its token.\n"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reader:
    """Somebody who asks a server.

    Attributes:
        name: what logs and limits know them by.
        principals: in whose name they read.
    """

    name: str
    principals: Principals


@dataclass(frozen=True)
class _Entry:
    sha256: str
    reader: Reader


class Readers:
    """The readers of a file, as it stands at each look."""

    def __init__(self, path: Path) -> None:
        """Take the file.

        Raises:
            ConfigurationError: it cannot be read, or has an entry that says nothing clear.
        """
        self.path = path
        content = _content(path)
        self._entries = _parsed(content, path)
        # None while the file cannot be read.
        self._content: bytes | None = content

    def __str__(self) -> str:
        """How many there are, and where they stand."""
        return f"{len(self._entries)} of {self.path}"

    def of_token(self, token: str) -> Reader | None:
        """The reader of a token, or None; nobody has one while the file cannot be read."""
        self._refresh()
        found = None
        digest = _hash(token[: _LONGEST_TOKEN + 1])
        # All are compared, each in constant time: how long it takes says nothing of any.
        for entry in self._entries:
            if hmac.compare_digest(entry.sha256, digest):
                found = entry.reader
        return found if len(token) <= _LONGEST_TOKEN else None

    def _refresh(self) -> None:
        # A few kilobytes, read at each look: times of files are too coarse to trust a token to.
        try:
            content = _content(self.path)
            if content != self._content:
                self._entries = _parsed(content, self.path)
                logger.warning("The readers changed: %s.", self)
            self._content = content
        except ConfigurationError as error:
            if self._content is not None:
                logger.error("Every reader is refused: %s", error)
            self._content, self._entries = None, ()


def add_reader(path: Path, name: str, principals: Sequence[str], *, admin: bool = False) -> str:
    """Make a token, and add its hash to a file of readers, which is made where it is missing.

    Args:
        path: the file.
        name: the reader's, unique in the file.
        principals: what the reader is, such as `role:support`.
        admin: whether the reader sees all, whatever `access` says.

    Returns:
        The token, which is kept nowhere.

    Raises:
        ConfigurationError: the name is taken or no name, nobody is named, or the file cannot be
            read or written.
    """
    token = _PREFIX + secrets.token_urlsafe(32)
    entry: dict[str, object] = {"name": name, "sha256": _hash(token)}
    if admin and principals:
        raise ConfigurationError("An admin sees all: name no principals beside it.")
    if admin:
        entry["admin"] = True
    else:
        entry["principals"] = list(principals)
    before = _content(path).decode() if path.exists() else _HEADER
    known = _parsed(before.encode(), path)
    if name in {each.reader.name for each in known}:
        raise ConfigurationError(
            f"{path} has a reader named {name!r} already: give another name, or take that entry "
            "out first."
        )
    text = before.rstrip("\n") + "\n" + yaml.safe_dump([entry], sort_keys=False)
    # Checked as it will be read: also that what stood there lets an entry follow.
    if len(_parsed(text.encode(), path)) != len(known) + 1:
        raise ConfigurationError(f"{path} takes no further entry: write it as a list with dashes.")
    _replace(path.resolve(), text)
    return token


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST_FILE + 1)
    except OSError as error:
        raise ConfigurationError(
            f"The file of readers {path} cannot be read ({error.strerror}): `headrace mcp token` "
            "makes one, HEADRACE_READERS or --readers names it."
        ) from error
    if len(content) > _LONGEST_FILE:
        raise ConfigurationError(f"The file of readers {path} is larger than 1 MB.")
    return content


def _parsed(content: bytes, path: Path) -> tuple[_Entry, ...]:
    try:
        listed = yaml.safe_load(content.decode())
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ConfigurationError(
            f"The file of readers {path} is no YAML ({' '.join(str(error).split())})."
        ) from error
    if listed is None:
        return ()
    if not isinstance(listed, list):
        raise ConfigurationError(f"The file of readers {path} is no list of readers.")
    entries = tuple(
        _entry(values, f"{path}, reader {number}") for number, values in enumerate(listed, start=1)
    )
    for what, values in (
        ("name", [entry.reader.name for entry in entries]),
        ("sha256", [entry.sha256 for entry in entries]),
    ):
        if len(set(values)) != len(values):
            raise ConfigurationError(f"The file of readers {path} has a {what} twice.")
    return entries


def _entry(values: object, where: str) -> _Entry:
    if not isinstance(values, dict) or not values.keys() <= _KEYS:
        raise ConfigurationError(f"{where}: give name, sha256, and principals or admin.")
    name, sha256 = values.get("name"), values.get("sha256")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{where}: the name is {name!r:.80}: give 1 to 80 letters, digits, spaces or _.@+-."
        )
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise ConfigurationError(
            f"{where} ({name}): sha256 is no SHA-256 of a token: 64 of 0-9 and a-f, in quotation "
            "marks."
        )
    return _Entry(sha256, Reader(name, _principals(values, f"{where} ({name})")))


def _principals(values: dict[str, object], where: str) -> Principals:
    admin, principals = values.get("admin", False), values.get("principals")
    if type(admin) is not bool or (admin and principals is not None):
        raise ConfigurationError(
            f"{where}: write `admin: true` and no principals, or principals and no admin."
        )
    if admin:
        return Principals.admin()
    # Nobody in particular is written too, as `principals: [everyone]`: what is left out is a slip.
    if not isinstance(principals, list) or not principals:
        raise ConfigurationError(
            f"{where}: principals is no list, such as [role:support], or is empty; [everyone] is "
            "for a reader of what everyone may read."
        )
    try:
        return Principals.of(*principals)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from error


def _replace(path: Path, text: str) -> None:
    """Write a file whole: a server reads the old one or the new one. A new one is its owner's."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            part = Path(file.name)
            file.write(text)
        try:
            part.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o600)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"The file of readers {path} cannot be written ({error.strerror})."
        ) from error
