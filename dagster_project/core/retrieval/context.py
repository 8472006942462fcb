"""The context of a question: the best passages, cited, within a budget."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from dagster_project.core.errors import ConfigurationError
from dagster_project.core.metrics import MetricValue
from dagster_project.core.retrieval.hit import Hit
from dagster_project.core.retrieval.pages import pages_in_words

# Where a text may be cut: after a sentence or a line; where none of those fits, after a word.
_SENTENCES = re.compile(r"(?<=[.!?…。！？])\s+|\n+")
_WORDS = re.compile(r"\s+")
_CUT = " …"
# Characters at least that two chunks share where the second repeats the end of the first.
_OVERLAP = 20


@dataclass(frozen=True)
class Budget:
    """What a pack's text may have; what is None is not counted.

    Attributes:
        words: between white space.
        tokens: as `count_tokens` counts them.
        count_tokens: the tokens of a text.
    """

    words: int | None
    tokens: int | None
    count_tokens: Callable[[str], int]

    def __post_init__(self) -> None:
        """Refuse a budget that nothing fits.

        Raises:
            ConfigurationError: a number is below 1.
        """
        for name, number in (("budget_words", self.words), ("budget_tokens", self.tokens)):
            if number is not None and number < 1:
                raise ConfigurationError(f"{name} is {number}: give 1 or more.")

    def holds(self, text: str) -> bool:
        """Whether a text is within it."""
        if self.words is not None and len(text.split()) > self.words:
            return False
        return self.tokens is None or self.count_tokens(text) <= self.tokens


@dataclass(frozen=True)
class Passage:
    """Chunks of a document that follow one another.

    Attributes:
        text: theirs, without headers.
        sections: the headings that they are under, without the document's title.
        score: the best of theirs.
        pages: the first and the last page, where the document has pages.
        source_updated_at: when the newest row of the document changed, UTC.
        dbt_invocation_ids: the dbt runs that made the text.
        is_cut: whether the budget ended within the text.
    """

    document_id: str
    doc_type: str
    title: str
    sections: tuple[str, ...]
    text: str
    score: float
    pages: tuple[int, int] | None
    url: str | None
    lifecycle_state: str
    source_updated_at: datetime
    dbt_invocation_ids: tuple[str, ...]
    chunk_ids: tuple[str, ...]
    is_cut: bool = False

    @property
    def citation(self) -> str:
        """Where it stands, in two lines."""
        sections = "; ".join(filter(None, self.sections))
        changed = f"changed {self.source_updated_at:%Y-%m-%d %H:%M}"
        where = [self.document_id, pages_in_words(self.pages), changed, self.url]
        return (
            " > ".join(filter(None, [self.title, sections])) + "\n" + ", ".join(filter(None, where))
        )


@dataclass(frozen=True)
class ContextPack:
    """What a model is given to answer a question from.

    Attributes:
        query: the question.
        passages: the best first.
        value: the value of the metric that it asks for.
        words, tokens: of `text`; tokens are counted where the budget is in tokens.
    """

    query: str
    passages: tuple[Passage, ...]
    value: MetricValue | None
    words: int
    tokens: int | None

    @property
    def text(self) -> str:
        """The whole of it, numbered and cited; its budget is this text's."""
        return _rendered(self.passages, self.value)


def pack(
    query: str, hits: Sequence[Hit], budget: Budget, value: MetricValue | None = None
) -> ContextPack:
    """The best hits that a budget holds, those that follow one another in a document joined.

    The first that does not fit is cut after a sentence, and nothing comes after it.

    Args:
        query: the question.
        hits: what answers it, best first.
        budget: what the text may have, citations included.
        value: the value of the metric that it asks for; left out where it does not fit.
    """
    if value is not None and not budget.holds(_rendered((), value)):
        value = None
    chosen: list[Hit] = []
    cut: str | None = None

    def holds(more: Hit, *, is_cut: bool = False) -> bool:
        passages = _passages([*chosen, more], more.chunk_id if is_cut else None)
        return budget.holds(_rendered(passages, value))

    for hit in hits:
        if holds(hit):
            chosen.append(hit)
            continue
        shorter = _shortened(hit, lambda less: holds(less, is_cut=True), by_words=not chosen)
        if shorter is not None:
            chosen.append(shorter)
            cut = shorter.chunk_id
            break
    passages = _passages(chosen, cut)
    text = _rendered(passages, value)
    return ContextPack(
        query=query,
        passages=passages,
        value=value,
        words=len(text.split()),
        tokens=None if budget.tokens is None else budget.count_tokens(text),
    )


def _shortened(hit: Hit, holds: Callable[[Hit], bool], *, by_words: bool) -> Hit | None:
    """A hit with the longest beginning of its text that fits, or None."""
    for places in [_SENTENCES, *([_WORDS] if by_words else [])]:
        ends = [match.start() for match in places.finditer(hit.text) if match.start()]
        low, high = 0, len(ends)
        while low < high:
            middle = (low + high + 1) // 2
            if holds(replace(hit, text=hit.text[: ends[middle - 1]] + _CUT)):
                low = middle
            else:
                high = middle - 1
        if low:
            return replace(hit, text=hit.text[: ends[low - 1]] + _CUT)
    return None


def _passages(hits: Sequence[Hit], cut: str | None) -> tuple[Passage, ...]:
    """The hits as passages, best first; `cut` is the chunk whose end is missing."""
    by_place = {(hit.document_id, hit.chunk_index): hit for hit in hits}
    passages: dict[tuple[str, int], list[Hit]] = {}
    for document_id, index in sorted(by_place):
        hit, before = by_place[document_id, index], by_place.get((document_id, index - 1))
        if before is None or before.chunk_id == cut:
            passages[document_id, index] = run = []
        run.append(hit)
    rank = {hit.chunk_id: place for place, hit in enumerate(hits)}
    ordered = sorted(passages.values(), key=lambda run: min(rank[hit.chunk_id] for hit in run))
    return tuple(_passage(run, cut) for run in ordered)


def _passage(run: Sequence[Hit], cut: str | None) -> Passage:
    first = run[0]
    pages = [hit.pages for hit in run if hit.pages is not None]
    return Passage(
        document_id=first.document_id,
        doc_type=first.doc_type,
        title=first.title,
        sections=tuple(dict.fromkeys(hit.section for hit in run)),
        text=joined(hit.text for hit in run),
        score=max(hit.score for hit in run),
        pages=(min(pages)[0], max(page for _, page in pages)) if len(pages) == len(run) else None,
        url=first.url,
        lifecycle_state=first.lifecycle_state,
        source_updated_at=first.source_updated_at,
        dbt_invocation_ids=tuple(dict.fromkeys(hit.dbt_invocation_id for hit in run)),
        chunk_ids=tuple(hit.chunk_id for hit in run),
        is_cut=run[-1].chunk_id == cut,
    )


def joined(texts: Iterable[str]) -> str:
    """Texts that follow one another; what one repeats of the end of the text before is left out."""
    whole = ""
    for text in texts:
        repeated = next(
            (
                size
                for size in range(min(len(whole), len(text)), _OVERLAP - 1, -1)
                if whole.endswith(text[:size])
            ),
            0,
        )
        whole = whole + text[repeated:] if repeated else "\n\n".join(filter(None, [whole, text]))
    return whole


def _rendered(passages: Sequence[Passage], value: MetricValue | None) -> str:
    blocks = [] if value is None else [str(value)]
    for number, passage in enumerate(passages, start=1):
        blocks.append(f"[{number}] {passage.citation}\n\n{passage.text}")
    return "\n\n".join(blocks)
