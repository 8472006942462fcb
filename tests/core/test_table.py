"""The LanceDB table of a generation, without a warehouse."""

from __future__ import annotations

from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import lancedb
import pyarrow as pa

from dagster_project.core.embedding import FakeEmbedder
from dagster_project.core.index import VectorIndex, index_schema

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
VALUES = {pa.int32(): 1, pa.int64(): 1, pa.date32(): date(2026, 1, 1)}


def _row(number: int, model: FakeEmbedder) -> pa.Table:
    def value(field: pa.Field) -> object:
        if pa.types.is_timestamp(field.type):
            return NOW
        if pa.types.is_fixed_size_list(field.type):
            return model.embed([str(number)]).vectors[0].tolist()
        if pa.types.is_list(field.type):
            return ["everyone"]
        return VALUES.get(field.type, f"{field.name} {number}")

    schema = index_schema(model.dimension)
    return pa.Table.from_pylist([{field.name: value(field) for field in schema}], schema=schema)


def _fragments(index: VectorIndex) -> int:
    table: Any = lancedb.connect(index.uri).open_table(index.name)
    return int(table.stats()["fragment_stats"]["num_fragments"])


def test_a_first_load_is_compacted_before_its_indices_are_made(tmp_path: Path) -> None:
    model = FakeEmbedder()
    index = VectorIndex(str(tmp_path), "chunks", model.model_id)
    index.create(model.dimension)
    for number in range(51):
        index.add(_row(number, model))
    assert _fragments(index) == 51
    index.extend_indices()
    assert _fragments(index) == 1
    # So that the batch after it has nothing to tidy but its own rows.
    index.add(_row(51, model))
    assert not index.needs_maintenance()
    version = index.version
    index.extend_indices()
    assert (index.version, index.count(), index.unindexed_rows()) == (version, 52, 1)
