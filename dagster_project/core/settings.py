"""Settings of the CLI, Dagster and dbt's profile: environment, then the home's ``config.json``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dagster_project.core.errors import ConfigurationError
from dagster_project.core.files import write_json
from dagster_project.core.profile import BigQueryPlace

_HERE = Path(__file__).resolve().parents[1]
# In a clone the dbt package stands beside this one; a wheel carries it inside.
PACKAGE_PROJECT = next(
    (path for path in (_HERE.parent / "dbt_project", _HERE / "_dbt_project") if path.is_dir()),
    _HERE.parent / "dbt_project",
)
EXAMPLE_PROJECT = PACKAGE_PROJECT / "examples" / "saas"
DEFAULT_MODEL = "all-MiniLM-L6-v2"
_INT8 = "onnx-int8"
_BACKENDS = ("onnx", _INT8, "torch")
VECTOR_INDEXES = ("auto", "exact", "ivf_rq", "ivf_hnsw_sq")
_WAREHOUSES = ("postgres", "bigquery")
_METRICS = ("ndcg_at_10", "recall_at_5", "recall_at_10", "mrr_at_10")


@dataclass(frozen=True)
class Settings:
    """Where state lives and what runs on it.

    Attributes:
        home: directory of all local state (Postgres, LanceDB, Dagster), absolute.
        dbt_project: directory of the dbt project to run: the package itself, or a consumer of it.
        postgres_url: the user's own Postgres, or None for the embedded one under ``home``.
        schema: the schema (dataset) that dbt writes models into.
        lancedb_uri: directory or object-store URI of the vector store.
        model: sentence-transformers model name or path; ``fake`` gives deterministic hash vectors.
        embedding_backend: what runs all-MiniLM-L6-v2: ``onnx``, ``onnx-int8`` or ``torch``.
        batch_documents: changed documents that a micro-batch takes at most.
        batch_order: which of them it takes first, ``freshest`` or ``oldest``.
        lock_wait: seconds to wait for another process that runs dbt or writes the index.
        max_file_mb: the largest file that `headrace ingest files` reads, in MB.
        vector_weight, text_weight: what the best by meaning and by words count in a search.
        rerank_model: the cross-encoder that reads a search's best answers again, or empty.
        metric_access: principals who may see the values of metrics; admins may.
        vector_index: ``auto``, ``exact``, ``ivf_rq`` or ``ivf_hnsw_sq``.
        vector_index_rows: rows from which there is a vector index; below, a search compares all.
        bigquery: where BigQuery is the warehouse; None where Postgres is.
        eval_metric: what the gold sets are judged by: ``ndcg_at_10``, ``recall_at_5`` ….
        eval_margin: how much of it a version may lose and still be published, 0 to 1.
        readers: the file that says whose the bearer tokens of a server are, or None.
        mcp_hosts: names, beside those of this machine, that requests may address the server by.
        mcp_per_minute: calls a minute that a reader may make in the long run.
        mcp_burst: calls that a reader may make at once after a pause.
        mcp_concurrent: searches that run at the same time.
    """

    home: Path
    dbt_project: Path
    postgres_url: str | None
    schema: str
    lancedb_uri: str
    model: str
    lock_wait: float = 60.0
    embedding_backend: str = "onnx"
    batch_documents: int = 250
    batch_order: str = "freshest"
    max_file_mb: int = 50
    vector_weight: float = 1.0
    text_weight: float = 0.6
    rerank_model: str = ""
    metric_access: tuple[str, ...] = ()
    vector_index: str = "auto"
    vector_index_rows: int = 50_000
    bigquery: BigQueryPlace | None = None
    eval_metric: str = "ndcg_at_10"
    eval_margin: float = 0.05
    readers: Path | None = None
    mcp_hosts: tuple[str, ...] = ()
    mcp_per_minute: int = 120
    mcp_burst: int = 30
    mcp_concurrent: int = 8

    @classmethod
    def load(
        cls, home: Path | None = None, environment: Mapping[str, str] = os.environ
    ) -> Settings:
        """Read the settings of ``home`` (default: ``HEADRACE_HOME``, else ``.headrace`` here).

        Args:
            home: the directory.
            environment: what comes before the settings that the home keeps.

        Raises:
            ConfigurationError: a setting that cannot be used, with the place it came from.
        """
        home = (
            (home or Path(environment.get("HEADRACE_HOME") or ".headrace")).expanduser().resolve()
        )
        saved = _read_config(home)

        def setting(name: str, default: str) -> str:
            return environment.get(f"HEADRACE_{name.upper()}") or saved.get(name) or default

        dbt_project = Path(setting("dbt_project", str(PACKAGE_PROJECT))).expanduser().resolve()
        if not (dbt_project / "dbt_project.yml").is_file():
            raise ConfigurationError(
                f"HEADRACE_DBT_PROJECT is {dbt_project}, which holds no dbt_project.yml: "
                "point it at the folder of a dbt project that installs the headrace package."
            )
        backend = _one_of(
            "HEADRACE_EMBEDDING_BACKEND",
            setting("embedding_backend", _BACKENDS[0]),
            _BACKENDS,
        )
        warehouse = _one_of("HEADRACE_WAREHOUSE", setting("warehouse", _WAREHOUSES[0]), _WAREHOUSES)
        token = environment.get("DBT_ENV_SECRET_HEADRACE_BQ_TOKEN", "")
        readers = setting("readers", "")
        return cls(
            home=home,
            dbt_project=dbt_project,
            postgres_url=setting("postgres_url", "") or None,
            schema=setting("schema", "headrace"),
            lancedb_uri=setting("lancedb_uri", str(home / "lancedb")),
            model=_model_on(backend, setting("model", DEFAULT_MODEL)),
            embedding_backend=backend,
            batch_documents=_count("HEADRACE_BATCH_DOCUMENTS", setting("batch_documents", "250")),
            batch_order=_one_of(
                "HEADRACE_BATCH_ORDER", setting("batch_order", "freshest"), ("freshest", "oldest")
            ),
            lock_wait=_number("HEADRACE_LOCK_WAIT", setting("lock_wait", "60"), " of seconds"),
            max_file_mb=_count("HEADRACE_MAX_FILE_MB", setting("max_file_mb", "50")),
            vector_weight=_number("HEADRACE_VECTOR_WEIGHT", setting("vector_weight", "1")),
            text_weight=_number("HEADRACE_TEXT_WEIGHT", setting("text_weight", "0.6")),
            rerank_model=setting("rerank_model", ""),
            metric_access=tuple(setting("metric_access", "").replace(",", " ").split()),
            vector_index=_one_of(
                "HEADRACE_VECTOR_INDEX", setting("vector_index", "auto"), VECTOR_INDEXES
            ),
            vector_index_rows=_count(
                "HEADRACE_VECTOR_INDEX_ROWS", setting("vector_index_rows", "50000")
            ),
            bigquery=BigQueryPlace.load(setting, token) if warehouse == "bigquery" else None,
            eval_metric=_one_of(
                "HEADRACE_EVAL_METRIC", setting("eval_metric", _METRICS[0]), _METRICS
            ),
            eval_margin=_number("HEADRACE_EVAL_MARGIN", setting("eval_margin", "0.05"), most=1.0),
            readers=Path(readers).expanduser().resolve() if readers else None,
            mcp_hosts=tuple(setting("mcp_hosts", "").replace(",", " ").split()),
            mcp_per_minute=_count("HEADRACE_MCP_PER_MINUTE", setting("mcp_per_minute", "120")),
            mcp_burst=_count("HEADRACE_MCP_BURST", setting("mcp_burst", "30")),
            mcp_concurrent=_count("HEADRACE_MCP_CONCURRENT", setting("mcp_concurrent", "8")),
        )

    @property
    def model_id(self) -> str:
        """The name that every vector of the model carries."""
        return model_id(self.model)

    def save(self, **values: str) -> None:
        """Keep ``values`` in the home's ``config.json``; the environment still comes first."""
        self.home.mkdir(parents=True, exist_ok=True)
        write_json(self.home / "config.json", _read_config(self.home) | values)


