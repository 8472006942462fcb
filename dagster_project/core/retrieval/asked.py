"""A question to one version of the index, from both searches to the hits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagster_project.core.embedding import Embedder
from dagster_project.core.retrieval.filters import Filters
from dagster_project.core.retrieval.glossary import Expansion
from dagster_project.core.retrieval.hit import COLUMNS, Hit
from dagster_project.core.retrieval.opened import Snapshot
from dagster_project.core.retrieval.pages import pages_of
from dagster_project.core.retrieval.principals import Principals
from dagster_project.core.retrieval.ranking import (
    DEMOTED,
    By,
    Candidate,
    Leg,
    Ranking,
    Shelf,
    fuse,
)
from dagster_project.core.retrieval.rerank import Reranker

_COLUMNS = (*COLUMNS, "access")
# What a search that found too little looks through next, of what it did; and where it ends, since
# copies and a share of each document may leave out almost all there is.
_DEEPER = 4
_DEEPEST = 10_000
_SPARE = 10
Row = dict[str, Any]
Search = Callable[[int], list[Row]]


@dataclass(frozen=True)
class Asked:
    """A question to one version, in a reader's name.

    Attributes:
        query: what is asked.
        principals: the reader's.
        filters, conditions: what it is narrowed to, the reader's principals among the conditions.
        expansion: the same in the words of the glossary.
        snapshot: the version.
        model: its embedding model.
        ranking, reranker: how answers are ordered.
    """

    query: str
    principals: Principals
    filters: Filters
    conditions: list[str]
    expansion: Expansion
    snapshot: Snapshot
    model: Embedder
    ranking: Ranking
    reranker: Reranker | None

    def best(self, k: int, per_document: int | None) -> list[Hit]:
        """The `k` best, one text once; fewer only where the first 10,000 of a leg have no more."""
        depth = max(self.ranking.depth, k)
        while True:
            candidates, is_all = self._candidates(depth)
            if self.reranker is not None:
                candidates = self._reranked(candidates, self.reranker)
            shelf = Shelf(per_document)
            chosen = self._chosen(candidates, shelf, k)
            if len(chosen) == k or is_all or depth >= _DEEPEST:
                return self._hits(chosen, shelf)
            depth *= _DEEPER

    def _chosen(
        self, candidates: Sequence[Candidate], shelf: Shelf, k: int
    ) -> list[tuple[Candidate, Row]]:
        chosen: list[tuple[Candidate, Row]] = []
        # Some are left out: a page holds a few more than are wanted, since rows cost little beside
        # another page.
        start, size = 0, k + _SPARE
        while start < len(candidates) and len(chosen) < k:
            page = candidates[start : start + size]
            start, size = start + size, size * 2
            rows = self._rows(page)
            for candidate in page:
                if (row := rows.get(candidate.row)) is None:
                    continue
                text = row["chunk_text"][row["header_length"] :]
                if len(chosen) < k and shelf.takes(row["chunk_id"], row["document_id"], text):
                    chosen.append((candidate, row))
        return chosen

    def _hits(self, chosen: Sequence[tuple[Candidate, Row]], shelf: Shelf) -> list[Hit]:
        pages = pages_of(self.snapshot.table, [row for _, row in chosen])
        return [
            Hit.of(
                row,
                score=candidate.score,
                vector_rank=candidate.ranks.get(By.MEANING),
                text_rank=candidate.ranks.get(By.WORDS),
                pages=pages.get(row["chunk_id"]),
                also_in=tuple(
                    sorted({*shelf.twins.get(row["chunk_id"], ())} - {row["document_id"]})
                ),
            )
            for candidate, row in chosen
        ]

    def _rows(self, candidates: Sequence[Candidate]) -> dict[int, Row]:
        """The rows of candidates; `access` is asked once more, whatever a search found."""
        found = self.snapshot.taken([candidate.row for candidate in candidates], _COLUMNS)
        return {key: row for key, row in found.items() if self.principals.may_read(row["access"])}

    def _candidates(self, depth: int) -> tuple[list[Candidate], bool]:
        """What the legs find, fused, and whether that is all that the reader may find.

        The definition of a metric that is asked for is the first.
        """
        legs: list[Leg] = []
        for by, weight, search in self._legs():
            rows, is_whole = self._deep_enough(search, depth)
            scores = [_score(by, row) for row in rows]
            legs.append(Leg(by, weight, [row["_rowid"] for row in rows], scores, is_whole))
        candidates = fuse(legs, self.snapshot.demoted)
        return self._with_definition(candidates), all(leg.is_whole for leg in legs)

    def _legs(self) -> list[tuple[By, float, Search]]:
        """The searches, each by how many rows it is to find, and what a rank in it counts."""
        ranking, asked = self.ranking, self.expansion
        legs: list[tuple[By, float, Search]] = []
        if ranking.vector_weight:
            questions = {self.query: ranking.vector_weight}
            if ranking.expansion_weight:
                weight = ranking.vector_weight * ranking.expansion_weight
                questions.setdefault(asked.text, weight)
            vectors = self.model.embed(list(questions)).vectors
            for vector, weight in zip(vectors, questions.values(), strict=True):
                legs.append((By.MEANING, weight, self._by_meaning(vector)))
        if ranking.text_weight:
            names = asked.names if ranking.expansion_weight else ()
            legs.append((By.WORDS, ranking.text_weight, self._by_words(names)))
        return legs

    def _by_meaning(self, vector: NDArray[np.float32]) -> Search:
        return lambda limit: self.snapshot.by_meaning(vector, self.conditions, self._columns, limit)

    def _by_words(self, names: Sequence[str]) -> Search:
        weight = self.ranking.expansion_weight
        return lambda limit: self.snapshot.by_words(
            self.query, names, weight, self.conditions, self._columns, limit
        )

    @property
    def _columns(self) -> list[str]:
        """What a leg reads of a row beside its id and score: each row costs a look."""
        return ["payload"] if self.filters.payload else []

    def _deep_enough(self, search: Search, depth: int) -> tuple[list[Row], bool]:
        """The first rows of a leg, up to a depth, of those whose payload is asked for.

        The index cannot ask for all of a payload, so a leg goes on until it has found as many as if
        it could, or all there are: then the second value is true, and no more would come.
        """
        limit = depth
        while True:
            rows = search(limit)
            fitting = [row for row in rows if self._fits(row)]
            if len(fitting) >= depth or len(rows) < limit:
                return fitting[:depth], len(rows) < limit and len(fitting) <= depth
            limit *= _DEEPER

    def _fits(self, row: Row) -> bool:
        """Whether a row's payload is one that is asked for."""
        return not self.filters.payload or self.filters.holds_for(row["payload"])

    def _with_definition(self, candidates: list[Candidate]) -> list[Candidate]:
        """The same, with the definition of the metric that is asked for before all others."""
        metric = self.expansion.metric
        if metric is None:
            return candidates
        row = self.snapshot.row_of(metric.chunk_id, self.conditions)
        if row is None or not self._fits(self.snapshot.taken([row], ["payload"])[row]):
            return candidates
        others = {candidate.row: candidate for candidate in candidates}
        first = others.pop(row, Candidate(row))
        first.is_definition = True
        first.score = max([first.score, *(candidate.score for candidate in others.values())])
        return [first, *others.values()]

    def _reranked(self, candidates: list[Candidate], reranker: Reranker) -> list[Candidate]:
        """The candidates with the best in the order of a reranker; the rest behind, at 0.

        A definition that was put first stays there, and what is demoted has half of its score.
        """
        defined = [candidate for candidate in candidates[:1] if candidate.is_definition]
        read = candidates[len(defined) : self.ranking.reranked]
        rest = candidates[len(defined) + len(read) :]
        rows = self._rows(read)
        read = [candidate for candidate in read if candidate.row in rows]
        texts = [rows[candidate.row]["chunk_text"] for candidate in read]
        for candidate, score in zip(read, reranker.scores(self.query, texts), strict=True):
            is_demoted = rows[candidate.row]["is_demoted"]
            candidate.score = score * (DEMOTED if is_demoted else 1.0)
        read.sort(key=lambda candidate: (-candidate.score, candidate.row))
        for candidate in defined:
            candidate.score = 1.0
        for candidate in rest:
            candidate.score = 0.0
        return [*defined, *read, *rest]


def _score(by: By, row: Row) -> float:
    """How good a search found a row: its cosine, or its BM25."""
    return 1.0 - row["_distance"] if by is By.MEANING else float(row["_score"])
