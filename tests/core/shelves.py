"""An index filled by hand, without a warehouse, for tests of what readers find in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dagster_project.core.build import Headrace
from dagster_project.core.index import index_schema
from dagster_project.core.settings import PACKAGE_PROJECT, Settings

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


def shelves(home: Path, **settings: Any) -> Headrace:  # noqa: ANN401 - values of Settings
    """Headrace on an empty store; nobody may ask it for a warehouse."""
    values: dict[str, Any] = {
        "home": home,
        "dbt_project": PACKAGE_PROJECT,
        "postgres_url": "postgresql://nobody@127.0.0.1:1/nothing",
        "schema": "headrace",
        "lancedb_uri": str(home / "lancedb"),
        "model": "fake",
    }
    return Headrace(Settings(**(values | settings)))


def chunk(document_id: str, text: str, *, index: int = 0, **values: Any) -> dict[str, Any]:  # noqa: ANN401
    """A row of the index but its vector; `payload` is given as it is meant, not as JSON."""
    title = values.get("title", document_id)
    section = values.get("section_path", title)
    header = f"{section}\n\n"
    row = {
        "chunk_id": f"{document_id}#{index}",
        "document_id": document_id,
        "source_name": "tests",
        "doc_type": "note",
        "title": title,
        "url": None,
        "chunk_index": index,
        "section_path": section,
        "chunk_text": header + text,
        "header_length": len(header),
        "content_hash": hashlib.sha256((header + text).encode()).hexdigest(),
        "approx_tokens": len(text.split()),
        "access": ["everyone"],
        "valid_from": None,
        "valid_to": None,
        "lifecycle_state": "active",
        "is_demoted": False,
        "source_updated_at": NOW,
        "row_hash": "row",
        "batch_id": 1,
        "dbt_invocation_id": "run-1",
        "windows": 1,
        "indexed_at": NOW,
    }
    return row | values | {"payload": json.dumps(values.get("payload", {}), ensure_ascii=False)}


def put(
    headrace: Headrace,
    rows: Iterable[dict[str, Any]],
    vectors: NDArray[np.float32] | None = None,
    *,
    indexed: bool = True,
) -> None:
    """Add rows and publish them.

    Args:
        headrace: whose live generation they are of; begun where there is none.
        rows: as `chunk` makes them.
        vectors: theirs; those of the model, unless said.
        indexed: whether indices that are missing are made.
    """
    listed = list(rows)
    model = headrace.model(headrace.settings.model)
    store = headrace.store
    generation = store.live() or store.begin("fake", model.model_id, model.dimension, "none")
    index = store.index(generation)
    index.create(model.dimension)
    if vectors is None:
        vectors = model.embed([row["chunk_text"] for row in listed]).vectors
    index.add(
        pa.Table.from_pylist(
            [
                {**row, "model_id": model.model_id, "vector": vector.tolist()}
                for row, vector in zip(listed, vectors, strict=True)
            ],
            schema=index_schema(model.dimension),
        )
    )
    if indexed:
        index.extend_indices()
    index.publish()
    store.promote(generation.name)
