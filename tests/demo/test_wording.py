from __future__ import annotations

import random
import re
from collections import Counter
from datetime import datetime, timedelta, timezone

import pytest

from dagster_project.demo.rewording import change_number, put_note
from dagster_project.demo.script import Requester, write_script
from dagster_project.demo.wording import draw, extras, frames, render, scenarios

OPENED = datetime(2026, 11, 3, 9, 30, tzinfo=timezone.utc)
WHO = Requester(
    5, "Ilse Dalworth", "ilse@fernbridge.example", 3, "Fernbridge Physio", "clinics", 42
)
VOICES = {"terse", "angry", "polite", "rambling", "technical"}
AREAS = {
    "scheduling",
    "time-tracking",
    "payroll-export",
    "mobile-app",
    "integrations",
    "billing",
    "permissions",
    "reporting",
    "notifications",
    "api",
}
LEFT_OVER = re.compile(r"\{[a-z][a-z0-9_]*\}|<[^<>|]*\|[^<>]*>")


def test_there_are_enough_scenarios_and_each_is_complete() -> None:
    found = scenarios()
    assert len(found) >= 90
    assert {scenario.product_area for scenario in found} == AREAS
    assert min(Counter(scenario.product_area for scenario in found).values()) >= 9
    for scenario in found:
        assert len(set(scenario.subjects)) >= 3, scenario.name
        assert len(scenario.descriptions) >= 3, scenario.name
        assert scenario.descriptions.keys() <= VOICES, scenario.name
        assert len(scenario.exchanges) >= 2 and len(scenario.fixes) >= 2, scenario.name
        assert scenario.outcomes and scenario.bots, scenario.name


def test_every_template_has_all_its_facts() -> None:
    rng = random.Random(0)
    usual = write_script(WHO, OPENED).facts
    for scenario in scenarios():
        facts = dict(usual)
        for slot, options in scenario.facts.items():
            facts[slot] = draw(options, rng, facts)
        templates = [
            *scenario.subjects,
            *scenario.descriptions.values(),
            *(text for each in scenario.exchanges for text in (each.ask, each.answer)),
            *scenario.fixes,
            *scenario.outcomes,
            *scenario.bots,
            *scenario.notes,
        ]
        for template in templates:
            assert not LEFT_OVER.search(render(template, rng, facts)), (scenario.name, template)


def test_every_frame_and_extra_has_all_its_facts() -> None:
    rng = random.Random(0)
    facts = write_script(WHO, OPENED).facts | {"core": "text"}
    templates = [
        template
        for kind in frames().values()
        for template in (kind if isinstance(kind, list) else sum(kind.values(), []))
    ]
    kinds = ("context", "ask", "answer", "fix", "outcome", "note")
    templates += [text for area in AREAS for kind in kinds for text in extras(area, kind)]
    assert len(templates) > 150
    for template in templates:
        assert not LEFT_OVER.search(render(template, rng, facts)), template


def test_choices_may_hold_choices() -> None:
    found = {render("<a|b<c|d>>{x}", random.Random(seed), {"x": "!"}) for seed in range(40)}
    assert found == {"a!", "bc!", "bd!"}


def test_a_slot_without_a_fact_is_an_error() -> None:
    with pytest.raises(KeyError, match="nowhere"):
        render("at {nowhere}", random.Random(0), {})


def test_a_range_draws_a_number_in_it() -> None:
    drawn = {int(draw(("3..5",), random.Random(seed), {})) for seed in range(60)}
    assert drawn == {3, 4, 5}


def test_a_script_is_a_function_of_who_and_when() -> None:
    elsewhere = OPENED.astimezone(timezone(timedelta(hours=-5)))
    assert write_script(WHO, elsewhere) == write_script(WHO, OPENED)
    assert write_script(WHO, OPENED.replace(microsecond=1)) != write_script(WHO, OPENED)


def test_a_script_says_nothing_twice() -> None:
    for second in range(60):
        script = write_script(WHO, OPENED.replace(second=second))
        sentences = Counter(
            sentence
            for turn in script.turns
            for sentence in re.split(r"(?<=[.?!])\s+", turn.body)
            if len(sentence) > 60
        )
        assert max(sentences.values(), default=1) == 1, sentences.most_common(1)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("Wait 15 minutes and try again.", "15"),
        ("Up to 25 people, or 3 kiosks, can be added.", "25 3"),
    ],
)
def test_one_number_of_the_prose_changes(text: str, numbers: str) -> None:
    for seed in range(30):
        changed = change_number(text, random.Random(seed))
        assert changed is not None
        before, after = re.findall(r"\d+", text), re.findall(r"\d+", changed)
        assert before == numbers.split()
        assert sum(old != new for old, new in zip(before, after, strict=True)) == 1
        assert re.sub(r"\d+", "", changed) == re.sub(r"\d+", "", text)


@pytest.mark.parametrize(
    "text",
    [
        "Error TW-3014 came up.",
        "On 2026-11-03 at 07:42, release 2026.3, $12 and v2.",
        "```\nretry 15 times\n```",
        "| plan | 15 seats |",
        "## Step 2 of 3 here",
        "1. first\n2. second",
        "Nothing to count.",
    ],
)
def test_codes_dates_and_tables_are_left_alone(text: str) -> None:
    for seed in range(20):
        assert change_number(text, random.Random(seed)) is None


def test_notes_do_not_pile_up() -> None:
    body = "Intro.\n\n## One\n\nText.\n\n## Two\n\nMore.\n"
    rng = random.Random(0)
    for number in range(200):
        body = put_note(body, f"**Note:** number {number}.", rng)
    assert body.count("**Note:**") == 3
    assert [line for line in body.splitlines() if line.startswith("#")] == ["## One", "## Two"]
    assert "number 199." in body
