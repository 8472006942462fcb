"""The example company with the real model: questions in other words, and questions for metrics."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from dagster_project.core.build import Headrace
from dagster_project.core.embedding.minilm import MINILM
from dagster_project.core.errors import ConfigurationError
from dagster_project.core.retrieval import Principals, Retriever
from dagster_project.core.settings import EXAMPLE_PROJECT
from dagster_project.demo import generate
from tests.serving.service import CLI, Pipes, environment

# Questions in words that the documents do not use but the glossary knows, and what answers them.
SYNONYMS = {
    "LTV by plan": ["glossary:customer-lifetime-value", "glossary:plan-name"],
    "adding licenses in the middle of a month": [
        "product_doc:billing-seats-proration",
        "glossary:paid-seats",
    ],
    "how many licences can we drop before the renewal": [
        "product_doc:billing-seats-proration",
        "glossary:paid-seats",
    ],
    "seat count on the invoice": ["product_doc:billing-seats-proration", "glossary:paid-seats"],
    "what happens to accounts in arrears": [
        "product_doc:billing-invoices-past-due",
        "glossary:overdue-amount",
    ],
    "FRT promised for each edition": ["glossary:first-response-minutes", "policy:sla-2025"],
    "moving to a cheaper edition": ["product_doc:billing-cancel-change-plan"],
    "attrition among paying customers": [
        "glossary:monthly-churn-rate",
        "glossary:churned-customers",
    ],
    "renewal risk of a client": ["glossary:churn-risk-band", "glossary:churn-risk-score"],
    "run rate for the year": [
        "glossary:annual-recurring-revenue",
        "glossary:monthly-recurring-revenue",
    ],
    "containment rate of the bot": [
        "glossary:ticket-deflection-rate",
        "glossary:deflected-tickets",
        "glossary:is-deflected",
    ],
    "severity of a support request and how fast we answer": [
        "glossary:priority",
        "policy:sla-2025",
    ],
    "number of logos lost": ["glossary:churned-customers", "glossary:active-customers"],
    "headcount of our clients by sector": ["glossary:employee-count", "glossary:industry"],
    "backlog of support requests by module": ["glossary:is-open", "glossary:product-area"],
}
METRICS = {
    "What is our ARR?": "arr",
    "MRR by plan": "mrr",
    "LTV by plan": "customer_lifetime_value",
    "How is churn calculated?": "churn_rate",
    "How many active customers do we have?": "active_customers",
    "ticket volume per month": "ticket_volume",
    "What is the deflection rate?": "ticket_deflection_rate",
    "mean time to resolve": "average_resolution_hours",
    "How many paid seats are there?": "paid_seats",
    "what does attrition rate mean": "churn_rate",
}
# What the warehouse says without MetricFlow.
BY_HAND = {
    "ticket_volume": "select count(*) from headrace.sem_tickets",
    "paid_seats": "select sum(seats) from headrace.sem_subscriptions where is_paying",
    "arr": "select 12 * sum(mrr) from headrace.sem_customer_months where month_start = "
    "(select max(month_start) from headrace.sem_customer_months)",
}


@pytest.fixture(scope="module")
def retriever(headrace: Headrace) -> Retriever:
    with psycopg.connect(headrace.postgres_url) as connection:
        generate(connection, scale=0.03)
    example = Headrace(replace(headrace.settings, dbt_project=EXAMPLE_PROJECT, model=MINILM))
    example.warehouse.prepare()
    example.dbt.parse()
    example.dbt.invoke(["seed"])
    example.dbt.invoke(["run", "--select", "+rag__chunks", "sem_customer_months", "*spine"])
    example.sync()
    example.publish()
    return Retriever(example, Principals.admin())


def _recall(retriever: Retriever, *, expand: bool) -> dict[str, float]:
    """The share of what answers each question that is among its five first documents."""
    found = {}
    for question, wanted in SYNONYMS.items():
        hits = retriever.search(question, 5, expand=expand, per_document=1)
        found[question] = len({hit.document_id for hit in hits} & set(wanted)) / len(wanted)
    return found


def test_questions_in_other_words_find_more_by_the_glossary(retriever: Retriever) -> None:
    plain, expanded = (_recall(retriever, expand=expand) for expand in (False, True))
    before, after = (sum(found.values()) / len(SYNONYMS) for found in (plain, expanded))
    assert len(SYNONYMS) == 15
    assert after > before + 0.1, (before, after, plain, expanded)


@pytest.mark.parametrize("question", METRICS)
def test_a_question_for_a_metric_has_its_definition_and_value(
    question: str, retriever: Retriever
) -> None:
    metric = METRICS[question]
    pack = retriever.context(question, budget_words=150)
    term = next(term for term in retriever.terms() if term.metric == metric)
    assert pack.passages[0].document_id == term.document_id
    assert term.definition[:40] in pack.text
    assert pack.value is not None and pack.value.metric == metric
    assert float(pack.value.value.replace(",", "")) >= 0
    assert pack.text.startswith(str(pack.value)) and pack.words <= 150


def test_a_value_is_what_the_warehouse_says(retriever: Retriever) -> None:
    for metric, query in BY_HAND.items():
        with psycopg.connect(retriever._headrace.postgres_url) as connection:
            row = connection.execute(query.encode()).fetchone()
        assert retriever.metric([metric]).rows == (row,)
    split = retriever.metric(["ticket_volume"], ["ticket__product_area"])
    assert split.columns == ("ticket__product_area", "ticket_volume")
    assert sum(count for _, count in split.rows) == retriever.metric(["ticket_volume"]).rows[0][0]


def test_a_change_of_the_metrics_is_seen(retriever: Retriever) -> None:
    before = retriever.metric(["ticket_volume"]).rows
    path = retriever._headrace.dbt.target / "semantic_manifest.json"
    written = path.read_text()
    # As dbt writes it where somebody has renamed the metric.
    path.write_text(written.replace('"ticket_volume"', '"ticket_count"'))
    try:
        assert retriever.metric(["ticket_count"]).rows == before
        with pytest.raises(ConfigurationError):
            retriever.metric(["ticket_volume"])
    finally:
        path.write_text(written)
    assert retriever.metric(["ticket_volume"]).rows == before


def test_what_is_no_metric_is_explained(retriever: Retriever) -> None:
    for metrics, by, what in (
        (["none"], [], "do not|not exactly match"),
        (["arr"], ["none"], "does not match"),
        (["arr; drop table x"], [], "no name"),
        (["arr"], ["Dimension('customer__industry')"], "no name"),
    ):
        with pytest.raises(ConfigurationError, match=what):
            retriever.metric(metrics, by)


def test_readers_see_tickets_of_their_own_alone(retriever: Retriever) -> None:
    support = retriever.reading_as(Principals.of("role:support"))
    tickets = [hit for hit in support.search("ticket", 50) if hit.doc_type == "support_ticket"]
    customer = tickets[0].payload["customer_id"]
    theirs = retriever.reading_as(Principals.of(f"customer:{customer}"))
    seen = [hit for hit in theirs.search("ticket", 50) if hit.doc_type == "support_ticket"]
    assert seen and {hit.payload["customer_id"] for hit in seen} == {customer}
    anybody = retriever.reading_as(Principals.of())
    assert {hit.doc_type for hit in anybody.search("ticket of a customer", 50)} <= {
        "policy",
        "product_doc",
        "glossary",
    }


def test_a_model_asks_for_terms_and_metrics(retriever: Retriever) -> None:
    """Over the protocol, in a process of its own in which dbt and MetricFlow run."""
    headrace = retriever._headrace
    pipes = Pipes(environment(headrace.settings), *CLI, "mcp", "--admin")

    def call(tool: str, /, **arguments: Any) -> Any:  # noqa: ANN401 - any JSON
        return pipes.ask("tools/call", {"name": tool, "arguments": arguments})

    pipes.begin()
    with psycopg.connect(headrace.postgres_url) as connection:
        days = connection.execute(
            "select created_on, count(*) from headrace.sem_tickets group by 1 order by 1"
        ).fetchall()
    term = call("lookup_term", name="ticket volumes")["structuredContent"]["term"]
    assert term["metric"] == "ticket_volume" and term["document_id"].startswith("glossary:")
    near = call("lookup_term", name="ticket volum")["structuredContent"]
    assert near["term"] is None and term["name"] in near["similar"]

    whole = call("query_metric", metrics=["ticket_volume"])["structuredContent"]
    assert whole["rows"] == [{"ticket_volume": sum(count for _, count in days)}]
    first, last = days[len(days) // 3][0], days[len(days) * 2 // 3][0]
    wanted = [[f"{day}", count] for day, count in days if first <= day <= last]
    asked = {"metrics": ["ticket_volume"], "group_by": ["metric_time__day"]}
    between = call("query_metric", **asked, start=f"{first}", end=f"{last}", limit=1_000)
    rows = between["structuredContent"]["rows"]
    assert [[row["metric_time__day"][:10], row["ticket_volume"]] for row in rows] == wanted
    assert between["content"][0]["text"].startswith("metric_time__day | ticket_volume\n")
    cut = call("query_metric", **asked, limit=2)["structuredContent"]
    assert len(cut["rows"]) == 2 and cut["may_have_more"]

    with psycopg.connect(headrace.postgres_url) as connection:
        connection.execute("lock table headrace.sem_tickets in access exclusive mode")
        slow = {"name": "query_metric", "arguments": {"metrics": ["ticket_volume"]}}
        waiting = pipes.start("tools/call", slow)
        # The metric waits for the table, and the search for nothing.
        assert not call("search_context", question="refund")["isError"]
    assert pipes.wait(waiting)["structuredContent"]["rows"] == whole["rows"]

    unknown = call("query_metric", metrics=["ticket_volumes"])
    assert unknown["isError"] and "ticket_volume" in unknown["content"][0]["text"]
    attack = call("query_metric", metrics=["ticket_volume'; drop table headrace.sem_tickets; --"])
    assert attack["isError"] and "no name of a metric" in attack["content"][0]["text"]

    pack = call("search_context", question="How many paid seats are there?", budget_words=150)
    value = pack["structuredContent"]["metric_value"]
    assert value["metric"] == "paid_seats" and value["problem"] == ""
    assert pack["content"][0]["text"].startswith("The metric paid_seats")
    fresh = call("freshness")["structuredContent"]
    assert len(fresh["sources"]) > 1 and fresh["warehouse_problem"] is None

    errors = pipes.end()
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in pipes.lines)
    assert "query_metric, answered" in errors and "Traceback" not in errors
