"""The generations of the index: which tables there are, and which of them readers see."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from enum import Enum
from typing import Any

import lancedb
import pyarrow as pa

from dagster_project.core.errors import VectorStoreError
from dagster_project.core.index.filters import is_one_of
from dagster_project.core.index.indices import VectorIndexing
from dagster_project.core.index.lock import writer_lock
from dagster_project.core.index.opening import open_table
from dagster_project.core.index.table import VectorIndex

_REGISTRY = "generations"
_SCHEMA = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("model_id", pa.string(), nullable=False),
        pa.field("dimension", pa.int32(), nullable=False),
        pa.field("chunking_policy", pa.string(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("created_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("promoted_at", pa.timestamp("us", tz="UTC")),
    ]
)


class GenerationState(str, Enum):
    """What becomes of a generation."""

    BUILDING = "building"  # being filled beside the live one
    LIVE = "live"  # what readers see
    PREVIOUS = "previous"  # was live; kept for rollback
    # Was rolled back, or refused by a gold set: no build makes it live, only `promote` does.
    HELD = "held"


@dataclass(frozen=True)
class Generation:
    """An index of one model over one way of cutting.

    Attributes:
        name: the LanceDB table.
        model: the setting that loads the model.
        model_id: the name that every vector carries.
        dimension: of the vectors.
        chunking_policy: how the warehouse cut the chunks.
        state: whether readers see it.
        created_at, promoted_at: when it was begun, and when it last went live, UTC.
    """

    name: str
    model: str
    model_id: str
    dimension: int
    chunking_policy: str
    state: GenerationState
    created_at: datetime
    promoted_at: datetime | None = None


class VectorStore:
    """A LanceDB directory or URI with the generations in it.

    They are listed in a small LanceDB table, so that one commit moves readers from one to another
    on every kind of store.
    """

    def __init__(self, uri: str, indexing: VectorIndexing | None = None) -> None:
        """Take the store's directory or URI and the vector index that its tables are to have.

        Nothing is opened or made yet.
        """
        self.uri = uri
        self._indexing = indexing
        # The list and its version: every search asks what is live, and it seldom changes.
        self._listed: Any = None
        self._read: tuple[int, list[Generation]] | None = None

    def generations(self) -> list[Generation]:
        """All of them, oldest first."""
        registry = self._registry()
        if registry is None:
            return []
        read, version = self._read, int(registry.version)
        if read is None or read[0] != version:
            rows = registry.search().limit(10_000).to_list()
            found = [Generation(**(row | {"state": GenerationState(row["state"])})) for row in rows]
            read = (version, sorted(found, key=lambda generation: generation.created_at))
            self._read = read
        return list(read[1])

    def live(self) -> Generation | None:
        """The one that readers see."""
        return next((g for g in self.generations() if g.state is GenerationState.LIVE), None)

    def named(self, name: str) -> Generation:
        """The generation of a name.

        Raises:
            VectorStoreError: there is none.
        """
        known = self.generations()
        for generation in known:
            if generation.name == name:
                return generation
        raise VectorStoreError(
            f"The store {self.uri} has no generation {name!r}: it has "
            f"{', '.join(g.name for g in known) or 'none yet'}."
        )

    def index(self, generation: Generation) -> VectorIndex:
        """The index of a generation."""
        return VectorIndex(self.uri, generation.name, generation.model_id, self._indexing)

    def find(self, model_id: str, chunking_policy: str) -> Generation | None:
        """The newest generation of a model and a way of cutting."""
        fitting = [
            generation
            for generation in self.generations()
            if (generation.model_id, generation.chunking_policy) == (model_id, chunking_policy)
        ]
        return fitting[-1] if fitting else None

    def begin(self, model: str, model_id: str, dimension: int, chunking_policy: str) -> Generation:
        """List a new generation, empty and unseen by readers; its table is made by the sync."""
        with self._changing():
            known = self.generations()
            number = 1 + max((int(g.name.rsplit("_", 1)[1]) for g in known), default=0)
            words = re.sub(r"[^a-z0-9]+", "_", model_id.lower()).strip("_")
            generation = Generation(
                name=f"chunks_{words}_{number:04}",
                model=model,
                model_id=model_id,
                dimension=dimension,
                chunking_policy=chunking_policy,
                state=GenerationState.BUILDING,
                created_at=datetime.now(timezone.utc),
            )
            self._write([generation])
        return generation

    def promote(self, name: str) -> Generation:
        """Let readers see a generation; the one that they saw is kept as the previous one.

        Raises:
            VectorStoreError: there is none of that name, or nothing in it was published.
        """
        return self._switch(name, GenerationState.PREVIOUS)

    def rollback(self) -> Generation:
        """Let readers see the generation that was live before; the one they saw is held.

        Raises:
            VectorStoreError: no earlier generation is there.
        """
        return self._switch(self.previous().name, GenerationState.HELD)

    def previous(self) -> Generation:
        """The generation that was live before.

        Raises:
            VectorStoreError: no earlier generation is there.
        """
        previous = [g for g in self.generations() if g.state is GenerationState.PREVIOUS]
        if not previous:
            raise VectorStoreError(
                f"The store {self.uri} has no previous generation to go back to."
            )
        return max(previous, key=lambda generation: str(generation.promoted_at))

    def hold(self, name: str) -> None:
        """Keep builds from filling a generation that readers do not see; `promote` still may.

        Raises:
            VectorStoreError: there is none of that name.
        """
        with self._changing():
            generation = self.named(name)
            if generation.state is not GenerationState.LIVE:
                self._write([replace(generation, state=GenerationState.HELD)])

    def _switch(self, name: str, leaves: GenerationState) -> Generation:
        with self._changing():
            to, live = self.named(name), self.live()
            if to.state is GenerationState.LIVE:
                return to
            index = self.index(to)
            if not index.exists or index.live_version is None:
                raise VectorStoreError(
                    f"The generation {name} was never published, so readers cannot go to it: run "
                    "`headrace build`."
                )
            now = datetime.now(timezone.utc)
            promoted = replace(to, state=GenerationState.LIVE, promoted_at=now)
            self._write([promoted, *([replace(live, state=leaves)] if live else [])])
        return promoted

    def retire(self, name: str) -> Generation:
        """Remove a generation with its vectors.

        Raises:
            VectorStoreError: there is none of that name, readers see it, or a sync writes it.
        """
        with self._changing():
            generation = self.named(name)
            if generation.state is GenerationState.LIVE:
                raise VectorStoreError(
                    f"Readers see the generation {name}: promote another one or roll back first."
                )
            index = self.index(generation)
            with index.writer():
                # Off the list first: a crash in between leaves a table that nobody looks for.
                self._registry().delete(is_one_of("name", [generation.name]))
                index.drop()
        return generation

    def _changing(self) -> Any:  # noqa: ANN401 - a context manager
        return writer_lock(self.uri, _REGISTRY, wait_seconds=30)

    def _registry(self) -> Any:  # noqa: ANN401 - LanceDB's tables are untyped
        """The list at its newest version; None where there is none yet."""
        listed = self._listed
        if listed is not None:
            try:
                listed.checkout_latest()
                return listed
            except (OSError, RuntimeError, ValueError):
                # Opening it anew finds the way back, or that it is gone.
                pass
        listed = self._listed = open_table(self.uri, _REGISTRY)
        return listed

    def _write(self, generations: list[Generation]) -> None:
        rows = pa.Table.from_pylist(
            [vars(generation) | {"state": generation.state.value} for generation in generations],
            schema=_SCHEMA,
        )
        registry = self._registry()
        if registry is None:
            lancedb.connect(self.uri).create_table(_REGISTRY, rows)
        else:
            registry.merge_insert(
                "name"
            ).when_matched_update_all().when_not_matched_insert_all().execute(rows)
