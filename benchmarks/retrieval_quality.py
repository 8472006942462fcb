"""How good the search is: nDCG@10 on Cranfield through the whole pipeline.

A document stands at the place of its best chunk. All judged pairs count as relevant, read as
binary. Choices are made on every second question and reported on the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from chunk_retrieval import read_cranfield
from retrieval_corpus import built, cranfield_pages, fresh, page_name, rows_of
from retrieval_peer import Peer, Way, as_text
from rich.table import Table

from dagster_project.core.build import Headrace
from dagster_project.core.evals.measures import measured
from dagster_project.core.evals.ranking import Ranked
from dagster_project.core.retrieval import Filters, Principals, Ranking, Retriever
from dagster_project.core.retrieval.ranking import By, Leg, fuse
from dagster_project.core.warehouse import GoldQuestion

SOURCE = "cranfield"
TOKENS = (256, 128)
# Chunks a question, so that ten documents are among them.
CHUNKS = 50
CONSTANTS = (10, 20, 60)
TEXT_WEIGHTS = (0.25, 0.5, 0.75, 1.0, 1.5)
DEPTHS = (50, 100, 200)
PEERS = (
    Way("pgvector and ts_rank_cd, any word", 200, any_word=True),
    Way("pgvector and ts_rank_cd, all words", 200, any_word=False),
)
Say = Callable[[str], None]


@dataclass(frozen=True)
class Cranfield:
    """The questions with what answers them, as a gold set."""

    questions: list[GoldQuestion]

    @classmethod
    def read(cls) -> Cranfield:
        """All 225."""
        _, texts, relevant = read_cranfield()
        return cls(
            [
                GoldQuestion(
                    gold_set=SOURCE,
                    question_id=str(number),
                    question=text.strip(),
                    doc_type="",
                    answers=tuple(f"{SOURCE}:{page_name(each)}" for each in relevant[number]),
                    helps=(),
                    facts=(),
                    must_not=(),
                )
                for number, text in enumerate(texts)
            ]
        )

    def scores(self, found: Iterable[Sequence[str]]) -> list[float]:
        """nDCG@10 of each question, from the documents of its chunks, best first."""
        ranked = [
            (question, [Ranked(document_id, "", "") for document_id in documents])
            for question, documents in zip(self.questions, found, strict=True)
        ]
        return [answer.ndcg_at_10 or 0.0 for answer in measured("", 0, ranked)]


def figures(scores: Sequence[float]) -> dict[str, float]:
    """The mean over all questions, over those that choices are made on, and over the others."""
    parts = {"all": scores, "chosen_on": scores[::2], "others": scores[1::2]}
    return {name: round(sum(part) / len(part), 4) for name, part in parts.items()}


def quality(server: str, folder: Path, tokens: int, say: Say) -> dict[str, Any]:
    """nDCG@10 of both searches, of their fusion and of the peer's.

    Args:
        server: URL of the Postgres that dbt and the peer work on.
        folder: where the pipeline's home goes.
        tokens: that a chunk has at most.
        say: told of every step.
    """
    gold = Cranfield.read()
    headrace = built(server, folder / f"{SOURCE}_{tokens}", SOURCE, cranfield_pages(), tokens)
    rows: list[dict[str, Any]] = []

    def note(name: str, values: dict[str, float]) -> None:
        rows.append({"search": name} | values)
        say(str(rows[-1]))

    for name, ranking in {
        "by meaning": Ranking(text_weight=0),
        "by words": Ranking(vector_weight=0),
        "both": Ranking(),
    }.items():
        note(name, figures(gold.scores(_documents(headrace, gold, ranking))))
    note("both, near copies left in", figures(gold.scores(_with_copies(headrace, gold))))
    tried = _tried(headrace, gold)
    for kind in ("scores", "ranks", "ranks, constant 60, words count 1,"):
        fitting = [each for each in tried if each["fusion"].startswith(kind)]
        best = max(fitting, key=lambda each: each["chosen_on"])
        name = f"best of {len(fitting)}: {best['fusion']}"
        note(name, {part: value for part, value in best.items() if part != "fusion"})
    peer = Peer(fresh(server, "quality"))
    rows_there = rows_of(headrace)
    peer.add(rows_there)
    peer.index()
    peer.set_beam(400, Filters())
    for way in PEERS:
        note(way.name, figures(gold.scores(_of_peer(peer, headrace, gold, way))))
    return {"chunks": rows_there.num_rows, "rows": rows, "tried": tried}


def _documents(headrace: Headrace, gold: Cranfield, ranking: Ranking) -> list[list[str]]:
    retriever = Retriever(headrace, Principals.admin(), ranking=ranking)
    return [
        [hit.document_id for hit in retriever.search(question.question, CHUNKS)]
        for question in gold.questions
    ]


def _with_copies(headrace: Headrace, gold: Cranfield) -> list[list[str]]:
    """As set, but with what is left out as nearly the same put back behind its better."""
    retriever = Retriever(headrace, Principals.admin())
    return [
        [
            document_id
            for hit in retriever.search(question.question, CHUNKS)
            for document_id in (hit.document_id, *hit.also_in)
        ]
        for question in gold.questions
    ]


@dataclass(frozen=True)
class Found:
    """What both searches found for a question, best first: ids of rows with their scores."""

    meaning: list[tuple[int, float]]
    words: list[tuple[int, float]]

    def fused(self, ranking: Ranking) -> list[int]:
        """As the product does it."""
        legs = []
        for by, weight, rows in (
            (By.MEANING, ranking.vector_weight, self.meaning),
            (By.WORDS, ranking.text_weight, self.words),
        ):
            some = rows[: ranking.depth]
            ids, scores = [row[0] for row in some], [row[1] for row in some]
            legs.append(Leg(by, weight, ids, scores, len(some) < ranking.depth))
        return [candidate.row for candidate in fuse(legs)]

    def by_ranks(self, constant: float, text_weight: float) -> list[int]:
        """By reciprocal ranks (Cormack, Clarke and Büttcher, SIGIR 2009)."""
        scores: dict[int, float] = defaultdict(float)
        for weight, rows in ((1.0, self.meaning), (text_weight, self.words)):
            for rank, (row, _) in enumerate(rows, start=1):
                scores[row] += weight / (constant + rank)
        return sorted(scores, key=lambda row: (-scores[row], row))


def _tried(headrace: Headrace, gold: Cranfield) -> list[dict[str, Any]]:
    """What each way to fuse is worth, by its name; the weights are those of the words."""
    snapshot = Retriever(headrace, Principals.admin())._opened.current()
    model = headrace.model(headrace.settings.model)
    texts = [question.question for question in gold.questions]
    depth, columns = max(DEPTHS), ["document_id"]
    owners: dict[int, str] = {}
    found = []
    for text, vector in zip(texts, model.embed(texts).vectors, strict=True):
        near = snapshot.by_meaning(vector, [], columns, depth)
        said = snapshot.by_words(text, (), 1.0, [], columns, depth)
        owners |= {row["_rowid"]: row["document_id"] for row in (*near, *said)}
        found.append(
            Found(
                [(row["_rowid"], 1 - row["_distance"]) for row in near],
                [(row["_rowid"], row["_score"]) for row in said],
            )
        )

    def worth(ids: Iterable[Sequence[int]]) -> dict[str, float]:
        return figures(gold.scores([[owners[each] for each in some[:CHUNKS]] for some in ids]))

    tried: list[dict[str, Any]] = []
    for weight, depth in product(TEXT_WEIGHTS, DEPTHS):
        ranking = Ranking(text_weight=weight, depth=depth)
        name = f"scores, words count {weight:g}, {depth} deep"
        tried.append({"fusion": name} | worth(each.fused(ranking) for each in found))
    for constant, weight in product(CONSTANTS, TEXT_WEIGHTS):
        name = f"ranks, constant {constant:g}, words count {weight:g}, {max(DEPTHS)} deep"
        tried.append({"fusion": name} | worth(each.by_ranks(constant, weight) for each in found))
    return tried


def _of_peer(peer: Peer, headrace: Headrace, gold: Cranfield, way: Way) -> list[list[str]]:
    texts = [question.question for question in gold.questions]
    vectors = as_text(headrace.model(headrace.settings.model).embed(texts).vectors)
    ask: Callable[[int], Any] = peer.asks(way, texts, vectors, Principals.of(), Filters(), CHUNKS)
    return [[row[1] for row in ask(number)] for number in range(len(texts))]


def quality_table(tokens: int, found: dict[str, Any]) -> Table:
    """What `quality` measured, to be printed."""
    table = Table(
        title=f"Cranfield, nDCG@10 by best chunk of at most {tokens} tokens",
        caption="Choices were made on every second question. Over whole documents, the notes of "
        "the test data give .513 by meaning, .523 by words, .567 for both.",
    )
    for column in ("search", "all 225", "chosen on 113", "the other 112"):
        table.add_column(column)
    for row in found["rows"]:
        values = (f"{row[part]:.3f}" for part in ("all", "chosen_on", "others"))
        table.add_row(row["search"], *values)
    return table
