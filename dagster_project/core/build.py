"""The main job: warehouse rows to a published index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dagster_project.core.dbt import Dbt, OnNode
from dagster_project.core.embedding import Embedder, load_embedder
from dagster_project.core.errors import HeadraceError
from dagster_project.core.index import VectorIndex
from dagster_project.core.postgres import EmbeddedPostgres
from dagster_project.core.settings import Settings, postgres_environment
from dagster_project.core.sync import Difference, Progress, SyncReport, compare, sync
from dagster_project.core.warehouse import PostgresWarehouse


class NotPublishedError(HeadraceError):
    """The new version does not hold what the warehouse holds, so readers keep the old one."""


@dataclass(frozen=True)
class BuildReport:
    """What a build did.

    Attributes:
        dbt: the status of each dbt node, by unique id.
        sync: what changed in the index.
        live_version: the version that readers see.
    """

    dbt: Mapping[str, str]
    sync: SyncReport
    live_version: int


class Headrace:
    """The settings' warehouse, dbt project, model and index, each opened at its first use."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings; the embedded Postgres is started by the first use of the warehouse."""
        self.settings = settings
        self._warehouse: PostgresWarehouse | None = None
        self._embedder: Embedder | None = None
        self._dbt: Dbt | None = None
        self._url: str | None = None

    @property
    def postgres_url(self) -> str:
        """The URL of the user's Postgres, or of the embedded one, started where it is down."""
        if self._url is None:
            self._url = self.settings.postgres_url or EmbeddedPostgres(self.settings.home).start()
        return self._url

    @property
    def warehouse(self) -> PostgresWarehouse:
        """The warehouse, with the tables that Headrace writes."""
        if self._warehouse is None:
            self._warehouse = PostgresWarehouse(self.postgres_url, self.settings.schema)
            self._warehouse.prepare()
        return self._warehouse

    @property
    def environment(self) -> dict[str, str]:
        """What `profiles.yml` reads."""
        return postgres_environment(self.postgres_url, self.settings.schema)

    @property
    def dbt(self) -> Dbt:
        """The dbt project."""
        if self._dbt is None:
            self._dbt = Dbt(self.settings, self.environment)
        return self._dbt

    @property
    def embedder(self) -> Embedder:
        """The embedding model, loaded once."""
        if self._embedder is None:
            self._embedder = load_embedder(self.settings.model)
        return self._embedder

    @property
    def index(self) -> VectorIndex:
        """The index of the settings' model."""
        return VectorIndex(self.settings.lancedb_uri, self.settings.model_id)

    def build(
        self,
        arguments: Sequence[str] = (),
        on_node: OnNode | None = None,
        progress: Progress = lambda done, total: None,
    ) -> BuildReport:
        """Run dbt, embed what changed, verify it, publish it.

        Args:
            arguments: more arguments of `dbt build`.
            on_node: called as each dbt node ends.
            progress: called with the chunks handled and the chunks to handle.

        Raises:
            DbtError: a model or a test failed; nothing was embedded.
            NotPublishedError: the index differs from the warehouse; readers keep their version.
        """
        self.warehouse.prepare()
        statuses = self.dbt.build(arguments, on_node)
        report = self.sync(progress)
        return BuildReport(statuses, report, self.publish())

    def sync(self, progress: Progress = lambda done, total: None) -> SyncReport:
        """Write what changed to the newest version of the index; readers do not see it yet."""
        return sync(self.warehouse, self.index, self.embedder, progress)

    def publish(self) -> int:
        """Let readers see the newest version, if it holds what the warehouse holds.

        Raises:
            NotPublishedError: it does not.
        """
        index = self.index
        if index.live_version == index.version:
            return index.version
        difference = compare(self.warehouse, index, live=False)
        if not difference.is_clean:
            raise NotPublishedError(
                f"Version {index.version} of the index was not published: {describe(difference)}. "
                f"Readers keep version {index.live_version}. Run `headrace build` again; it "
                "compares everything and mends it."
            )
        index.publish()
        return index.version

    def verify(self) -> Difference:
        """Compare the warehouse with the version that readers see, row by row."""
        return compare(self.warehouse, self.index)


def describe(difference: Difference) -> str:
    """A difference in a line."""
    return (
        f"{len(difference.missing)} chunks missing, {len(difference.orphans)} orphans, "
        f"{len(difference.duplicates)} duplicates, {len(difference.stale)} stale"
    )
