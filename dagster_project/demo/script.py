"""What will be said in a ticket, from first message to last.

A script is a pure function of the requester, the company and the moment the ticket was opened. So
the generator can write the part of a thread that has happened by now, and the mutator, which sees
only rows, can come back later and say the next thing that fits.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cache

from dagster_project.demo.people import full_name, sites_of
from dagster_project.demo.wording import Scenario, draw, extras, frames, render, scenarios, words

_PRIORITIES = ("low", "normal", "high", "urgent")
# How often somebody adds a fact, by kind of turn; the chance is taken twice for a first message.
_EXTRAS = {"description": 0.6, "ask": 0.38, "answer": 0.6, "fix": 0.7, "outcome": 0.4}
_VOICES = ("terse", "polite", "rambling", "technical", "angry")
_VOICE_WEIGHTS = (24, 30, 20, 16, 10)


@dataclass(frozen=True)
class Requester:
    """Who writes, and for which company.

    Attributes:
        user_id: the person; decides the voice.
        full_name: given name and surname.
        email: address, as in the users table.
        customer_id: the company; decides its sites.
        company_name: as in the customers table.
        industry: a key of ``industries`` in ``words.yml``.
        seats: seats of the subscription, which customers like to mention.
    """

    user_id: int
    full_name: str
    email: str
    customer_id: int
    company_name: str
    industry: str
    seats: int


@dataclass(frozen=True)
class Turn:
    """One comment: who speaks, whether the customer sees it, and what it says."""

    author_kind: str
    author_name: str
    is_public: bool
    body: str


@dataclass(frozen=True)
class Script:
    """A ticket as it would go if everybody answered.

    Attributes:
        product_area: the part of the product it is about.
        subject: subject line.
        description: first message.
        priority: as triaged.
        agent: who takes it.
        turns: the comments to come, in order.
        deflection: what the bot says where it answers instead of ``turns``.
        facts: the slots of this ticket, for anything added later.
    """

    product_area: str
    subject: str
    description: str
    priority: str
    agent: str
    turns: tuple[Turn, ...]
    deflection: Turn
    facts: dict[str, str]


def write_script(requester: Requester, opened_at: datetime) -> Script:
    """The script of the ticket that ``requester`` opened at ``opened_at``.

    The same arguments always give the same script.

    Args:
        requester: who writes.
        opened_at: when, with time zone.
    """
    instant = opened_at.astimezone(timezone.utc).isoformat()
    rng = random.Random(f"{requester.customer_id}/{requester.user_id}/{instant}")
    scenario = rng.choice(scenarios())
    # The voice belongs to the person, not to the ticket, as far as the scenario has that voice.
    voice = random.Random(f"voice/{requester.user_id}").choices(_VOICES, _VOICE_WEIGHTS)[0]
    if voice not in scenario.descriptions:
        voice = rng.choice(sorted(scenario.descriptions))
    agent = rng.choice(words()["agents"])
    facts = _facts(rng, requester, opened_at, agent)
    for slot, options in scenario.facts.items():
        facts[slot] = draw(options, rng, facts)
    pen = _Pen(rng, scenario.product_area, voice, facts)
    return Script(
        product_area=scenario.product_area,
        subject=render(rng.choice(scenario.subjects), rng, facts),
        description=pen.write("description", scenario.descriptions[voice]),
        priority=_priority(rng, scenario.priority, voice),
        agent=agent,
        turns=tuple(
            Turn(
                author_kind="customer" if kind in ("answer", "outcome") else "agent",
                author_name=requester.full_name if kind in ("answer", "outcome") else agent,
                is_public=kind != "note",
                body=pen.write(kind, template),
            )
            for kind, template in _plot(rng, scenario)
        ),
        deflection=Turn("bot", words()["bot"], True, pen.write("bot", rng.choice(scenario.bots))),
        facts=facts,
    )


class _Pen:
    """Puts a scenario's text into the words of one ticket, and says nothing twice in it."""

    def __init__(
        self, rng: random.Random, product_area: str, voice: str, facts: dict[str, str]
    ) -> None:
        self._rng = rng
        self._product_area = product_area
        self._voice = voice
        self._facts = facts
        self._used: set[str] = set()

    def write(self, kind: str, template: str) -> str:
        """The body of a turn of ``kind``: framed, now and then with a fact added."""
        if kind == "description":
            added = [self._extra("context") for _ in range(2) if self._wants_more(kind)]
            template = "\n\n".join(part for part in (template, " ".join(added)) if part)
        elif self._wants_more(kind):
            template += " " + self._extra(kind)
        options = frames()[kind]
        frame = self._fresh(options[self._voice] if isinstance(options, dict) else options)
        body = render(frame.replace("{core}", template), self._rng, self._facts)
        return body[0].upper() + body[1:]

    def _wants_more(self, kind: str) -> bool:
        return self._rng.random() < _EXTRAS.get(kind, 0.0)

    def _extra(self, kind: str) -> str:
        return self._fresh(extras(self._product_area, kind))

    def _fresh(self, options: Sequence[str]) -> str:
        unused = [option for option in options if option not in self._used or option == "{core}"]
        choice = self._rng.choice(unused or options)
        self._used.add(choice)
        return choice


