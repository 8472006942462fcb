"""What a check is and what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dagster_project.core.build import Headrace

# Rows that a finding shows of each kind.
SAMPLES = 5


class Status(StrEnum):
    """What a check says. ERROR is that it could not run, which says nothing of the data."""

    PASS = "pass"  # noqa: S105 - no password
    WARN = "warn"
    FAIL = "fail"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        status: what it says.
        reason: in a line, what is or is not as it should be.
        figures: what it measured, by name.
        samples: some of the rows that are not as they should be.
        remedy: what to do, where it depends on what was found.
    """

    status: Status
    reason: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    samples: Sequence[Mapping[str, Any]] = ()
    remedy: str = ""


@dataclass(frozen=True)
class Check:
    """A check of our own.

    Attributes:
        name: its name, as Dagster and the command line have it.
        asset: the asset that it is about: its group and its name.
        blocks: whether a version that it fails is kept from readers.
        description: what it flags and why that hurts.
        remedy: what to do when it fails.
        look: looks at all there is.
    """

    name: str
    asset: str
    blocks: bool
    description: str
    remedy: str
    look: Callable[[Headrace], Finding]

    def remedy_for(self, found: Finding) -> str:
        """What to do about a finding; nothing where it is as it should be."""
        return "" if found.status is Status.PASS else found.remedy or self.remedy


@dataclass(frozen=True)
class Outcome:
    """A check that ran, of ours or of dbt's; the attributes are those of `Check` and `Finding`."""

    name: str
    asset: str
    status: Status
    reason: str
    remedy: str
    seconds: float
    samples: Sequence[Mapping[str, Any]] = ()
