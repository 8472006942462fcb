"""From ranks by meaning and by words to the answers: fusion, demotion, one text once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from dagster_project.core.errors import ConfigurationError

# What a chunk of a demoted document keeps of its score: it stands behind what ranks as well.
DEMOTED = 0.5
# Words of a shingle, and the share of their shingles that two texts have in common at least to be
# nearly the same (Broder, SEQUENCES 1997).
_SHINGLE = 3
_SAME = 0.9
_WORDS = re.compile(r"\w+")


@dataclass(frozen=True)
class Ranking:
    """How answers are ordered.

    Attributes:
        vector_weight, text_weight: what a rank by meaning and one by words count; 0 leaves it out.
        constant: of the fusion: the larger, the less the first ranks stand out.
        depth: ranks that each leg gives to the fusion at least.
        expansion_weight: what the question counts in the other words of its terms, of its own.
        reranked: how many of the best a reranker reads.
    """

    vector_weight: float = 1.0
    text_weight: float = 1.0
    constant: float = 60.0
    depth: int = 200
    expansion_weight: float = 0.75
    reranked: int = 50

    def __post_init__(self) -> None:
        """Refuse what orders nothing.

        Raises:
            ConfigurationError: a weight is negative, or all are 0, or a count is below 1.
        """
        weights = (self.vector_weight, self.text_weight, self.expansion_weight)
        if min(weights) < 0 or self.vector_weight + self.text_weight == 0:
            raise ConfigurationError(
                "A ranking needs a weight above 0 for vectors or for texts, and none below 0: see "
                "HEADRACE_VECTOR_WEIGHT and HEADRACE_TEXT_WEIGHT."
            )
        if self.constant < 0 or min(self.depth, self.reranked) < 1:
            raise ConfigurationError("A ranking has a depth of 1 or more and no negative constant.")


class By(str, Enum):
    """What a leg looks at."""

    MEANING = "meaning"
    WORDS = "words"


@dataclass(frozen=True)
class Leg:
    """Chunks in the order of one search, best first, and what a rank in it counts."""

    by: By
    weight: float
    chunk_ids: Sequence[str]


@dataclass
class Candidate:
    """A chunk with its fused score and its best ranks, from 1."""

    chunk_id: str
    score: float = 0.0
    ranks: dict[By, int] = field(default_factory=dict)


def fuse(legs: Iterable[Leg], constant: float, demoted: Iterable[str] = ()) -> list[Candidate]:
    """The chunks of all legs, best first.

    A chunk's score is the sum over the legs of weight / (constant + rank), ranks from 1 (reciprocal
    rank fusion: Cormack, Clarke and Büttcher, SIGIR 2009); what is demoted has half of it.
    """
    found: dict[str, Candidate] = {}
    for leg in legs:
        for rank, chunk_id in enumerate(leg.chunk_ids, start=1):
            candidate = found.setdefault(chunk_id, Candidate(chunk_id))
            candidate.score += leg.weight / (constant + rank)
            candidate.ranks[leg.by] = min(rank, candidate.ranks.get(leg.by, rank))
    for chunk_id in demoted:
        if chunk_id in found:
            found[chunk_id].score *= DEMOTED
    return sorted(found.values(), key=lambda candidate: (-candidate.score, candidate.chunk_id))


class Shelf:
    """Takes texts in their order, and says of each whether it is wanted.

    It is not where its document has given its share, or where a text before it says nearly the
    same: the shingles of both agree to nine tenths, and all of their numbers, since two that differ
    in a number say something else.
    """

    def __init__(self, per_document: int | None = None) -> None:
        """Take how many texts a document may give; all of them, unless said."""
        self._per_document = per_document
        self._given: Counter[str] = Counter()
        # Texts can only be nearly the same where they have the same numbers.
        self._kept: dict[tuple[str, ...], list[tuple[str, frozenset[tuple[str, ...]]]]] = {}
        self.twins: dict[str, list[str]] = {}

    def takes(self, chunk_id: str, document_id: str, text: str) -> bool:
        """Whether a text is wanted; what is nearly the same as one before is noted as its twin."""
        words = _WORDS.findall(text.lower())
        numbers = tuple(sorted(word for word in words if any(map(str.isdigit, word))))
        shingles = frozenset(
            tuple(words[at : at + _SHINGLE]) for at in range(max(len(words) - _SHINGLE + 1, 1))
        )
        for kept, others in self._kept.get(numbers, ()):
            if _overlap(shingles, others) >= _SAME:
                self.twins.setdefault(kept, []).append(document_id)
                return False
        if self._per_document is not None and self._given[document_id] >= self._per_document:
            return False
        self._given[document_id] += 1
        self._kept.setdefault(numbers, []).append((chunk_id, shingles))
        return True


def _overlap(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> float:
    """The Jaccard index of two sets that are not empty."""
    if min(len(one), len(other)) < _SAME * max(len(one), len(other)):
        return 0.0
    common = len(one & other)
    return common / (len(one) + len(other) - common)
