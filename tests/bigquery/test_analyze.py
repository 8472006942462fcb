"""Every query that dbt compiles for BigQuery is BigQuery SQL, in the first run and later."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from . import zetasql_wire
from .application import create_application, create_table
from .compiled_project import Node, Project
from .emulator import Emulator
from .zetasql_judge import Judge, RefusedSQL, Schema

DATASET = "headrace"
SINCE = "2026-01-02 00:00:00+00"
# Tables that the package reads where they exist, each in the shape of the model that reads it.
OPTIONAL_SOURCES = {
    "headrace_ops.raw_documents": "doc_ingested",
    "headrace_ops.quarantine": "rag__quarantine",
    "headrace_ops.published_documents": "rag__published_documents",
}


@dataclass(frozen=True)
class Judgement:
    """What the judge said of a compiled project.

    Attributes:
        schemas: columns of each model that it could analyze, by the model's name.
        failures: what BigQuery would refuse, each with the model, the place and the line.
        sql: the compiled query of each node, by its name.
    """

    schemas: Mapping[str, Schema]
    failures: list[str]
    sql: Mapping[str, str]


@pytest.fixture(scope="module")
def project(bigquery_emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("dbt"), bigquery_emulator, DATASET)


@pytest.fixture(scope="module")
def given_schemas(project: Project, bigquery_emulator: Emulator) -> dict[str, Schema]:
    """Schema of each table that no model makes, by its full name: the application's, and seeds."""
    schemas = create_application(bigquery_emulator, project.sources())
    bigquery_emulator.client().create_dataset(DATASET, timeout=30)
    project.dbt("seed")
    for node in project.nodes():
        if node.kind == "seed":
            table = bigquery_emulator.client().get_table(node.relation, timeout=30)
            schemas[node.relation] = {
                column.name: column.to_standard_sql().type.type_kind.name for column in table.schema
            }
    return schemas


@pytest.fixture(scope="module")
def first_run(project: Project, given_schemas: dict[str, Schema]) -> Judgement:
    """The project as it compiles when no model has been built."""
    return judge_nodes(project.compile(), given_schemas)


@pytest.fixture(scope="module")
def later_tables(
    project: Project,
    given_schemas: dict[str, Schema],
    first_run: Judgement,
    bigquery_emulator: Emulator,
) -> dict[str, Schema]:
    """The given schemas, and those of the tables that a later run finds, which are made, empty."""
    assert not first_run.failures, "the first run says why"
    schemas = dict(given_schemas)
    for source in project.sources():
        if source.name in OPTIONAL_SOURCES:
            schemas[source.relation] = first_run.schemas[OPTIONAL_SOURCES[source.name]]
            dataset = source.relation.split(".")[1]
            bigquery_emulator.client().create_dataset(dataset, exists_ok=True, timeout=30)
            create_table(bigquery_emulator, source.relation, schemas[source.relation])
    for node in project.nodes():
        if node.materialized == "incremental":
            create_table(bigquery_emulator, node.relation, first_run.schemas[node.name])
            schemas[node.relation] = first_run.schemas[node.name]
    return schemas


@pytest.fixture(scope="module")
def later_run(project: Project, later_tables: dict[str, Schema]) -> Judgement:
    """The project as it compiles when every table exists: the incremental branches."""
    return judge_nodes(project.compile(), later_tables)


@pytest.fixture(scope="module")
def micro_batch(
    project: Project,
    later_tables: dict[str, Schema],
    later_run: Judgement,
    bigquery_emulator: Emulator,
) -> Judgement:
    """The project as a micro-batch compiles it, where one document changed."""
    (changes,) = (node.relation for node in project.nodes() if node.name == "rag__changes")
    create_table(bigquery_emulator, changes, later_run.schemas["rag__changes"])
    documents = changes.replace("rag__changes", "rag__documents")
    bigquery_emulator.query(
        f"insert into `{changes}` (document_id, title) values ('it\\'s', 'One');"
        f"insert into `{documents}` (document_id, document_bucket, batch_id) values ('d', 7, 1)"
    )
    variables = {"headrace_batch_models": ["doc_product_docs"], "headrace_batch_since": SINCE}
    return judge_nodes(project.compile(variables), later_tables)


