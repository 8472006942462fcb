"""From ranks by meaning and by words to the answers: fusion, demotion, one text once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Sequence
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
        vector_weight, text_weight: what the best by meaning and by words count; 0 leaves it out.
        depth: how many each leg gives to the fusion at least.
        expansion_weight: what the question counts in the other words of its terms, of its own.
        reranked: how many of the best a reranker reads.
    """

    vector_weight: float = 1.0
    text_weight: float = 0.6
    depth: int = 100
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
        if min(self.depth, self.reranked) < 1:
            raise ConfigurationError("A ranking has a depth of 1 or more.")


class By(str, Enum):
    """What a leg looks at."""

    MEANING = "meaning"
    WORDS = "words"


# A best score below this is none to measure others by: where all texts are unlike the question, the
# least unlike must not stand before the one that has its words.
_LEAST = {By.MEANING: 0.3, By.WORDS: 1e-6}


@dataclass(frozen=True)
class Leg:
    """What one search found, best first.

    Attributes:
        by: what it looked at.
        weight: what its best counts.
        rows: ids of what it found, in the version that it searched.
        scores: of each; the cosine, or BM25.
        is_whole: whether it found all there is, and would have gone on otherwise.
    """

    by: By
    weight: float
    rows: Sequence[int]
    scores: Sequence[float]
    is_whole: bool

    def shares(self) -> list[float]:
        """What each is worth: how far it is above what was not found, as a share of the best.

        What a search that went on would have found next is worth as much as its last. Where it
        found all there is, that is nothing: a text without a word of the question has a BM25 of 0.
        """
        if not self.scores:
            return []
        floor = 0.0 if self.is_whole else self.scores[-1]
        best = max(self.scores[0], _LEAST[self.by])
        return [max(score - floor, 0.0) / best for score in self.scores]


@dataclass
class Candidate:
    """What may be an answer.

    Attributes:
        row: the id of the chunk's row.
        score: the fused one.
        ranks: its best rank in each kind of search, from 1.
        is_definition: whether it stands first because it defines the metric that is asked for.
    """

    row: int
    score: float = 0.0
    ranks: dict[By, int] = field(default_factory=dict)
    is_definition: bool = False


def fuse(legs: Iterable[Leg], demoted: Container[int] = ()) -> list[Candidate]:
    """The chunks of all legs, best first.

    A chunk's score is the sum over the legs of weight times share (a convex combination of scores:
    Bruch, Gai and Ingber, TOIS 2023); what is demoted has half of it.
    """
    found: dict[int, Candidate] = {}
    for leg in legs:
        for rank, (row, share) in enumerate(zip(leg.rows, leg.shares(), strict=True), start=1):
            candidate = found.setdefault(row, Candidate(row))
            candidate.score += leg.weight * share
            candidate.ranks[leg.by] = min(rank, candidate.ranks.get(leg.by, rank))
    for candidate in found.values():
        if candidate.row in demoted:
            candidate.score *= DEMOTED
    return sorted(found.values(), key=lambda candidate: (-candidate.score, candidate.row))


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
        numbers = tuple(
            sorted(word for word in words if not word.isalpha() and any(map(str.isdigit, word)))
        )
        runs = zip(*(words[at:] for at in range(_SHINGLE)), strict=False)
        shingles = frozenset(runs) or frozenset([tuple(words)])
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
