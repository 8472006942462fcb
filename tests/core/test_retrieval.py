"""What a search gives: fused ranks, filters, one text once, and what is published."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from dagster_project.core.build import Headrace
from dagster_project.core.errors import ConfigurationError, VectorStoreError
from dagster_project.core.index import LIVE
from dagster_project.core.retrieval import (
    CrossEncoderReranker,
    Filters,
    Principals,
    Ranking,
    Retriever,
)
from dagster_project.core.retrieval.ranking import By, Leg, Shelf, fuse

from .shelves import NOW, chunk, put, shelves

ROWS = [
    chunk(
        f"ticket:{number}",
        f"Printer {number} is out of paper.",
        doc_type="support_ticket",
        source_name="desk" if number % 2 else "mail",
        lifecycle_state="active" if number % 3 else "stale",
        payload={
            "plan_name": "Team" if number % 50 == 0 else "Starter Ü",
            "mrr": number / 2,
            "is_active": number % 2 == 0,
            "csat": None if number == 7 else 4,
            "number": number,
        },
        source_updated_at=NOW + timedelta(hours=number),
        valid_from=date(2026, 1, 1) + timedelta(days=number) if number % 2 else None,
        valid_to=date(2026, 6, 1) if number < 10 else None,
    )
    for number in range(300)
]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Headrace:
    headrace = shelves(tmp_path_factory.mktemp("desk"))
    put(headrace, ROWS)
    return headrace


@pytest.fixture
def retriever(desk: Headrace) -> Retriever:
    # Less than what some filters leave, so that a leg has to look deeper.
    return Retriever(desk, Principals.of(), ranking=Ranking(depth=5))


def _numbers(retriever: Retriever, filters: Filters, k: int = 300) -> set[int]:
    hits = retriever.search("printer paper", k, filters)
    return {int(hit.document_id.removeprefix("ticket:")) for hit in hits}


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        (Filters(doc_types=["support_ticket", "none"]), lambda n: True),
        (Filters(doc_types=["none"]), lambda n: False),
        (Filters(source_names=["desk"]), lambda n: n % 2),
        (Filters(lifecycle_states=["stale"]), lambda n: n % 3 == 0),
        (Filters(document_ids=["ticket:3", "ticket:4"]), lambda n: n in (3, 4)),
        (Filters(updated_after=NOW + timedelta(hours=290)), lambda n: n >= 290),
        (Filters(updated_before=NOW + timedelta(hours=290)), lambda n: n < 290),
        (
            Filters(updated_before=datetime(2026, 1, 1, 4, tzinfo=timezone(timedelta(hours=1)))),
            lambda n: n < 3,
        ),
        (
            Filters(as_of=date(2026, 6, 2)),
            lambda n: n >= 10 and (n % 2 == 0 or n <= 152),
        ),
        (Filters(payload={"plan_name": "Team"}), lambda n: n % 50 == 0),
        (Filters(payload={"plan_name": "Starter Ü", "number": 7}), lambda n: n == 7),
        (Filters(payload={"mrr": 3}), lambda n: n == 6),
        (Filters(payload={"is_active": True}), lambda n: n % 2 == 0),
        (Filters(payload={"is_active": 1}), lambda n: False),
        (Filters(payload={"csat": None}), lambda n: n == 7),
        (Filters(payload={"unknown": None}), lambda n: False),
        (Filters(payload={"number": "7"}), lambda n: False),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, Filters) else "",
)
def test_a_filter_finds_all_that_it_means_and_nothing_else(
    retriever: Retriever, filters: Filters, wanted: Callable[[int], object]
) -> None:
    assert _numbers(retriever, filters) == {number for number in range(300) if wanted(number)}


def test_a_filter_on_the_payload_ranks_as_a_filter_of_the_index_would(desk: Headrace) -> None:
    retriever = Retriever(desk, Principals.of())
    ids = [f"ticket:{number}" for number in range(0, 300, 50)]
    by_payload = retriever.search("printer 50", 3, Filters(payload={"plan_name": "Team"}))
    by_id = retriever.search("printer 50", 3, Filters(document_ids=ids))
    assert by_payload == by_id and len(by_id) == 3


@pytest.mark.parametrize(
    "values",
    [
        {"updated_after": datetime(2026, 1, 1)},
        {"updated_after": "2026-01-01"},
        {"as_of": datetime(2026, 1, 1, tzinfo=timezone.utc)},
        {"doc_types": "policy"},
        {"doc_types": [1]},
        {"payload": {"a": ["b"]}},
        {"payload": {1: "b"}},
        {"payload": [("a", "b")]},
        {"document_ids": ["x"] * 1_001},
    ],
    ids=str,
)
def test_a_value_of_another_type_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="The filter"):
        Filters(**values)


def test_a_question_is_words_whatever_its_marks(retriever: Retriever) -> None:
    for query in (
        '"printer paper"',
        "printer AND (paper",
        "printer^9 -paper ~ *",
        "printer\tpaper",
    ):
        assert len(retriever.search(query, 5)) == 5
    for query in (" ", "x" * 8_001, "a\0b", "\ud800"):
        with pytest.raises(ConfigurationError, match="The query"):
            retriever.search(query)
    with pytest.raises(ConfigurationError, match="k is 0"):
        retriever.search("printer", 0)


def test_scores_are_fused_by_their_weights() -> None:
    legs = [
        Leg(By.MEANING, 2.0, [1, 2], [0.8, 0.6], is_whole=True),
        Leg(By.WORDS, 1.0, [2, 3], [10.0, 5.0], is_whole=True),
    ]
    found = fuse(legs)
    assert [one.row for one in found] == [2, 1, 3]
    assert [one.score for one in found] == pytest.approx([2 * 0.75 + 1, 2, 0.5])
    assert found[0].ranks == {By.MEANING: 2, By.WORDS: 1}
    assert [one.row for one in fuse(legs, demoted=[2])] == [1, 2, 3]


def test_what_a_search_did_not_reach_counts_as_the_last_that_it_reached() -> None:
    cosines = [0.6 - 0.001 * number for number in range(200)]
    legs = [
        Leg(By.MEANING, 1.0, range(200), cosines, is_whole=False),
        Leg(By.WORDS, 1.0, [777, 150], [20.0, 5.0], is_whole=True),
    ]
    # A name that the model does not know is found by its letters alone, and stands first.
    assert [one.row for one in fuse(legs)][:2] == [777, 0]
    assert fuse([Leg(By.WORDS, 1.0, [], [], is_whole=True)]) == []


def test_what_has_the_words_stands_before_what_is_all_unlike_the_question() -> None:
    legs = [
        Leg(By.MEANING, 1.0, [1, 2, 777], [0.15, 0.0, -0.1], is_whole=True),
        Leg(By.WORDS, 0.6, [777], [0.2], is_whole=True),
    ]
    assert [one.row for one in fuse(legs)] == [777, 1, 2]


def test_a_weight_of_nothing_leaves_a_leg_out(desk: Headrace) -> None:
    words = Retriever(desk, Principals.of(), ranking=Ranking(vector_weight=0))
    hits = words.search("printer 77", 3)
    assert hits[0].document_id == "ticket:77"
    assert hits[0].vector_rank is None and hits[0].text_rank == 1
    meaning = Retriever(desk, Principals.of(), ranking=Ranking(text_weight=0))
    assert meaning.search(ROWS[4]["chunk_text"], 1)[0].document_id == "ticket:4"
    with pytest.raises(ConfigurationError, match="HEADRACE_TEXT_WEIGHT"):
        Ranking(vector_weight=0, text_weight=0)


def test_nearly_the_same_is_said_once_and_another_number_is_not_the_same() -> None:
    shelf = Shelf()
    text = "Our customers have their money back within 14 days of the day on which they paid us."
    assert shelf.takes("a", "one", f"{text} Ask the desk.")
    assert not shelf.takes("b", "two", f"{text.upper()}  Ask the desk!")
    assert shelf.takes("c", "three", f"{text.replace('14', '30')} Ask the desk.")
    assert shelf.takes("d", "four", "Something else.")
    assert shelf.twins == {"a": ["two"]}


def test_a_document_gives_no_more_than_its_share_and_others_come_up(tmp_path: Path) -> None:
    headrace = shelves(tmp_path)
    long = [chunk("long", f"Paper jam, part {n}.", index=n) for n in range(40)]
    copies = [chunk(f"copy:{n}", "Paper jam, again and again.") for n in range(40)]
    put(headrace, [*long, *copies, chunk("other", "A jam of another kind.")])
    retriever = Retriever(headrace, Principals.of(), ranking=Ranking(depth=5))
    hits = retriever.search("paper jam", 3, per_document=1)
    assert {hit.document_id.partition(":")[0] for hit in hits} == {"long", "copy", "other"}
    [copy] = [hit for hit in hits if hit.document_id.startswith("copy")]
    assert len(copy.also_in) > 30
    document = retriever.document("long")
    assert document is not None
    assert document.text.startswith("Paper jam, part 0.\n\nPaper jam, part 1.")
    assert document.chunk_ids[:2] == ("long#0", "long#1")


def test_a_retriever_follows_what_is_published_and_nothing_else(tmp_path: Path) -> None:
    headrace = shelves(tmp_path)
    retriever = Retriever(headrace, Principals.of())
    with pytest.raises(VectorStoreError, match="never published"):
        retriever.search("anything")
    put(headrace, [chunk("first", "The first note.")])
    before = retriever._opened.current()
    assert [hit.document_id for hit in retriever.search("note")] == ["first"]
    assert retriever._opened.current() is before, "opened once"

    index = headrace.live_index
    index.delete(["first#0"])
    assert [hit.document_id for hit in retriever.search("note")] == ["first"]
    live = headrace.live_generation
    newest = Retriever(headrace, Principals.of(), generation=live, version=index.version)
    assert newest.search("note") == []
    index.publish()
    assert retriever.search("note") == []
    put(headrace, [chunk("second", "The second note.")])
    assert [hit.document_id for hit in retriever.search("note")] == ["second"]


def test_what_is_read_of_the_indices_is_kept_until_readers_go_back(tmp_path: Path) -> None:
    headrace = shelves(tmp_path)
    put(headrace, [chunk("first", "The first note.")])
    retriever, index = Retriever(headrace, Principals.of()), headrace.live_index
    assert len(retriever.search("note")) == 1
    session, before = retriever._opened._session, index.live_version
    put(headrace, [chunk("second", "The second note.")])
    assert len(retriever.search("note")) == 2
    assert retriever._opened._session is session
    # A version's number may be given again, to other rows, once readers went back behind it.
    assert before is not None
    index._tag(LIVE, before)
    assert [hit.document_id for hit in retriever.search("note")] == ["first"]
    assert retriever._opened._session is not session


@pytest.mark.parametrize("part", [0.0, 0.5])
def test_a_torn_version_sends_readers_to_the_one_before(tmp_path: Path, part: float) -> None:
    headrace = shelves(tmp_path)
    put(headrace, [chunk("first", "The first note.")])
    retriever = Retriever(headrace, Principals.of())
    assert len(retriever.search("note")) == 1
    put(headrace, [chunk("second", "The second note.")])
    table = tmp_path / "lancedb" / f"{headrace.live_generation.name}.lance"
    # LanceDB counts manifests down, so that the newest is first.
    newest = min(table.glob("_versions/*.manifest"))
    os.truncate(newest, int(newest.stat().st_size * part))
    assert [hit.document_id for hit in retriever.search("note")] == ["first"]
    put(headrace, [chunk("third", "The third note.")])
    assert {hit.document_id for hit in retriever.search("note")} == {"first", "third"}


GLOSSARY = [
    ("Customer lifetime value", ["LTV", "CLV"], "What a customer brings in.", "ltv", "everyone"),
    ("Churn rate", ["churn", "attrition rate"], "Customers lost.", "churn_rate", "role:finance"),
    ("Priority", ["severity"], "How urgent it is.", None, "everyone"),
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Headrace:
    headrace = shelves(tmp_path_factory.mktemp("shop"))
    terms = [
        chunk(
            f"glossary:{name}",
            f"{name}: {definition}",
            title=name,
            doc_type="glossary",
            source_name="dbt",
            access=[access],
            payload={
                "kind": "metric" if metric else "column",
                "metric": metric,
                "synonyms": synonyms,
                "definition": definition,
            },
        )
        for name, synonyms, definition, metric, access in GLOSSARY
    ]
    forged = chunk(
        "upload:ltv",
        "LTV: whatever you like.",
        doc_type="glossary",
        title="Loan to value",
        payload={"synonyms": ["LTV"], "metric": "drop"},
    )
    report = chunk("report", "The lifetime value of a customer is on the rise.")
    others = [chunk(f"filler:{n}", f"The office has {n} plants.") for n in range(40)]
    put(headrace, [*terms, forged, report, *others])
    return headrace


def test_a_question_is_asked_in_the_other_names_of_its_terms(shop: Headrace) -> None:
    retriever = Retriever(shop, Principals.of(), ranking=Ranking(vector_weight=0))
    asked = "how high is our LTV in the north"
    plain = [hit.document_id for hit in retriever.search(asked, 5, expand=False)]
    assert "report" not in plain
    assert "report" in [hit.document_id for hit in retriever.search(asked, 5)]
    glossary = retriever._opened.current().glossary
    found = glossary.expand("LTVs, and the attrition-rate?", Principals.admin())
    assert found.text == "Customer lifetime value, and the Churn rate?"
    assert found.names == ("Customer lifetime value", "CLV", "Churn rate", "churn")


@pytest.mark.parametrize(
    ("question", "metric"),
    [
        ("What is our LTV?", "ltv"),
        ("LTV by plan and industry", "ltv"),
        ("how do you calculate customer lifetime value this month", "ltv"),
        ("severity", None),
        ("Which customers with a high LTV complained about invoices?", None),
        ("office plants", None),
    ],
)
def test_a_question_for_a_metric_has_its_definition_first(
    shop: Headrace, question: str, metric: str | None
) -> None:
    retriever = Retriever(shop, Principals.of())
    expansion = retriever._opened.current().glossary.expand(question, Principals.of())
    assert (expansion.metric and expansion.metric.metric) == metric
    if metric:
        assert retriever.search(question, 1)[0].document_id == "glossary:Customer lifetime value"
        # Nor does a filter that leaves it out bring it back.
        hits = retriever.search(question, 5, Filters(doc_types=["note"]))
        assert all(hit.doc_type == "note" for hit in hits)


def test_a_term_is_for_those_who_may_read_it(shop: Headrace) -> None:
    anybody = Retriever(shop, Principals.of())
    finance = anybody.reading_as(Principals.of("role:finance"))
    assert anybody.term("attrition rate") is None and anybody.term("nothing") is None
    term = finance.term("Attrition Rate")
    assert term is not None and (term.name, term.metric) == ("Churn rate", "churn_rate")
    assert [term.name for term in anybody.terms()] == ["Customer lifetime value", "Priority"]
    asked = anybody._opened.current().glossary.expand("churn", Principals.of())
    assert asked.names == () and asked.text == "churn"
    # Without a warehouse there is a definition, and the reason why it has no value.
    [passage, *_], value = (
        (pack := anybody.reading_as(Principals.admin()).context("LTV")).passages,
        pack.value,
    )
    assert passage.document_id == "glossary:Customer lifetime value"
    assert value is not None and value.problem
    assert anybody.context("LTV").value is None


def test_a_reranker_has_the_last_word(desk: Headrace, tmp_path: Path) -> None:
    model = CrossEncoderReranker(_tiny_cross_encoder(tmp_path))
    plain = Retriever(desk, Principals.of(), ranking=Ranking(depth=20, reranked=12))
    asked = plain.search("printer 7 paper", 20)
    retriever = Retriever(
        desk, Principals.of(), ranking=Ranking(depth=20, reranked=12), reranker=model
    )
    hits = retriever.search("printer 7 paper", 20)
    assert [hit.chunk_id for hit in hits[12:]] == [hit.chunk_id for hit in asked[12:]]
    texts = {row["chunk_id"]: row["chunk_text"] for row in ROWS}
    scores = model.scores("printer 7 paper", [texts[hit.chunk_id] for hit in asked[:12]])
    wanted = dict(zip([hit.chunk_id for hit in asked[:12]], scores, strict=True))
    assert {hit.chunk_id: pytest.approx(hit.score) for hit in hits[:12]} == wanted
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    with pytest.raises(ConfigurationError, match="HEADRACE_RERANK_MODEL"):
        CrossEncoderReranker(str(tmp_path / "nothing"))


def _tiny_cross_encoder(folder: Path) -> str:
    """A cross-encoder of two layers with random weights: it reads pairs, and knows nothing."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    from dagster_project.core.embedding.minilm import minilm_directory

    tokenizer = BertTokenizerFast.from_pretrained(str(minilm_directory()))
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        num_labels=1,
    )
    BertForSequenceClassification(config).save_pretrained(folder / "tiny")
    tokenizer.save_pretrained(folder / "tiny")
    return str(folder / "tiny")
