"""The text of a Slack message as Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.S)
_REFERENCE = re.compile(r"<([^<>|\n]+)(?:\|([^<>\n]*))?>")
_BOLD = re.compile(r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])")
_STRUCK = re.compile(r"(?<![\w~])~(?=\S)([^~\n]+?)(?<=\S)~(?![\w~])")
_BULLET = re.compile(r"^([ \t]*)[•◦▪]\s*", re.M)
_HEADING = re.compile(r"^(#{1,6}[ \t])", re.M)


@dataclass(frozen=True)
class Names:
    """The names of users and channels, by id."""

    users: Mapping[str, str]
    channels: Mapping[str, str]

    def user(self, key: str) -> str:
        """A user's name; the id of one who is not known."""
        return self.users.get(key, key)


def to_markdown(text: str, names: Names) -> str:
    """Mentions and links by name, emphasis as Markdown writes it; code stays as it is."""
    parts = _CODE.split(text)
    made = [_code(part) if number % 2 else _prose(part, names) for number, part in enumerate(parts)]
    return "".join(made).strip()


def _code(text: str) -> str:
    text = _unescaped(_REFERENCE.sub(lambda found: found.group(2) or found.group(1), text))
    if not text.startswith("```"):
        return text
    code = text[3:-3].strip("\n")
    return f"\n```\n{code}\n```\n"


def _prose(text: str, names: Names) -> str:
    text = _BOLD.sub(r"**\1**", text)
    text = _STRUCK.sub(r"~~\1~~", text)
    text = _BULLET.sub(r"\1- ", text)
    # Slack has no headings: a line that begins so is no section.
    text = _HEADING.sub(r"\\\1", text)
    # A fence that nothing closes would take the messages after it for code.
    text = text.replace("```", "'''")
    return _unescaped(_REFERENCE.sub(lambda found: _reference(found, names), text))


def _reference(found: re.Match[str], names: Names) -> str:
    target, label = found.group(1), found.group(2)
    if target.startswith("@"):
        return "@" + names.users.get(target[1:], label or target[1:])
    if target.startswith("#"):
        return "#" + (label or names.channels.get(target[1:], target[1:]))
    if target.startswith("!"):
        if label:
            return label
        return "@" + target[1:].split("^")[0]
    target = target.removeprefix("mailto:")
    return f"[{label}]({target})" if label and label != target else target


def _unescaped(text: str) -> str:
    # Slack escapes these three and no others.
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