def test_the_first_run_is_bigquery_sql(first_run: Judgement) -> None:
    assert not first_run.failures, "\n\n".join(["", *first_run.failures])
    assert "rag__chunks" in first_run.schemas


def test_later_runs_are_bigquery_sql(first_run: Judgement, later_run: Judgement) -> None:
    assert not later_run.failures, "\n\n".join(["", *later_run.failures])
    # Else it would be the first run once more.
    for name in ("rag__documents", "rag__chunks", *OPTIONAL_SOURCES.values()):
        assert later_run.sql[name] != first_run.sql[name], name
    assert later_run.schemas == first_run.schemas


def test_a_micro_batch_is_bigquery_sql_that_prunes(micro_batch: Judgement) -> None:
    assert not micro_batch.failures, "\n\n".join(["", *micro_batch.failures])
    changes = micro_batch.sql["rag__changes"]
    # Keys and rows, of the model below the source that changed and of no other.
    assert changes.count(f"source_updated_at >= cast('{SINCE}' as timestamp)") == 2
    assert "doc_policies" not in changes
    ids = r"stored\.document_bucket in \(\d+\)\s+and stored\.document_id in \('it\\'s'\)"
    assert re.search(ids, micro_batch.sql["rag__documents"])
    # What is to be cut, and its chunks.
    assert micro_batch.sql["rag__chunks"].count("document_bucket in (7)") == 2


def test_a_refused_model_is_named_with_its_place(given_schemas: dict[str, Schema]) -> None:
    relation = next(iter(given_schemas))
    broken = Node(
        name="sem_broken",
        kind="model",
        relation=f"test-proj.{DATASET}.sem_broken",
        materialized="view",
        path="models/sem_broken.sql",
        contract={},
        sql=f"select\n    1 as one,\n    updated_at::date as day\nfrom `{relation}`",
    )
    downstream = Node(
        name="sem_after",
        kind="model",
        relation=f"test-proj.{DATASET}.sem_after",
        materialized="view",
        path="models/sem_after.sql",
        contract={"number": "STRING"},
        sql="select 1 as number",
    )
    failures = judge_nodes([broken, downstream], given_schemas).failures
    assert len(failures) == 2
    assert failures[0].startswith("model sem_broken (models/sem_broken.sql): Syntax error")
    assert "line 3:     updated_at::date as day" in failures[0]
    assert "contract" in failures[1]


def judge_nodes(nodes: list[Node], tables: Mapping[str, Schema]) -> Judgement:
    """Analyze ``nodes`` in order, against ``tables`` and the columns of the nodes before."""
    judge = Judge(tables)
    judgement = Judgement({}, [], {node.name: node.sql for node in nodes})
    schemas = dict(judgement.schemas)
    for node in nodes:
        if node.kind == "seed":
            continue
        try:
            if node.kind == "test":
                judge.analyze(node.sql)
                continue
            schema = judge.table_schema(node.sql)
            check_contract(node, schema)
        except RefusedSQL as refusal:
            judgement.failures.append(f"{node.kind} {node.name} ({node.path}): {refusal}")
            continue
        schemas[node.name] = schema
        judge.add_table(node.relation, schema)
    return Judgement(schemas, judgement.failures, judgement.sql)


def check_contract(node: Node, schema: Schema) -> None:
    """Refuse a model whose columns are not those of its enforced contract."""
    promised = {
        name: zetasql_wire.type_name(zetasql_wire.parse_type(data_type))
        for name, data_type in node.contract.items()
    }
    if promised and promised != schema:
        wrong = promised.items() ^ schema.items()
        raise RefusedSQL(f"The contract and the columns differ: {sorted(wrong)}.", node.sql)