def _plot(rng: random.Random, scenario: Scenario) -> list[tuple[str, str]]:
    """Which kinds of turn there will be, with their templates: (kind, template) in order."""
    plot: list[tuple[str, str]] = []
    wanted = min(rng.choices((0, 1, 2), (10, 46, 44))[0], len(scenario.exchanges))
    for exchange in rng.sample(scenario.exchanges, wanted):
        plot += [("ask", exchange.ask), ("answer", exchange.answer)]
    if rng.random() < 0.145:
        general = rng.choice(extras(scenario.product_area, "note"))
        plot.append(("note", rng.choice([*scenario.notes, general])))
    plot.append(("fix", rng.choice(scenario.fixes)))
    if rng.random() < 0.78:
        plot.append(("outcome", rng.choice([*scenario.outcomes, rng.choice(frames()["thanks"])])))
    return plot


def _priority(rng: random.Random, usual: str, voice: str) -> str:
    place = (
        _PRIORITIES.index(usual)
        + rng.choices((-1, 0, 1), (12, 76, 12 if voice != "angry" else 60))[0]
    )
    return _PRIORITIES[max(0, min(place, len(_PRIORITIES) - 1))]


@cache
def _tenant(company_name: str) -> str:
    return "-".join(word for word in company_name.lower().split() if word.isalpha())


def _facts(
    rng: random.Random, requester: Requester, opened_at: datetime, agent: str
) -> dict[str, str]:
    """The slots that every template may use, in the YAML files too, by these names."""
    vocabulary, industry = words(), words()["industries"][requester.industry]
    site, site2 = rng.sample(sites_of(requester.customer_id), 2)
    role, role2 = rng.sample(industry["roles"], 2)
    employee, employee2, manager = full_name(rng), full_name(rng), full_name(rng)
    happened = opened_at - timedelta(days=rng.randint(1, 8))
    monday = happened - timedelta(days=happened.weekday() + 7)
    sunday = monday + timedelta(days=rng.choice((6, 13)))
    before = opened_at - timedelta(days=rng.randint(9, 45))
    soon = opened_at + timedelta(days=rng.randint(1, 9))
    payroll = rng.choice(vocabulary["payrolls"])
    return {
        "company": requester.company_name,
        "tenant": _tenant(requester.company_name),
        "requester": requester.full_name.split()[0],
        "requester_name": requester.full_name,
        "requester_email": requester.email,
        "seats": str(requester.seats),
        "place": industry["place"],
        "site": site,
        "site2": site2,
        "role": role,
        "role2": role2,
        "employee": employee,
        "employee_first": employee.split()[0],
        "employee_email": employee.lower().replace(" ", ".")
        + "@"
        + requester.email.partition("@")[2],
        "employee2": employee2,
        "employee2_first": employee2.split()[0],
        "manager": manager,
        "manager_first": manager.split()[0],
        "agent": agent.split()[0],
        "device": rng.choice(vocabulary["phones"]),
        "tablet": rng.choice(vocabulary["tablets"]),
        "browser": rng.choice(vocabulary["browsers"]),
        "version": _web_release(opened_at, quarters_on=-1),
        "next_version": _web_release(opened_at, quarters_on=0),
        "app": _app_release(opened_at) + f".{rng.randint(0, 3)}",
        "payroll": payroll,
        "date": _day(happened),
        "date2": _day(before),
        "soon": _day(soon),
        "weekday": happened.strftime("%A"),
        "month": (opened_at.replace(day=1) - timedelta(days=1)).strftime("%B"),
        "period": f"{_day(monday)} to {_day(sunday)}",
        "stamp": happened.strftime("%Y-%m-%d")
        + f"T{rng.randint(4, 21):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}Z",
        "time": f"{rng.randint(5, 12):02}:{rng.randint(0, 59):02}",
        "time2": f"{rng.randint(13, 22):02}:{rng.randint(0, 59):02}",
        "minutes": str(rng.randint(4, 55)),
        "hours": f"{rng.randint(12, 46)}.{rng.choice((25, 5, 75))}",
        "n": str(rng.randint(2, 9)),
        "count": str(rng.randint(11, 64)),
        "headcount": str(rng.randint(14, 90)),
        "big": str(rng.randint(120, 4800)),
        "amount": f"${rng.randint(180, 6900):,}.{rng.randint(0, 99):02}",
        "phone": f"+1 555 01{rng.randint(0, 99):02}",
        "it_partner": rng.choice(vocabulary["it_partners"]),
        "renewal": (opened_at + timedelta(days=rng.randint(40, 200))).strftime("%B"),
        "ref": f"req_{rng.getrandbits(40):010x}",
    }


def _web_release(moment: datetime, quarters_on: int) -> str:
    """The web app has a release a quarter, such as 2026.3; -1 is in use, 0 is to come."""
    quarter = moment.year * 4 + (moment.month - 1) // 3 + quarters_on
    return f"{quarter // 4}.{quarter % 4 + 1}"


def _app_release(moment: datetime) -> str:
    """The phone app has a release every four months; 6.4 came in October 2026."""
    tenths = 64 + (moment.year * 12 + moment.month - (2026 * 12 + 10)) // 4
    return f"{tenths // 10}.{tenths % 10}"


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment.strftime('%B')}"
