"""The LanceDB table of a generation, without a warehouse."""

from __future__ import annotations

import threading
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import lancedb
import pyarrow as pa

from dagster_project.core.embedding import FakeEmbedder
from dagster_project.core.index import VectorIndex, index_schema

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
VALUES = {pa.int32(): 1, pa.int64(): 1, pa.date32(): date(2026, 1, 1), pa.bool_(): False}


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


def test_a_reader_is_served_while_a_writer_moves_tags(tmp_path: Path) -> None:
    model = FakeEmbedder()
    index = VectorIndex(str(tmp_path), "chunks", model.model_id)
    index.create(model.dimension)
    index.add(_row(0, model))
    index.publish()
    done = threading.Event()
    errors: list[Exception] = []

    def read() -> None:
        reader = VectorIndex(str(tmp_path), "chunks", model.model_id)
        try:
            while not done.is_set():
                assert reader.live().count_rows() >= 1
                assert reader.live_version is not None
                reader.mark()
        except Exception as error:
            errors.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in readers:
        thread.start()
    for number in range(1, 41):
        index.add(_row(number, model))
        index.set_mark(number)
        index.publish()
    done.set()
    for thread in readers:
        thread.join()
    assert not errors
