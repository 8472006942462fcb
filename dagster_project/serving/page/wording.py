"""Numbers and moments as a person reads them."""

from __future__ import annotations

from datetime import datetime, timezone
from urllib.parse import urlsplit

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def moment(at: datetime | None) -> str:
    """A moment, to the second; `unknown` for None."""
    return "unknown" if at is None else f"{at.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"


def day(at: datetime) -> str:
    """The day of a moment."""
    return f"{at.astimezone(timezone.utc):%Y-%m-%d}"


def span(seconds: float) -> str:
    """A length of time in its largest unit: `3 minutes`, and below ten seconds `0.4 s`."""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s"
    for unit, size in _UNITS:
        if seconds >= size:
            number = int(seconds // size)
            return f"{number:,} {unit}{'' if number == 1 else 's'}"
    return f"{seconds:.1f} s"


def age(at: datetime | None, now: datetime | None = None) -> str:
    """How long ago a moment was."""
    if at is None:
        return "never"
    seconds = ((now or datetime.now(timezone.utc)) - at).total_seconds()
    return "just now" if seconds < 1 else f"{span(seconds)} ago"


def plural(number: int, one: str, many: str = "") -> str:
    """A number and what is counted: `1 chunk`, `2 chunks`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def score(value: float) -> str:
    """A score with three digits that count."""
    return f"{value:.3g}" if value >= 1 else f"{value:.4f}".removeprefix("0")


def web_link(url: str | None) -> str:
    """A url where a person may follow it; empty for any other scheme, such as javascript:."""
    try:
        scheme = urlsplit(url or "").scheme
    except ValueError:
        return ""
    return url or "" if scheme in {"http", "https"} else ""
