"""The main job: warehouse rows to a published index."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta

from dagster_project.core.compare import Difference, compare, compare_batches
from dagster_project.core.dbt import Dbt, NodeResult, OnNode
from dagster_project.core.embedding import Embedder, load_embedder
from dagster_project.core.errors import (
    ConfigurationError,
    HeadraceError,
    ModelError,
    VectorStoreError,
)
from dagster_project.core.evals import judge
from dagster_project.core.index import (
    CUT,
    OUT_OF_FORCE,
    Generation,
    GenerationState,
    Maintenance,
    VectorIndex,
    VectorIndexing,
    VectorStore,
)
from dagster_project.core.metrics import Metrics
from dagster_project.core.postgres import EmbeddedPostgres
from dagster_project.core.profile import checked_url, postgres_environment
from dagster_project.core.settings import Settings
from dagster_project.core.sync import Progress, SyncReport, sync
from dagster_project.core.warehouse import PostgresWarehouse, Warehouse
from dagster_project.core.watch import Watch

logger = logging.getLogger(__name__)

# The warehouse has no chunk yet, so it cannot say how it cuts them.
_NO_POLICY = "none"
_KEEP_PUBLISHED_DAYS = 30
_KEEP_ANSWERS_DAYS = 365


class NotPublishedError(HeadraceError):
    """A check that blocks failed, so readers keep the version that they have."""


@dataclass(frozen=True)
class BuildReport:
    """What a build did.

    Attributes:
        dbt: the status of each dbt node, by unique id.
        sync: what changed in the generation that is live now.
        live_version: the version that readers see.
        generation: the generation that readers see.
        others: what changed in each other generation, by name.
        sources: the sources whose change asked for it.
        more: whether changes were left to the next batch.
    """

    dbt: Mapping[str, str]
    sync: SyncReport
    live_version: int
    generation: str
    others: Mapping[str, SyncReport] = field(default_factory=dict)
    sources: Sequence[str] = ()
    more: bool = False


class Headrace:
    """The settings' warehouse, dbt project, models and index, each opened at its first use."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings; the embedded Postgres is started by the first use of the warehouse."""
        self.settings = settings
        self.store = VectorStore(
            settings.lancedb_uri,
            VectorIndexing(settings.vector_index, settings.vector_index_rows),
        )
        self._warehouse: Warehouse | None = None
        self._embedders: dict[str, Embedder] = {}
        self._loading = threading.Lock()
        self._dbt: Dbt | None = None
        self._url: str | None = None
        self._watch: Watch | None = None
        self.metrics = Metrics(self)

    @property
    def postgres_url(self) -> str:
        """The URL of the user's Postgres, or of the embedded one, started where it is down.

        Raises:
            ConfigurationError: the warehouse is BigQuery, or the URL cannot be used.
        """
        if self.settings.bigquery:
            raise ConfigurationError(
                "HEADRACE_WAREHOUSE is bigquery: this needs Postgres. Unset it, or use a home of "
                "its own (HEADRACE_HOME)."
            )
        # Another thread may `reconnect` in between.
        url = self._url
        if url is None:
            given = self.settings.postgres_url
            url = checked_url(given) if given else EmbeddedPostgres(self.settings.home).start()
            self._url = url
        return url

    @property
    def warehouse(self) -> Warehouse:
        """The warehouse, with the tables that Headrace writes."""
        # Another thread may forget it meanwhile: see `reconnect`.
        warehouse = self._warehouse
        if warehouse is None:
            warehouse = self._open_warehouse()
            warehouse.prepare()
            self._warehouse = warehouse
        return warehouse

    def _open_warehouse(self) -> Warehouse:
        settings = self.settings
        if settings.bigquery is None:
            return PostgresWarehouse(self.postgres_url, settings.schema)
        # Imported here: Google's clients take a second to load, and are an extra.
        try:
            from dagster_project.core.warehouse.bigquery import BigQueryWarehouse
        except ImportError as error:
            raise ConfigurationError(
                f"HEADRACE_WAREHOUSE is bigquery and {error.name} is missing: install "
                "`headrace[bigquery]`."
            ) from error
        return BigQueryWarehouse(settings.bigquery, settings.schema, settings.home / "locks")

    @property
    def environment(self) -> dict[str, str]:
        """What `profiles.yml` reads."""
        if self.settings.bigquery is not None:
            return self.settings.bigquery.environment(self.settings.schema)
        return postgres_environment(self.postgres_url, self.settings.schema)

    @property
    def dbt(self) -> Dbt:
        """The dbt project."""
        dbt = self._dbt
        if dbt is None:
            dbt = self._dbt = Dbt(self.settings, self.environment)
        return dbt

    @property
    def watch(self) -> Watch:
        """What looks at the source tables of the dbt project."""
        if self._watch is None:
            self._watch = Watch(self.warehouse, self.dbt.manifest)
        return self._watch

    def reconnect(self) -> None:
        """Forget the warehouse's address: an embedded server that was restarted has another."""
        self._url = self._warehouse = self._dbt = self._watch = None

    def warm_up(self) -> None:
        """Do once what the first micro-batch of a process would wait for.

        Raises:
            VectorStoreError: nothing was published yet.
        """
        self.model(self.live_generation.model).embed(["warm"])
        self.dbt.parse()
        self.watch.changed()
        # dbt's manifest and the model stay: the collector need not go through them in each batch.
        gc.collect()
        gc.freeze()

    def model(self, name: str) -> Embedder:
        """An embedding model, loaded once, however many threads ask for it."""
        with self._loading:
            if name not in self._embedders:
                self._embedders[name] = load_embedder(name, self.settings.embedding_backend)
            return self._embedders[name]

    @property
    def generation(self) -> Generation:
        """The generation that readers see; before the first is published, the one to fill."""
        return self.store.live() or self.target()

    @property
    def embedder(self) -> Embedder:
        """The model of `generation`."""
        return self.model(self.generation.model)

    @property
    def index(self) -> VectorIndex:
        """The index of `generation`."""
        return self.store.index(self.generation)

    @property
    def live_generation(self) -> Generation:
        """The generation that readers see.

        Raises:
            VectorStoreError: nothing was published yet.
        """
        live = self.store.live()
        if live is None:
            raise VectorStoreError(
                f"The index in {self.settings.lancedb_uri} was never published: run "
                "`headrace build`."
            )
        return live

    @property
    def live_index(self) -> VectorIndex:
        """The index that readers see.

        Raises:
            VectorStoreError: nothing was published yet.
        """
        return self.store.index(self.live_generation)

    def target(self) -> Generation:
        """The generation of the settings' model and the warehouse's way of cutting.

        It is begun where there is none: readers do not see it until it is promoted.
        """
        settings, live = self.settings, self.store.live()
        # Where no chunk is left, the live generation's way is as good as any.
        policy = self.warehouse.chunking_policy() or (live.chunking_policy if live else _NO_POLICY)
        return self.store.find(settings.model_id, policy) or self.store.begin(
            settings.model, settings.model_id, self.model(settings.model).dimension, policy
        )

    def build(
        self,
        arguments: Sequence[str] = (),
        on_node: OnNode | None = None,
        progress: Progress = lambda done, total: None,
        *,
        promote: bool = True,
        gate: Callable[[Headrace], None] = lambda headrace: None,
    ) -> BuildReport:
        """Run dbt, embed what changed, verify it, publish it.

        Args:
            arguments: more arguments of `dbt build`.
            on_node: called as each dbt node ends.
            progress: called with the chunks handled and the chunks to handle.
            promote: whether a new generation goes live when it is filled and checked.
            gate: looks at what dbt made, before any of it is embedded, and raises what stops it:
                `checks.hold_back` asks the checks that block.

        Raises:
            DbtError: a model or a test failed; nothing was embedded.
            NotPublishedError: the index differs from the warehouse, or does not answer the gold
                sets; readers keep their version.
        """
        with self.warehouse.lock("build", self.settings.lock_wait):
            results = self.transform(arguments, on_node)
            gate(self)
            return self._follow(
                results, self.watch.everything(), progress, promote=promote, evaluate=True
            )

    def micro_batch(
        self,
        sources: Sequence[str],
        progress: Progress = lambda done, total: None,
    ) -> BuildReport:
        """Bring what changed in some sources to readers: only the dbt models in between run.

        Args:
            sources: as `Watch.changed` names them.
            progress: called with the chunks handled and the chunks to handle.

        Raises:
            DbtError: a model failed; nothing was embedded, and the sources still count as changed.
            NotPublishedError: the index differs from the warehouse; readers keep their version.
        """
        with self.warehouse.lock("build", self.settings.lock_wait):
            results, more = self.chunk(sources)
            return self._follow(results, sources, progress, more=more)

    def transform(
        self, arguments: Sequence[str] = (), on_node: OnNode | None = None
    ) -> Mapping[str, NodeResult]:
        """Run dbt's models and data tests, and note what state of the sources they read.

        Raises:
            DbtError: a model or a test failed.
        """
        self.warehouse.prepare()
        self.watch.begin(self.watch.everything())
        return self.dbt.build(arguments, on_node)

    def chunk(self, sources: Sequence[str]) -> tuple[Mapping[str, NodeResult], bool]:
        """Run the dbt models between some sources and the chunks, for one batch of documents.

        Returns:
            What became of each node, by unique id, and whether documents were left to the next.

        Raises:
            DbtError: a model failed.
        """
        warehouse, limit = self.warehouse, self.settings.batch_documents
        # Before the batch's own mark takes the place of the last one's.
        since = warehouse.changed_since(sources)
        self.watch.begin(sources)
        before = warehouse.document_batch()[0]
        results = self.dbt.run(
            self.watch.plan(sources),
            {
                "headrace_batch_documents": limit,
                "headrace_batch_order": self.settings.batch_order,
                "headrace_batch_models": self.watch.document_models(sources),
                "headrace_batch_since": since.isoformat() if since else "",
            },
        )
        newest, documents = warehouse.document_batch()
        more = newest != before and documents >= limit
        if more:
            self.watch.is_cut(sources)
        return results, more

    def _follow(
        self,
        results: Mapping[str, NodeResult],
        sources: Sequence[str],
        progress: Progress,
        *,
        promote: bool = True,
        more: bool = False,
        evaluate: bool = False,
    ) -> BuildReport:
        """What comes after dbt: sync, check, publish."""
        reports: dict[str, SyncReport] = {}

        def bring(generation: Generation) -> None:
            reports[generation.name] = self.sync(generation, progress)
            self.publish(generation, evaluate=evaluate)
            if promote and generation.state is not GenerationState.LIVE:
                self.store.promote(generation.name)

        self.for_each(bring)
        self.warehouse.mark_seen(sources)
        live = self.generation
        return BuildReport(
            dbt={key: result.status for key, result in results.items()},
            sync=reports.pop(live.name, SyncReport()),
            live_version=self.store.index(live).live_version or 0,
            generation=live.name,
            others=reports,
            sources=sources,
            more=more,
        )

    def for_each(self, work: Callable[[Generation], object]) -> None:
        """Do something for each generation that is to be brought up to date.

        One after the other, so that what readers see is fresh before a new one is filled. A live
        index that is broken, or whose model is, does not hold up the one that replaces it.

        Raises:
            VectorStoreError, ModelError: the generation that is to be live cannot be filled.
        """
        for generation in self.to_sync():
            try:
                work(generation)
            except (VectorStoreError, ModelError) as error:
                if generation.name == self.target().name:
                    raise
                logger.warning("Readers still have what %s held: %s", generation.name, error)

    def to_sync(self) -> list[Generation]:
        """The live generation, where the warehouse still cuts as it did, and the one to fill.

        A generation that was rolled back is not filled again: promote it by name, or change the
        model.
        """
        live, target = self.store.live(), self.target()
        found = []
        if live is not None and live.chunking_policy == target.chunking_policy:
            found.append(live)
        if target.state is not GenerationState.HELD and target not in found:
            found.append(target)
        return found

    def sync(
        self,
        generation: Generation | None = None,
        progress: Progress = lambda done, total: None,
        *,
        everything: bool = False,
    ) -> SyncReport:
        """Write what changed to the newest version of an index; readers do not see it yet.

        Args:
            generation: which; the one that readers see, unless said.
            progress: called with the chunks handled and the chunks to handle.
            everything: compare everything, whatever the index says it holds, and mend it.

        Raises:
            WarehouseError: the warehouse cannot be read, or another process syncs.
            VectorStoreError: the index cannot be written, or another process writes it.
        """
        generation = generation or self.generation
        index = self.store.index(generation)
        if not everything and index.exists:
            newest = self.warehouse.batch_range()[1]
            if newest is not None and index.mark() == newest:
                # Nothing to do: no lock, and no model is loaded.
                return SyncReport(batch_id=newest, version=index.version)
        with self._writing(generation):
            return sync(
                self.warehouse,
                index,
                self.model(generation.model),
                progress,
                donor=self._donor(generation),
                wait_seconds=self.settings.lock_wait,
                everything=everything,
            )

    def _writing(self, generation: Generation) -> AbstractContextManager[None]:
        """Write an index alone, wherever others run: an object store has no lock of its own."""
        return self.warehouse.lock(f"sync {generation.name}", self.settings.lock_wait)

    def _donor(self, generation: Generation) -> VectorIndex | None:
        """While a generation is filled, one of the same model over chunks cut otherwise."""
        if generation.state is GenerationState.LIVE:
            return None
        for other in reversed(self.store.generations()):
            index = self.store.index(other)
            # One that is rebuilt over the same chunks is not to take what may be broken.
            cut_otherwise = other.chunking_policy != generation.chunking_policy
            if cut_otherwise and other.model_id == generation.model_id and index.exists:
                return index
        return None

    def publish(self, generation: Generation | None = None, *, evaluate: bool = False) -> int:
        """Let readers of a generation see its newest version, if it holds what the warehouse holds.

        The batches since the last publication are compared; the first time, everything.

        Args:
            generation: which; the one that readers see, unless said.
            evaluate: ask the gold sets too. Those of a generation that readers do not see are
                asked always, and so is what follows a version that they refused.

        Raises:
            NotPublishedError: it does not, or does not answer the gold sets.
        """
        generation = generation or self.generation
        index = self.store.index(generation)
        with self._writing(generation), index.writer(self.settings.lock_wait):
            version, live = index.version, index.live_version
            if live != version:
                started = time.perf_counter()
                found = self.check(generation)
                if not found.is_clean:
                    raise NotPublishedError(
                        f"Version {version} of the index was not published: {found}. Readers keep "
                        f"version {index.live_version}. `headrace verify --repair` compares "
                        "everything and mends it."
                    )
                self._refuse_unfit(index)
                if evaluate or generation.state is not GenerationState.LIVE or index.is_refused:
                    self._refuse_worse(generation, index)
                checked = time.perf_counter()
                before, mark = self.warehouse.last_publication(generation.name), index.mark()
                index.publish()
                self.warehouse.ledger_published(
                    generation.name, version, checked - started, time.perf_counter() - checked
                )
                # A first publication is a load, not a change that somebody waits for.
                if live is not None and before is not None and mark is not None:
                    self.warehouse.write_published(generation.name, before.batch_id, mark)
        if self.store.live() is None:
            self.store.promote(generation.name)
        return version

    @staticmethod
    def _refuse_unfit(index: VectorIndex) -> None:
        """Keep from readers a version with a row that none is to find, or that the model cut."""
        for condition, what in (
            (OUT_OF_FORCE, "is of a document that is not in force: run `headrace build`"),
            (CUT, "is longer than the model reads: lower headrace_chunk_tokens"),
        ):
            rows = index.where(condition, ["chunk_id", "document_id"], live=False).to_pylist()
            if rows:
                raise NotPublishedError(
                    f"Version {index.version} of the index was not published: {len(rows)} chunks, "
                    f"such as one of {rows[0]['document_id']}: it {what}. Readers keep version "
                    f"{index.live_version}."
                )

    def _refuse_worse(self, generation: Generation, index: VectorIndex) -> None:
        """Keep from readers a version that answers the gold sets worse than what they have."""
        verdict = judge(self, generation)
        if verdict is not None and verdict.refuses:
            raise NotPublishedError(
                f"Version {index.version} of {generation.name} was not published: "
                f"{'; '.join(verdict.refuses)}. Readers keep what they have. `headrace eval` shows "
                "the questions: mend what answers them, or the gold set; HEADRACE_EVAL_MARGIN is "
                "what a version may lose. `headrace generations rollback --as-it-is` asks none."
            )

    def check(self, generation: Generation | None = None) -> Difference:
        """Compare what is to be published with the warehouse, as of the batch that it follows."""
        index = self.store.index(generation or self.generation)
        mark, live_mark = index.mark(), index.live_mark()
        first = self.warehouse.batch_range()[0]
        # A table that was built anew has no tombstones of what went.
        if mark is None or live_mark is None or first is None or first > live_mark:
            return compare(self.warehouse, index, live=False, upto=mark)
        return compare_batches(self.warehouse, index, live_mark, mark)

    def promote(self, name: str, *, as_it_is: bool = False) -> Generation:
        """Bring a generation up to date, check it, and let readers see it.

        Args:
            name: the generation's.
            as_it_is: show it as it was left. Readers find again what was deleted since, or is not
                for them any more.

        Raises:
            VectorStoreError: there is none of that name.
            ConfigurationError: its chunks were cut in another way than the warehouse's now, so that
                it cannot be brought up to date.
            NotPublishedError: it does not hold what the warehouse holds, or does not answer the
                gold sets.
        """
        if not as_it_is:
            self._bring_up(self.store.named(name))
        return self.store.promote(name)

    def rollback(self, *, as_it_is: bool = False) -> Generation:
        """Let readers see the generation that was live before, brought up to date and checked.

        Args:
            as_it_is: see `promote`.

        Raises:
            VectorStoreError, ConfigurationError, NotPublishedError: see `promote`.
        """
        if not as_it_is:
            self._bring_up(self.store.previous())
        return self.store.rollback()

    def _bring_up(self, generation: Generation) -> None:
        if generation.chunking_policy != self.warehouse.chunking_policy():
            raise ConfigurationError(
                f"{generation.name} has chunks that were cut in another way than the warehouse's "
                "now, so that it cannot be brought up to date: change that back and build, or show "
                "it --as-it-is, with what was deleted since or is not for all its readers any more."
            )
        self.sync(generation)
        self.publish(generation)

    def rebuild(self) -> Generation:
        """Begin a new generation of the settings' model, whether or not there is one."""
        target = self.target()
        return self.store.begin(
            target.model, target.model_id, target.dimension, target.chunking_policy
        )

    def maintain(self, keep: timedelta) -> Maintenance:
        """Tidy the index that readers see; versions younger than `keep` stay for them.

        Raises:
            VectorStoreError: nothing was published yet, or another process writes.
        """
        generation = self.live_generation
        index = self.store.index(generation)
        self.warehouse.forget_published(_KEEP_PUBLISHED_DAYS)
        self.warehouse.forget_answers(_KEEP_ANSWERS_DAYS)
        with self._writing(generation), index.writer(self.settings.lock_wait):
            return index.maintain(keep)

    def verify(self, *, content: bool = False, under_way: float = 0.0) -> Difference:
        """Compare the warehouse with the version that readers see, row by row.

        Args:
            content: compare all that a row says and that its vector is one, not hashes alone.
            under_way: leave out what batches of the last so many seconds did since the one that
                readers see: while batches run, there is nearly always one on its way.
        """
        index, upto = self.live_index, None
        if under_way:
            # A batch's number is the time when it began, in milliseconds.
            upto = max(index.live_mark() or 0, int((time.time() - under_way) * 1_000))
        return compare(self.warehouse, index, upto=upto, content=content)

    def repair(self, progress: Progress = lambda done, total: None) -> SyncReport:
        """Compare everything, mend what differs, and publish that."""
        report = self.sync(progress=progress, everything=True)
        self.publish()
        return report
