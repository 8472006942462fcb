"""Whether two warehouses made the same of the same sources."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from dagster_project.core.warehouse import Warehouse

# Of a chunk; not when it was made, nor its date: the glossary's is that of the build.
_COLUMNS = [
    "chunk_id",
    "content_hash",
    "document_id",
    "source_name",
    "doc_type",
    "title",
    "url",
    "chunk_index",
    "section_path",
    "header_length",
    "approx_tokens",
    "valid_from",
    "valid_to",
    "lifecycle_state",
    "is_demoted",
]


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
        _compare("chunks: id, text, facts", _chunks(one), _chunks(other)),
        _compare("documents: state, version, what replaces it", _lives(one), _lives(other)),
        _compare("glossary", _glossary(one), _glossary(other)),
    ]


def _compare(what: str, one: Mapping[str, Hashable], other: Mapping[str, Hashable]) -> Parity:
    keys = one.keys() | other.keys()
    missing = object()
    differ = sorted(key for key in keys if one.get(key, missing) != other.get(key, missing))
    return Parity(what, (len(one), len(other)), differ)


def _chunks(warehouse: Warehouse) -> dict[str, Hashable]:
    return {
        row["chunk_id"]: (
            *(row[name] for name in _COLUMNS),
            tuple(row["access"]),
            _facts(row["payload"]),
        )
        for row in warehouse.chunks([*_COLUMNS, "access", "payload"]).to_pylist()
    }


def _facts(payload: str) -> str:
    """A JSON object as text that does not depend on how the warehouse writes it.

    Numbers count to nine decimals: what one keeps as a decimal can be a float in the other.
    """
    read = json.loads(payload, parse_int=float, parse_float=lambda text: round(float(text), 9))
    return json.dumps(read, sort_keys=True)


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
