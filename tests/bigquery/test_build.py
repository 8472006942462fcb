"""The example project runs on the emulator: built with its tests, then run on a changed source."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import pytest

from .application import create_application
from .compiled_project import Project
from .emulator import Emulator

DATASET = "headrace_build"
AT = "2026-01-02 03:04:05+00"
APPLICATION = f"""
insert into saas.plans values (1, 'Team', 'self-serve', 1000, 5, 8, '{AT}');
insert into saas.customers values
    (1, 'Acme', 'Clinics', 12, 'Ireland', 'Bo Lee', '{AT}', null, '{AT}');
insert into saas.users values (1, 1, 'Al Ray', 'al@acme.example', 'admin', null, '{AT}', '{AT}');
insert into saas.subscriptions values
    (1, 1, 1, 'active', 5, 1000, 0, '{AT}', null, '{AT}');
insert into saas.tickets values
    (1, 1, 1, 'billing', 'No invoice', 'The invoice of May is missing.', 'open', 'high', 'email',
     null, false, null, '{AT}', null, null, '{AT}');
insert into saas.ticket_comments values
    (1, 1, 'Bo Lee', 'agent', true, 'We look into it.', '{AT}', '{AT}');
insert into saas.policies values
    ('refund-policy-2024', 'Refund policy', 'refund-policy', '2024-01-01', 'Finance', 'everyone',
     '2024-01-01', null, null, '## Refunds\\n\\nWe refund.', '{AT}');
insert into saas.product_docs values
    ('shifts', 'Shifts', 'scheduling',
     '# Plan\\n\\nDrag a shift.\\n\\n# Swap\\n\\nAsk for a swap.',
     '/shifts', '1', 'Ann', '2026-01-01', null, '{AT}'),
    ('untitled', '', 'billing', 'No heading and no title.',
     '/untitled', '1', 'Ann', '2026-01-01', null, '{AT}');
"""
CHUNKS = f"""
select document_id, chunk_index, chunk_text, is_deleted, batch_id
from {DATASET}.rag__chunks
where document_id in ('product_doc:shifts', 'product_doc:untitled')
order by document_id, is_deleted, chunk_index
"""
CHANGES = """
delete from saas.product_docs where doc_id = 'untitled';
update saas.product_docs
set
    body = '# Plan\\n\\nDrag a shift.\\n\\n# Swap\\n\\nSwap it.',
    updated_at = '2026-01-03 00:00:00+00'
where doc_id = 'shifts';
"""
BATCH = ("rag__changes", "rag__documents", "rag__chunks")
# Constants, since BigQuery chooses partitions by nothing else.
PRUNED = re.compile(
    r"on \(DBT_INTERNAL_DEST\.document_bucket in \(\d+, \d+\)\s+"
    r"and DBT_INTERNAL_DEST\.document_id in \('product_doc:shifts', 'product_doc:untitled'\)\)"
)


@dataclass(frozen=True)
class Chunk:
    """What counts of a row of rag__chunks here."""

    document_id: str
    text: str
    is_deleted: bool
    batch_id: int


@pytest.fixture(scope="module")
def project(bigquery_emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project, with a row or two in every table of the application."""
    project = Project(tmp_path_factory.mktemp("dbt"), bigquery_emulator, DATASET)
    create_application(bigquery_emulator, project.sources())
    bigquery_emulator.query(APPLICATION)
    project.dbt("seed")
    return project


def test_a_batch_holds_what_changed(project: Project, bigquery_emulator: Emulator) -> None:
    # Data tests too: a failing one fails the command.
    project.dbt("build", "--exclude", "resource_type:seed", "resource_type:unit_test")
    first = chunks(bigquery_emulator)
    assert [(chunk.document_id, chunk.text) for chunk in first] == [
        ("product_doc:shifts", "Shifts\n\n# Plan\n\nDrag a shift."),
        ("product_doc:shifts", "Shifts\n\n# Swap\n\nAsk for a swap."),
        ("product_doc:untitled", "No heading and no title."),
    ]

    project.dbt("run")
    assert chunks(bigquery_emulator) == first, "nothing changed, so nothing is written"

    bigquery_emulator.query(CHANGES)
    variables = {"headrace_batch_models": ["doc_product_docs"]}
    project.dbt("run", "--select", *BATCH, "--vars", json.dumps(variables))
    changed = [chunk for chunk in chunks(bigquery_emulator) if chunk not in first]
    # The other section's row is written too, with the document's new date; its text is the same.
    assert {(chunk.document_id, chunk.text, chunk.is_deleted) for chunk in changed} == {
        ("product_doc:shifts", "Shifts\n\n# Plan\n\nDrag a shift.", False),
        ("product_doc:shifts", "Shifts\n\n# Swap\n\nSwap it.", False),
        ("product_doc:shifts", "", True),
        ("product_doc:untitled", "", True),
    }
    assert len({chunk.batch_id for chunk in changed}) == 1
    assert min(chunk.batch_id for chunk in changed) > max(chunk.batch_id for chunk in first)
    for model in ("rag__documents", "rag__chunks"):
        merge = project.last_statement(model)
        assert PRUNED.search(merge), merge


def test_unit_tests_pass(project: Project) -> None:
    # On the tables of the test above: dbt reads the types of the columns from them.
    project.dbt("test", "--select", "test_type:unit")


def chunks(emulator: Emulator) -> list[Chunk]:
    """The chunks of the two product documents."""
    return [
        Chunk(row["document_id"], row["chunk_text"], row["is_deleted"], row["batch_id"])
        for row in emulator.query(CHUNKS)
    ]
