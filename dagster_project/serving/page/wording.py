"""Numbers and moments as a person reads them."""

from __future__ import annotations

from datetime import datetime, timezone
from urllib.parse import urlsplit

_DAY = 86_400
# Each from its second one on: 47 hours, then 2 days.
_UNITS = (
    ("year", 365 * _DAY),
    ("month", 30 * _DAY),
    ("day", _DAY),
    ("hour", 3_600),
    ("minute", 60),
)


def moment(at: datetime | None) -> str:
    """A moment, to the second; `unknown` for None."""
    return "unknown" if at is None else f"{at.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"


def day(at: datetime) -> str:
    """The day of a moment."""
    return f"{at.astimezone(timezone.utc):%Y-%m-%d}"


def span(seconds: float) -> str:
    """A length of time: `38 ms`, `1.4 s`, `12 s`, `3 minutes`, `2 years`."""
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    for unit, size in _UNITS:
        if seconds >= 2 * size:
            return f"{int(seconds // size):,} {unit}s"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


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
