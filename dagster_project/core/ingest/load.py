"""A source's documents become those of a load: one transaction, refusals included."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import psycopg

from dagster_project.core.errors import ConfigurationError
from dagster_project.core.ingest.documents import Document, clean
from dagster_project.core.warehouse import PostgresWarehouse, Refusal


@dataclass(frozen=True)
class IngestReport:
    """What an ingest did, in documents.

    Attributes:
        added: documents seen for the first time.
        changed: documents that are others now.
        deleted: documents that are gone.
        unchanged: the rest.
        refused: files that could not be read, each with the reason.
        ignored: files and messages that are no documents, by kind.
    """

    added: int
    changed: int
    deleted: int
    unchanged: int
    refused: list[Refusal]
    ignored: dict[str, int] = field(default_factory=dict)


@dataclass
class Load:
    """What a source holds now.

    Attributes:
        documents: by document_id.
        refused: what could not be read. What was loaded of it before stays; an id that ends in
            ``/`` or ``:`` stands for everything whose id begins so.
        fingerprints: what a document was made of, by document_id, where that is known.
        untouched: documents that need not be made again: their fingerprint is the stored one.
        ignored: what is no document, by kind.
    """

    documents: dict[str, Document] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)
    fingerprints: dict[str, str] = field(default_factory=dict)
    untouched: set[str] = field(default_factory=set)
    ignored: dict[str, int] = field(default_factory=dict)

    def add(self, document: Document) -> None:
        """Take in a document."""
        self.documents[document.document_id] = document

    def refuse(self, document_id: str, reason: str) -> None:
        """Set something aside, with the reason."""
        self.refused.append(Refusal(clean(document_id), clean(reason)))

    def ignore(self, kind: str) -> None:
        """Count something that is no document."""
        self.ignored[kind] = self.ignored.get(kind, 0) + 1


def check_source(source: str) -> None:
    """Raise a ConfigurationError where a source cannot have this name."""
    if not source or ":" in source:
        raise ConfigurationError(
            f"--source {source!r}: give a name without a colon, such as handbook."
        )


def stored_fingerprints(warehouse: PostgresWarehouse, source: str) -> dict[str, str]:
    """What each document of a source was made of, where that was noted."""
    warehouse.prepare()
    with warehouse.connect() as connection:
        rows = connection.execute(
            "select document_id, fingerprint from headrace_ops.raw_documents "
            "where source_name = %s and fingerprint is not null",
            (source,),
        ).fetchall()
    return dict(rows)


def replace_source(warehouse: PostgresWarehouse, source: str, load: Load) -> IngestReport:
    """Make the documents of `source` those of the load, in one transaction.

    Raises:
        WarehouseError: the warehouse cannot be written.
    """
    warehouse.prepare()
    with warehouse.connect() as connection:
        known = _known(connection, source)
        added = [key for key in load.documents if key not in known]
        changed = [
            key
            for key, document in load.documents.items()
            if key in known and known[key][:-1] != _values(document)[:-1]
        ]
        stays = _Stays(load)
        gone = [key for key in known if key not in load.documents and not stays.holds(key)]
        _write(connection, load, [*added, *changed])
        connection.execute(
            "delete from headrace_ops.raw_documents where document_id = any(%s)", (gone,)
        )
        refused = _refuse(connection, source, load.refused)
    return IngestReport(
        added=len(added),
        changed=len(changed),
        deleted=len(gone),
        unchanged=len(load.documents) - len(added) - len(changed) + len(load.untouched),
        refused=refused,
        ignored=load.ignored,
    )


class _Stays:
    """Which documents stay though the load does not hold them."""

    def __init__(self, load: Load) -> None:
        refused = {refusal.document_id for refusal in load.refused}
        self._keys = refused | load.untouched
        self._beginnings = tuple(key for key in refused if key.endswith(("/", ":")))

    def holds(self, key: str) -> bool:
        return key in self._keys or key.startswith(self._beginnings)


def _known(connection: psycopg.Connection, source: str) -> dict[str, tuple[Any, ...]]:
    columns = ", ".join(Document.__dataclass_fields__)
    rows = connection.execute(
        f"select {columns} from headrace_ops.raw_documents where source_name = %s",  # noqa: S608
        (source,),
    )
    return {row[0]: row for row in rows}


def _write(connection: psycopg.Connection, load: Load, keys: Iterable[str]) -> None:
    columns = [*Document.__dataclass_fields__, "fingerprint"]
    new = {column: f"excluded.{column}" for column in columns[1:]}
    # A micro-batch sees an edit by its date, which a file may not have moved.
    new["source_updated_at"] = (
        "greatest(excluded.source_updated_at, stored.source_updated_at + interval '1 microsecond')"
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            f"insert into headrace_ops.raw_documents as stored ({', '.join(columns)}) "
            f"values ({', '.join(['%s'] * len(columns))}) on conflict (document_id) do update set "
            + ", ".join(f"{column} = {value}" for column, value in new.items()),
            [(*_values(load.documents[key]), load.fingerprints.get(key)) for key in keys],
        )
        # A document may be the same though its file is another.
        cursor.execute(
            "update headrace_ops.raw_documents as stored set fingerprint = made.fingerprint "
            "from unnest(%s::text[], %s::text[]) as made (document_id, fingerprint) "
            "where stored.document_id = made.document_id "
            "and stored.fingerprint is distinct from made.fingerprint",
            (list(load.documents), [load.fingerprints.get(key) for key in load.documents]),
        )


def _refuse(
    connection: psycopg.Connection, source: str, refused: Iterable[Refusal]
) -> list[Refusal]:
    """Write this load's refusals in place of the last one's; one a document."""
    reasons: dict[str, list[str]] = {}
    for refusal in refused:
        reasons.setdefault(refusal.document_id, []).append(refusal.reason)
    merged = [Refusal(key, "; ".join(dict.fromkeys(said))) for key, said in reasons.items()]
    found_in = f"ingest {source}"
    with connection.cursor() as cursor:
        cursor.execute("delete from headrace_ops.quarantine where found_in = %s", (found_in,))
        cursor.executemany(
            "insert into headrace_ops.quarantine (found_in, document_id, reason) "
            "values (%s, %s, %s)",
            [(found_in, refusal.document_id, refusal.reason) for refusal in merged],
        )
    return merged


def _values(document: Document) -> tuple[Any, ...]:
    return tuple(vars(document).values())
