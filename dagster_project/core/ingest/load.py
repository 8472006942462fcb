"""A source's documents become those of a load: one transaction, refusals included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dagster_project.core.errors import ConfigurationError
from dagster_project.core.ingest.documents import Document, clean
from dagster_project.core.warehouse import EVERYONE, RAW_COLUMNS, Refusal, Warehouse

_ACCESS, _BODY = RAW_COLUMNS.index("access"), RAW_COLUMNS.index("body")


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
        access: who may read a document that does not say so itself; everyone, unless said.
        documents: by document_id.
        refused: what could not be read. What was loaded of it before stays; an id that ends in
            ``/`` or ``:`` stands for everything whose id begins so.
        fingerprints: what a document was made of, by document_id, where that is known.
        untouched: documents that need not be made again: their fingerprint is the stored one.
        ignored: what is no document, by kind.
        silent: the documents that do not say who may read them.
    """

    access: Sequence[str] | None = None
    documents: dict[str, Document] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)
    fingerprints: dict[str, str] = field(default_factory=dict)
    untouched: set[str] = field(default_factory=set)
    ignored: dict[str, int] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)

    @property
    def readers(self) -> list[str]:
        """Who may read a document that does not say so itself."""
        return sorted(set(self.access or [EVERYONE]))

    def add(self, document: Document) -> None:
        """Take in a document."""
        if document.access is None:
            self.silent.add(document.document_id)
            document = replace(document, access=self.readers)
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


def stored_fingerprints(warehouse: Warehouse, source: str) -> dict[str, str]:
    """What each document of a source was made of, where that was noted."""
    warehouse.prepare()
    return warehouse.stored_fingerprints(source)


def replace_source(warehouse: Warehouse, source: str, load: Load) -> IngestReport:
    """Make the documents of `source` those of the load, all of them or none.

    Raises:
        ConfigurationError: documents would become everyone's that were not, and nobody said so.
        WarehouseError: the warehouse cannot be written.
    """
    warehouse.prepare()
    known = warehouse.raw_documents(source)
    documents = {key: _values(document) for key, document in load.documents.items()}
    added = [key for key in documents if key not in known]
    changed = [
        key for key, values in documents.items() if key in known and known[key][:-1] != values[:-1]
    ]
    stays = _Stays(load)
    gone = [key for key in known if key not in documents and not stays.holds(key)]
    if not load.access:
        _check_access(source, load, known, gone)
    refused = _one_a_document(load.refused)
    warehouse.write_raw(
        source,
        [documents[key] for key in (*added, *changed)],
        {key: load.fingerprints.get(key) for key in documents},
        gone,
        refused,
    )
    return IngestReport(
        added=len(added),
        changed=len(changed),
        deleted=len(gone),
        unchanged=len(documents) - len(added) - len(changed) + len(load.untouched),
        refused=refused,
        ignored=load.ignored,
    )


def _check_access(
    source: str, load: Load, known: Mapping[str, Sequence[Any]], gone: Sequence[str]
) -> None:
    """Refuse to open to everyone what was not everyone's, under its id or as a file that moved."""
    shut = {key for key, values in known.items() if EVERYONE not in values[_ACCESS]}
    moved = {known[key][_BODY] for key in gone if key in shut}
    opened = [
        key
        for key in sorted(load.silent)
        if key in shut or (key not in known and load.documents[key].body in moved)
    ]
    if opened:
        raise ConfigurationError(
            f"{len(opened)} of the documents of {source}, such as {opened[0]}, would become "
            "everyone's: say who may read them with --access, or --access everyone. Nothing was "
            "changed."
        )


class _Stays:
    """Which documents stay though the load does not hold them."""

    def __init__(self, load: Load) -> None:
        refused = {refusal.document_id for refusal in load.refused}
        self._keys = refused | load.untouched
        self._beginnings = tuple(key for key in refused if key.endswith(("/", ":")))

    def holds(self, key: str) -> bool:
        return key in self._keys or key.startswith(self._beginnings)


def _one_a_document(refused: Iterable[Refusal]) -> list[Refusal]:
    reasons: dict[str, list[str]] = {}
    for refusal in refused:
        reasons.setdefault(refusal.document_id, []).append(refusal.reason)
    return [Refusal(key, "; ".join(dict.fromkeys(said))) for key, said in reasons.items()]


def _values(document: Document) -> tuple[Any, ...]:
    return tuple(getattr(document, name) for name in RAW_COLUMNS)
