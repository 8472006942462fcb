"""Product documentation and company policies: the Markdown files in ``documents/`` as rows."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, datetime, time, timezone
from pathlib import Path
from typing import Any, TypeVar

import yaml

from dagster_project.core.errors import ConfigurationError
from dagster_project.demo.rows import Policy, ProductDoc
from dagster_project.demo.wording import HERE

_Row = TypeVar("_Row", ProductDoc, Policy)


def load_documents(now: datetime) -> tuple[list[ProductDoc], list[Policy]]:
    """Every product document and policy, by id; none of them changed after ``now``.

    What is in force was reviewed in time, whenever the company is made: its review is the first one
    that is still ahead. A version that has a newer one keeps the date that it missed.

    Raises:
        ConfigurationError: a file has no front matter, lacks a key or has one too many.
    """
    docs = [
        _reviewed(_row(ProductDoc, path, "published_on", now), now)
        for path in _files("product_docs")
    ]
    policies = [_row(Policy, path, "version_date", now) for path in _files("policies")]
    newest = {
        policy.policy_family: policy
        for policy in sorted(policies, key=lambda policy: policy.version_date)
    }
    policies = [
        _reviewed(policy, now) if policy is newest[policy.policy_family] else policy
        for policy in policies
    ]
    return (
        sorted(docs, key=lambda doc: doc.doc_id),
        sorted(policies, key=lambda policy: policy.policy_id),
    )


def _reviewed(row: _Row, now: datetime) -> _Row:
    day = row.review_by
    while day is not None and day < now.date():
        day = day.replace(year=day.year + 1)
    return row._replace(review_by=day)


def _files(folder: str) -> Iterator[Path]:
    yield from sorted((HERE / "documents" / folder).glob("*.md"))


def _row(table: type[_Row], path: Path, written_on: str, now: datetime) -> _Row:
    keys, body = _read(path)
    fields = set(table._fields) - {"body", "updated_at"}
    if keys.keys() != fields:
        raise ConfigurationError(
            f"{path}: the front matter must have exactly the keys {', '.join(sorted(fields))}; "
            f"different are {', '.join(sorted(keys.keys() ^ fields))}."
        )
    return table(**keys, body=body, updated_at=min(_office_hour(path.stem, keys[written_on]), now))


def _read(path: Path) -> tuple[dict[str, Any], str]:
    parts = path.read_text(encoding="utf-8").split("---\n", 2)
    keys = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0] else None
    if not isinstance(keys, dict):
        raise ConfigurationError(f"{path} must begin with front matter between two lines of ---.")
    return keys, parts[2].strip() + "\n"


def _office_hour(name: str, day: date) -> datetime:
    """A moment of that day when somebody might have pressed Save, the same for the same file."""
    rng = random.Random(name)
    at = time(rng.randint(8, 16), rng.randint(0, 59), rng.randint(0, 59))
    return datetime.combine(day, at, timezone.utc)
