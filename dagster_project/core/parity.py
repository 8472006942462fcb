"""Whether two warehouses made the same of the same sources."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from dagster_project.core.warehouse import Warehouse


@dataclass(frozen=True)
class Parity:
    """How one kind of row compares.

    Attributes:
        what: the kind.
        rows: rows of the one warehouse and of the other.
        differ: keys of rows that only one has, or that say something else, sorted.
    """

    what: str
    rows: tuple[int, int]
    differ: list[str]


def compare_warehouses(one: Warehouse, other: Warehouse) -> list[Parity]:
    """Compare chunks, documents with their states, and the glossary of two warehouses, row by row.

    A document that is deleted is as one that is not there.

    Raises:
        WarehouseError: one of them cannot be read.
    """
    return [
        _compare("chunks: id and text", _chunks(one), _chunks(other)),
        _compare("documents: what they say, state, version", _lives(one), _lives(other)),
        _compare("glossary", _glossary(one), _glossary(other)),
    ]


def _compare(what: str, one: Mapping[str, Hashable], other: Mapping[str, Hashable]) -> Parity:
    keys = one.keys() | other.keys()
    missing = object()
    differ = sorted(key for key in keys if one.get(key, missing) != other.get(key, missing))
    return Parity(what, (len(one), len(other)), differ)


def _chunks(warehouse: Warehouse) -> dict[str, Hashable]:
    columns = ["chunk_id", "content_hash", "document_id", "chunk_index", "lifecycle_state"]
    rows = warehouse.chunks(columns).to_pylist()
    return {row["chunk_id"]: tuple(row.values()) for row in rows}


def _lives(warehouse: Warehouse) -> dict[str, Hashable]:
    return {
        row["document_id"]: tuple(row.values())
        for row in warehouse.document_states()
        if row["lifecycle_state"] != "deleted"
    }


def _glossary(warehouse: Warehouse) -> dict[str, Hashable]:
    return {
        row["term"]: tuple(tuple(v) if isinstance(v, list) else v for v in row.values())
        for row in warehouse.glossary()
    }
