"""Suites of expectations as files that a person edits: the package's, or the project's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from dagster_project.core.errors import ConfigurationError
from dagster_project.core.settings import PACKAGE_PROJECT

MODELS = ("rag__documents", "rag__chunks")
_FOLDER = "expectations"
_KEYS = {"type", "kwargs", "description", "severity", "remedy"}


class Severity(StrEnum):
    """Whether an expectation that fails keeps readers on their version, or is only said."""

    ERROR = "error"
    WARN = "warn"


@dataclass(frozen=True)
class Expectation:
    """An entry of a suite.

    Attributes:
        type: the expectation's name in Great Expectations.
        kwargs: its arguments there.
        description: what must hold, in words.
        severity: what it means when it fails.
        remedy: what to do then.
        place: the file and the entry, for messages.
    """

    type: str
    kwargs: Mapping[str, Any]
    description: str
    severity: Severity
    remedy: str
    place: str


@dataclass(frozen=True)
class Suite:
    """What must hold of a model.

    Attributes:
        model: the model's name.
        expectations: in the order of the file.
    """

    model: str
    expectations: tuple[Expectation, ...]


def read_suite(model: str, project: Path) -> Suite:
    """The suite of a model: of the folder `expectations` of a dbt project, else of the package.

    Raises:
        ConfigurationError: a file or an entry is not as it must be; says which, and what is known.
    """
    _refuse_other_names(project / _FOLDER)
    file = next(
        path
        for folder in (project, PACKAGE_PROJECT)
        if (path := folder / _FOLDER / f"{model}.yml").is_file()
    )
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"{file} is no YAML: {reason}") from error
    entries = content.get("expectations") if isinstance(content, dict) else None
    if not isinstance(entries, list) or set(content) != {"expectations"}:
        raise ConfigurationError(f"{file} must have one key, expectations, with a list of entries.")
    return Suite(
        model,
        tuple(
            _expectation(entry, f"{file}, entry {number}")
            for number, entry in enumerate(entries, 1)
        ),
    )


def _refuse_other_names(folder: Path) -> None:
    """An override under a name that is nobody's would be passed over in silence."""
    known = [f"{model}.yml" for model in MODELS]
    for path in sorted(folder.glob("rag__*")):
        if path.name not in known:
            raise ConfigurationError(f"{path} is no suite: name it {' or '.join(known)}.")


def _expectation(entry: object, place: str) -> Expectation:
    if not isinstance(entry, dict) or set(entry) != _KEYS:
        keys = set(map(str, entry)) if isinstance(entry, dict) else set()
        unknown, missing = sorted(keys - _KEYS), sorted(_KEYS - keys)
        raise ConfigurationError(
            f"{place} must have exactly the keys {', '.join(sorted(_KEYS))}"
            + (f"; it has {', '.join(unknown)}" if unknown else "")
            + (f"; it lacks {', '.join(missing)}" if missing else "")
            + "."
        )
    if entry["severity"] not in set(Severity):
        raise ConfigurationError(
            f"{place}: severity is {entry['severity']!r}: give one of {', '.join(Severity)}."
        )
    if not isinstance(entry["kwargs"], dict):
        raise ConfigurationError(f"{place}: kwargs must be the expectation's arguments by name.")
    return Expectation(
        type=str(entry["type"]),
        kwargs=entry["kwargs"],
        description=str(entry["description"]),
        severity=Severity(entry["severity"]),
        remedy=str(entry["remedy"]),
        place=place,
    )
