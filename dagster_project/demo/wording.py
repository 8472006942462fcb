"""The text library: scenarios and turns of phrase kept in YAML, and their little template language.

``<a|b|c>`` is a choice, and may hold others; ``{slot}`` is a fact. A fact is drawn once for each
ticket, so that a thread keeps to its own site, names and numbers.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from dagster_project.core.errors import ConfigurationError

HERE = Path(__file__).resolve().parent
_CHOICE = re.compile(r"<([^<>]*\|[^<>]*)>")
_SLOT = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


@dataclass(frozen=True)
class Exchange:
    """A question of the agent's and what the customer answers."""

    ask: str
    answer: str


@dataclass(frozen=True)
class Scenario:
    """One problem that customers have, told as templates.

    Attributes:
        name: unique name, for error messages.
        product_area: the part of the product, which is also the name of the file.
        priority: what most tickets of this kind are given.
        facts: slots of this scenario alone: a list to choose from, or ``low..high`` for a number.
        subjects: subject lines.
        descriptions: the first message, by the voice it is written in.
        exchanges: questions and answers on the way to the cause.
        fixes: the agent's message with cause and remedy.
        outcomes: the customer's last word.
        bots: what self-service answers instead of an agent.
        notes: internal notes, not public.
    """

    name: str
    product_area: str
    priority: str
    facts: Mapping[str, tuple[str, ...]]
    subjects: tuple[str, ...]
    descriptions: Mapping[str, str]
    exchanges: tuple[Exchange, ...]
    fixes: tuple[str, ...]
    outcomes: tuple[str, ...]
    bots: tuple[str, ...]
    notes: tuple[str, ...]


def render(template: str, rng: random.Random, facts: Mapping[str, str]) -> str:
    """Make the choices of ``template`` with ``rng`` (innermost first) and fill in its facts.

    Raises:
        KeyError: the template names a slot that ``facts`` does not hold.
    """
    found = 1
    while found:
        template, found = _CHOICE.subn(lambda match: rng.choice(match[1].split("|")), template)
    return _SLOT.sub(lambda match: facts[match[1]], template)


def draw(options: tuple[str, ...], rng: random.Random, facts: Mapping[str, str]) -> str:
    """One fact out of its options; ``3..40`` stands for a whole number in that range."""
    option = rng.choice(options)
    if span := _RANGE.fullmatch(option):
        return str(rng.randint(int(span[1]), int(span[2])))
    return render(option, rng, facts)


@cache
def words() -> dict[str, Any]:
    """The vocabulary in ``words.yml``."""
    return _mapping(HERE / "words.yml")


@cache
def frames() -> dict[str, Any]:
    """The turns of phrase in ``frames.yml``."""
    return _mapping(HERE / "frames.yml")


@cache
def extras(product_area: str, kind: str) -> tuple[str, ...]:
    """What somebody may add to a turn of ``kind`` in a ticket about ``product_area``."""
    content = _mapping(HERE / "extras.yml")
    return tuple(content["any"].get(kind, ())) + tuple(content[product_area].get(kind, ()))


@cache
def scenarios() -> tuple[Scenario, ...]:
    """Every support scenario, in the order of file name and place in the file.

    Raises:
        ConfigurationError: a scenario lacks a part, or two share a name.
    """
    found: dict[str, Scenario] = {}
    for path in sorted((HERE / "scenarios").glob("*.yml")):
        entries = _load(path)
        if not isinstance(entries, list):
            raise ConfigurationError(f"{path} must hold a list of scenarios.")
        for number, entry in enumerate(entries, start=1):
            try:
                scenario = _scenario(path.stem, entry)
            except (KeyError, TypeError, AttributeError) as error:
                raise ConfigurationError(
                    f"{path}, scenario {number}: {error!r}; give it every part that Scenario lists."
                ) from error
            if scenario.name in found:
                raise ConfigurationError(
                    f"{path}: the name {scenario.name!r} is taken; rename one of the two."
                )
            found[scenario.name] = scenario
    return tuple(found.values())


def _scenario(product_area: str, entry: dict[str, Any]) -> Scenario:
    return Scenario(
        name=entry["name"],
        product_area=product_area,
        priority=entry.get("priority", "normal"),
        facts={slot: _texts(options) for slot, options in entry.get("facts", {}).items()},
        subjects=_texts(entry["subjects"]),
        descriptions={voice: text.strip() for voice, text in entry["descriptions"].items()},
        exchanges=tuple(
            Exchange(e["ask"].strip(), e["answer"].strip()) for e in entry["exchanges"]
        ),
        fixes=_texts(entry["fixes"]),
        outcomes=_texts(entry["outcomes"]),
        bots=_texts(entry["bots"]),
        notes=_texts(entry.get("notes", [])),
    )


def _texts(options: object) -> tuple[str, ...]:
    several = options if isinstance(options, list) else [options]
    return tuple(str(option).strip() for option in several)


@cache
def _mapping(path: Path) -> dict[str, Any]:
    content = _load(path)
    if not isinstance(content, dict):
        raise ConfigurationError(
            f"{path} must hold a mapping: restore the file that the package came with."
        )
    return content


def _load(path: Path) -> object:
    try:
        content: object = yaml.load(
            path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        )
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error}): restore the file that the package came with."
        ) from error
    return content
