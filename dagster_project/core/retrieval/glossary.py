"""The glossary at search time: a question asks for its terms by their other names too.

The terms are those of `rag__glossary`, read from its documents in the index: who searches needs no
warehouse, and finds the terms that its principals may read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagster_project.core.index import is_one_of
from dagster_project.core.retrieval.principals import Principals

if TYPE_CHECKING:
    from dagster_project.core.retrieval.opened import Snapshot

DOC_TYPE = "glossary"
# What the package's model of the glossary writes; a document of another source governs nothing.
_SOURCE = "dbt"
_COLUMNS = ("chunk_id", "document_id", "title", "chunk_index", "payload", "access")
_WORDS = re.compile(r"[^\W_]+")
# Other names that a question is asked by at most.
_MOST_NAMES = 24


def _words(text: str) -> tuple[str, ...]:
    """The words of a text as names are compared: in small letters, and one as many."""
    return tuple(
        word.lower().removesuffix("s") if len(word) > 3 else word.lower()
        for word in _WORDS.findall(text)
    )


# A question that has no other words than these and the name of a metric asks for the metric.
_ASKING = frozenset(
    _words(
        """
        a about all an and are at between calculate calculated compute computed current
        currently day define defined definition describe did do does explain figure for from get
        give had has have high how i in is it know kpi last latest low many me mean meaning
        measure measured metric month monthly much my now number of on our past please previous
        quarter s say see show since tell that the their there this today total us value was we
        week what whats which year yearly you your
        """
    )
)
# What follows one of these is what the metric is split by.
_SPLITTING = frozenset(_words("by per across"))


@dataclass(frozen=True)
class Term:
    """A term of the glossary.

    Attributes:
        name: what it is called first.
        synonyms: what else it is called.
        definition: what it means; empty where the dbt project does not say.
        kind: what defines it: metric, semantic model, model or column.
        metric: the metric's name in MetricFlow, where it is one.
        document_id, chunk_id: where it stands in the index.
        access: who may read it.
    """

    name: str
    synonyms: tuple[str, ...]
    definition: str
    kind: str
    metric: str | None
    document_id: str
    chunk_id: str
    access: tuple[str, ...]


@dataclass(frozen=True)
class Expansion:
    """A question in the words of the glossary.

    Attributes:
        text: the question with its terms by their first names.
        names: the terms' other names, which the question does not have.
        terms: the terms that it names, in its order.
        metric: the one that it asks for, where it asks for a metric and nothing else.
    """

    text: str
    names: tuple[str, ...] = ()
    terms: tuple[Term, ...] = ()
    metric: Term | None = None


class Glossary:
    """The terms of one version of the index."""

    def __init__(self, terms: Iterable[Term]) -> None:
        """Take the terms."""
        self.terms = tuple(terms)
        self._by_name: dict[tuple[str, ...], list[Term]] = {}
        for term in self.terms:
            for name in (term.name, *term.synonyms):
                if words := _words(name):
                    self._by_name.setdefault(words, []).append(term)
        self._longest = max(map(len, self._by_name), default=0)

    def term(self, name: str, principals: Principals) -> Term | None:
        """The term of a name, whichever of its names that is, if the reader may read it."""
        return self._named(_words(name), principals)

    def _named(self, words: Sequence[str], principals: Principals) -> Term | None:
        found = self._by_name.get(tuple(words), ())
        return next((term for term in found if principals.may_read(term.access)), None)

    def expand(self, question: str, principals: Principals) -> Expansion:
        """A question with the names of its terms; of names that overlap, the longest counts."""
        places = list(_WORDS.finditer(question))
        words = _words(question)
        mentions: list[tuple[int, int, Term]] = []
        at = 0
        while at < len(words):
            for end in range(min(at + self._longest, len(words)), at, -1):
                term = self._named(words[at:end], principals)
                if term is not None:
                    mentions.append((at, end, term))
                    at = end - 1
                    break
            at += 1
        if not mentions:
            return Expansion(question)
        text, done = "", 0
        for first, end, term in mentions:
            text += question[done : places[first].start()] + term.name
            done = places[end - 1].end()
        terms = tuple(dict.fromkeys(term for _, _, term in mentions))
        said = {words[first:end] for first, end, _ in mentions}
        names = [
            name
            for term in terms
            for name in (term.name, *term.synonyms)
            if _words(name) not in said
        ]
        return Expansion(
            text + question[done:],
            tuple(dict.fromkeys(names))[:_MOST_NAMES],
            terms,
            _metric_asked_for(words, mentions),
        )


def read_terms(snapshot: Snapshot) -> list[Term]:
    """The terms of a version of the index, whoever may read them."""
    conditions = [is_one_of("doc_type", [DOC_TYPE]), is_one_of("source_name", [_SOURCE])]
    terms: dict[str, Term] = {}
    rows = snapshot.rows(conditions, _COLUMNS)
    for row in sorted(rows, key=lambda row: (row["document_id"], row["chunk_index"])):
        facts = json.loads(row["payload"])
        if row["document_id"] not in terms and isinstance(facts.get("synonyms"), list):
            terms[row["document_id"]] = Term(
                name=row["title"],
                synonyms=tuple(map(str, facts["synonyms"])),
                definition=str(facts.get("definition") or ""),
                kind=str(facts.get("kind") or ""),
                metric=facts.get("metric") or None,
                document_id=row["document_id"],
                chunk_id=row["chunk_id"],
                access=tuple(row["access"]),
            )
    return list(terms.values())


def _metric_asked_for(
    words: Sequence[str], mentions: Sequence[tuple[int, int, Term]]
) -> Term | None:
    metrics = [mention for mention in mentions if mention[2].metric]
    if not metrics:
        return None
    first, end, term = metrics[0]
    split = next((at for at in range(end, len(words)) if words[at] in _SPLITTING), len(words))
    left = [word for at, word in enumerate(words[:split]) if not first <= at < end]
    return term if all(word in _ASKING or word.isdigit() for word in left) else None