def model_id(model: str) -> str:
    """The name that every vector of a model carries, from the setting that loads it."""
    return "fake-384" if model == "fake" else model.removeprefix("sentence-transformers/")


def _model_on(backend: str, model: str) -> str:
    """The model's name, which says so where the backend changes its vectors."""
    if backend != _INT8:
        return model
    int8 = f"{DEFAULT_MODEL}@{_INT8}"
    if model_id(model) not in {DEFAULT_MODEL, int8}:
        raise ConfigurationError(
            f"HEADRACE_EMBEDDING_BACKEND is {_INT8}, which runs {DEFAULT_MODEL} alone, and "
            f"HEADRACE_MODEL is {model}: set the backend to torch."
        )
    return int8


def _count(name: str, value: str) -> int:
    if not value.isdigit() or int(value) < 1:
        raise ConfigurationError(f"{name} is {value!r}: give a whole number of 1 or more.")
    return int(value)


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ConfigurationError(f"{name} is {value!r}: give one of {', '.join(choices)}.")
    return value


def _number(name: str, value: str, unit: str = "", most: float = sys.float_info.max) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:
        bound = "0 or more" if most == sys.float_info.max else f"from 0 to {most:g}, such as 0.05"
        raise ConfigurationError(f"{name} is {value!r}: give a number{unit}, {bound}.")
    return number


def _read_config(home: Path) -> dict[str, str]:
    path = home / "config.json"
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error}): mend it or delete it."
        ) from error
    if not isinstance(content, dict) or not all(isinstance(v, str) for v in content.values()):
        raise ConfigurationError(f"{path} must be an object of text values: mend it or delete it.")
    return content
