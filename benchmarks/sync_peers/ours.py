"""Headrace, from the chunks that dbt built, or from the source table with dbt."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from unittest import mock

import numpy as np
from common import COUNTED, TABLE, StoredRow

from dagster_project.core.build import Headrace
from dagster_project.core.embedding import Embeddings, FakeEmbedder
from dagster_project.core.settings import PACKAGE_PROJECT, Settings

SCHEMA, NAME = TABLE.split(".")
PROJECT = """name: bench
version: "1.0"
config-version: 2
profile: headrace
model-paths: ["models"]
vars:
  headrace_document_models: [doc_documents]
"""
SOURCES = f"""sources:
  - name: {SCHEMA}
    schema: {SCHEMA}
    tables:
      - name: {NAME}
"""
# The document contract over the source table: what the table lacks is constant.
MODEL = f"""select
    document_id,
    'bench' as source_name,
    'guide' as doc_type,
    title,
    body,
    cast(null as text) as url,
    cast(null as text) as owner,
    cast(null as text) as language,
    cast(null as date) as valid_from,
    cast(null as date) as valid_to,
    cast(null as text) as version_family,
    cast(null as date) as version_date,
    cast(null as date) as review_by,
    array['everyone'] as access,
    {{{{ headrace.json_object([['status', 'status'], ['priority', 'priority']]) }}}} as payload,
    updated_at as source_updated_at,
    false as is_deleted
from {{{{ source('{SCHEMA}', '{NAME}') }}}}
"""


class Ours:
    """Mode "sync" times the sync alone, dbt having run; "build" times `headrace build`.

    "live" times what the live run does: look at the source, then a micro-batch where it changed.
    "chunks" has no dbt at all: somebody else wrote `rag__chunks`.
    """

    def __init__(self, url: str, folder: Path, mode: str) -> None:
        """Write the dbt project; load its seed."""
        self.mode = mode
        self.headrace = Headrace(
            Settings(
                home=folder,
                dbt_project=PACKAGE_PROJECT if mode == "chunks" else _project(folder / "project"),
                postgres_url=url,
                schema="headrace",
                lancedb_uri=str(folder / "lancedb"),
                model="fake",
            )
        )
        _count_embeds()
        if mode != "chunks":
            # Reads the project and loads the vocabulary; makes a view, and no chunk.
            self.headrace.dbt.build(["--select", "doc_documents"])
        self.is_built = False

    def prepare(self) -> None:
        """In the mode that times the sync alone: dbt."""
        if self.mode == "sync":
            self.headrace.transform()

    def run(self) -> dict[str, float]:
        """Bring readers up to date."""
        headrace = self.headrace
        if self.mode == "live" and self.is_built:
            seconds: dict[str, float] = {}
            more = True
            while more and (changed := headrace.watch.changed()):
                batch = headrace.micro_batch(changed)
                more, seconds = batch.more, batch.sync.seconds
            return seconds
        if self.mode in {"build", "live"}:
            self.is_built = True
            return headrace.build().sync.seconds
        report = headrace.sync()
        started = time.perf_counter()
        headrace.publish()
        return report.seconds | {"publish": time.perf_counter() - started}

    def rows(self) -> Iterable[StoredRow]:
        """What readers see."""
        columns = ["document_id", "chunk_text", "payload", "vector"]
        for row in self.headrace.live_index.rows(columns, live=True).to_pylist():
            told = json.loads(row["payload"])
            yield StoredRow(
                row["document_id"],
                row["chunk_text"],
                told["status"],
                told["priority"],
                np.array(row["vector"], np.float32),
            )


def _project(folder: Path) -> Path:
    (folder / "models").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text(PROJECT)
    (folder / "packages.yml").write_text(f"packages:\n  - local: {PACKAGE_PROJECT}\n")
    (folder / "models" / "sources.yml").write_text(SOURCES)
    (folder / "models" / "doc_documents.sql").write_text(MODEL)
    return folder


def _count_embeds() -> None:
    plain = FakeEmbedder.embed

    def counted(model: FakeEmbedder, texts: Sequence[str]) -> Embeddings:
        COUNTED.calls += 1
        COUNTED.texts += len(texts)
        return plain(model, texts)

    mock.patch.object(FakeEmbedder, "embed", counted).start()
