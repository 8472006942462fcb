"""Names of people, companies and places, put together from the vocabulary in ``words.yml``."""

from __future__ import annotations

import random
from functools import lru_cache

from dagster_project.demo.wording import words


def full_name(rng: random.Random) -> str:
    """A person's name: a given name and a surname of two syllables that is nobody's."""
    vocabulary = words()
    head, tail = rng.choice(vocabulary["surname_heads"]), rng.choice(vocabulary["surname_tails"])
    return f"{rng.choice(vocabulary['first_names'])} {head}{tail}"


def company_name(rng: random.Random, industry: str) -> str:
    """A company's name, with an ending that suits ``industry``."""
    vocabulary = words()
    head, tail = rng.choice(vocabulary["company_heads"]), rng.choice(vocabulary["company_tails"])
    return f"{head}{tail} {rng.choice(vocabulary['industries'][industry]['suffixes'])}"


@lru_cache(maxsize=4096)
def sites_of(customer_id: int) -> tuple[str, ...]:
    """The places of a customer, always the same ones: three to nine."""
    rng = random.Random(f"sites/{customer_id}")
    return tuple(rng.sample(words()["sites"], rng.randint(3, 9)))


def weighted(rng: random.Random, weights: dict[str, int]) -> str:
    """One of the keys, by its weight."""
    return rng.choices(list(weights), list(weights.values()))[0]
