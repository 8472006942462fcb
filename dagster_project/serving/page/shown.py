"""What the page shows of a search: hits with the part that each leg had in them, and the budget."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dagster_project.core.retrieval import ContextPack, Hit, Overview, Ranking
from dagster_project.serving.page.address import Address
from dagster_project.serving.page.marking import Block, Marker, Piece

BOTH, MEANING, WORDS, NEITHER = "both", "meaning", "words", "neither"
# A bar is drawn in a box this wide; its width is an attribute of SVG, since no style is inline.
BAR = 100.0
# Of a bar that says that there is one.
_THINNEST = 0.04


@dataclass(frozen=True)
class LegBar:
    """A leg's part in a hit.

    Attributes:
        name: meaning or words.
        rank: from 1; None where this leg did not find it.
        width: the longer the nearer to the first rank, by the rank's logarithm: 0 to BAR.
    """

    name: str
    rank: int | None
    width: float


@dataclass(frozen=True)
class Fact:
    """A fact of a document, and the address that narrows to it; empty where none can."""

    name: str
    value: str
    url: str


@dataclass(frozen=True)
class ShownHit:
    """A hit as the page shows it.

    Attributes:
        title, section, blocks: title, headings and text with what was asked for marked.
        found_by: BOTH, MEANING, WORDS, or NEITHER: a definition that was put first.
        legs: both legs.
        width: its score, of the best one's: 0 to BAR.
        facts: its document's.
        is_defined: whether it is the definition of the metric that is asked for.
    """

    hit: Hit
    title: list[Piece]
    section: list[Piece]
    blocks: list[Block]
    found_by: str
    legs: tuple[LegBar, LegBar]
    width: float
    facts: tuple[Fact, ...]
    is_defined: bool


@dataclass(frozen=True)
class Summary:
    """What the legs found, in all: hits by BOTH, MEANING, WORDS and NEITHER."""

    hits: int
    documents: int
    by: Counter[str]
    twins: int

    @classmethod
    def of(cls, hits: Sequence[ShownHit]) -> Summary:
        """The summary of the hits of a search."""
        return cls(
            hits=len(hits),
            documents=len({one.hit.document_id for one in hits}),
            by=Counter(one.found_by for one in hits),
            twins=sum(len(one.hit.also_in) for one in hits),
        )


def show(
    hits: Sequence[Hit],
    ranking: Ranking,
    marker: Marker,
    address: Address,
    definition: str | None,
) -> list[ShownHit]:
    """The hits of a search as the page shows them.

    Args:
        hits: best first.
        ranking: how they were fused.
        marker: what was asked for.
        address: the page's.
        definition: the chunk that defines the metric that is asked for.
    """
    best = max((hit.score for hit in hits), default=0.0)
    return [
        ShownHit(
            hit=hit,
            title=marker.pieces(hit.title or hit.document_id),
            section=marker.pieces(hit.section),
            blocks=marker.blocks(hit.text),
            found_by=_found_by(hit),
            legs=(
                _leg(MEANING, hit.vector_rank, ranking.depth),
                _leg(WORDS, hit.text_rank, ranking.depth),
            ),
            width=BAR * hit.score / best if best > 0 else 0.0,
            facts=facts_of(hit.payload, address),
            is_defined=hit.chunk_id == definition,
        )
        for hit in hits
    ]


def _found_by(hit: Hit) -> str:
    if hit.vector_rank is None:
        return NEITHER if hit.text_rank is None else WORDS
    return MEANING if hit.text_rank is None else BOTH


def _leg(name: str, rank: int | None, depth: int) -> LegBar:
    if rank is None:
        return LegBar(name, None, 0.0)
    # Ranks count in the fusion as 1 / (60 + rank), which no eye tells apart.
    return LegBar(name, rank, BAR * max(1 - math.log(rank) / math.log(max(depth, 2)), _THINNEST))


def facts_of(payload: Mapping[str, Any], address: Address) -> tuple[Fact, ...]:
    """The facts of a document; a list or an object cannot be narrowed to."""
    found = []
    for name, value in payload.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        is_one = value is None or isinstance(value, (str, int, float, bool))
        wanted = f"{name}={json.dumps(value, ensure_ascii=False)}"
        url = address.adding("payload", wanted).url() if is_one and "=" not in name else ""
        found.append(Fact(name, text, url))
    return tuple(found)


@dataclass(frozen=True)
class Choice:
    """A value that a filter may have.

    Attributes:
        documents: of it that the reader may read; None where it is not among them.
        is_chosen: whether the search is narrowed to it.
    """

    value: str
    documents: int | None
    is_chosen: bool


def choices(overview: Overview | None, address: Address) -> dict[str, list[Choice]]:
    """The values of the filters that are chosen from a list, as far as the reader may read them."""
    known = {
        "doc_type": overview.doc_types if overview else {},
        "source": overview.source_names if overview else {},
        "state": overview.lifecycle_states if overview else {},
    }
    return {
        name: [
            *(Choice(value, count, value in address.all(name)) for value, count in counts.items()),
            *(Choice(value, None, True) for value in address.all(name) if value not in counts),
        ]
        for name, counts in known.items()
    }


@dataclass(frozen=True)
class Share:
    """A passage's part of a budget, in a box that is BAR wide.

    Attributes:
        number: the passage's in the pack, from 1.
        words: of its text.
    """

    number: int
    words: int
    start: float
    width: float


def shares(pack: ContextPack, budget_words: int | None) -> list[Share]:
    """The passages of a pack, one after the other; citations and value are what is left."""
    whole = max(budget_words or pack.words, pack.words, 1)
    found: list[Share] = []
    at = 0.0
    for number, passage in enumerate(pack.passages, start=1):
        words = len(passage.text.split())
        width = BAR * words / whole
        found.append(Share(number, words, at, width))
        at += width
    return found
