"""Documents in Postgres to rows in LanceDB: Headrace, cocoindex, LangChain, LlamaIndex.

All read the same table, make a chunk of each paragraph and embed the same texts with the same fake
embedder. Each runs in a process of its own that stays between the phases; only the work is timed.
What is left in LanceDB is compared with the table after every phase. Then Headrace alone, on tables
of growing size. Prints tables, writes JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from sync_contender import PEERS, ContenderError, ContenderProcess
from sync_data import PARAGRAPHS, change, database, drop, expected, make_source
from sync_growth import growth, growth_tables

from dagster_project.core.postgres import EmbeddedPostgres

PHASES = ("cold", "no-op", "edit 1%", "payload 1%", "delete 1%")
NO_OPS = 5
CONTENDERS = {
    "headrace-sync": "Headrace sync",
    "headrace-live": "Headrace live",
    "headrace-build": "Headrace build",
    "cocoindex": "cocoindex",
    "langchain-full": "LangChain full",
    "langchain-incremental": "LangChain incremental",
    "langchain-watermark": "LangChain incremental, own watermark",
    "llamaindex": "LlamaIndex",
}
CAPTION = (
    "Seconds (median) and texts embedded; a phase that left wrong rows says which. Headrace sync "
    "begins at the chunks that dbt has made; Headrace build runs all of dbt, models and tests; "
    "Headrace live looks at the source and runs the models in between, as `make dev` does. The "
    "peers' time includes reading the table and splitting it at blank lines; cold, with nothing "
    "built before, is `headrace build` in both of the last two."
)
WRONG = ("missing", "orphans", "duplicates", "stale", "wrong_vectors")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=_numbers, default=[1_000, 5_000])
    parser.add_argument("--trials", type=int, default=3, help="whole runs of each contender")
    parser.add_argument("--growth", type=_numbers, default=[10_000, 100_000], metavar="CHUNKS")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(CONTENDERS))
    arguments = parser.parse_args()
    if not PEERS.is_file():
        sys.exit(f"{PEERS} is not there: run `make bench-sync`.")
    console = Console()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        server = EmbeddedPostgres(folder)
        url = server.start()
        try:
            peers = [
                _compare(url, folder, documents, arguments.trials, arguments.only, console.log)
                for documents in arguments.documents
            ]
            grown = growth(url, folder, arguments.growth, console.log) if arguments.growth else []
        finally:
            server.stop()
    for measured in peers:
        console.print(_table(measured))
    for table in growth_tables(grown):
        console.print(table)
    result = Path(__file__).with_name("sync.json")
    result.write_text(
        json.dumps({"machine": _machine(), "documents": peers, "growth": grown}, indent=2) + "\n"
    )


def _compare(
    url: str,
    folder: Path,
    documents: int,
    trials: int,
    names: Sequence[str],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Every contender at one number of documents, one after the other, trial by trial."""
    template = f"source_{documents}"
    make_source(database(url, template), documents)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    failures: dict[str, str] = {}
    for trial in range(trials):
        for name in names:
            if name in failures:
                continue
            own = f"{name}_{documents}_{trial}".replace("-", "_")
            source = database(url, own, template)
            try:
                runs[name].append(_run(name, source, folder / own, documents))
            except ContenderError as error:
                failures[name] = str(error)
            drop(url, own)
            say(f"{documents:,} documents, trial {trial + 1}: {CONTENDERS[name]}")
    drop(url, template)
    rows = {
        name: {"error": failures[name]}
        if name in failures
        else {phase: _middle([run[phase] for run in runs[name]]) for phase in PHASES}
        for name in names
    }
    return {"documents": documents, "chunks": documents * PARAGRAPHS, "rows": rows}


def _run(name: str, url: str, folder: Path, documents: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with ContenderProcess(name, url, folder) as contender:
        for phase in PHASES:
            change(url, phase, documents)
            answers = []
            for _ in range(NO_OPS if phase == "no-op" else 1):
                contender.ask("prepare")
                answers.append(contender.ask("run"))
            found[phase] = _middle(answers) | {"left": contender.ask("check")}
    return found


def _middle(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The answer of median time, with the times of all."""
    ordered = sorted(answers, key=lambda answer: answer["seconds"])
    middle = ordered[len(ordered) // 2]
    seconds = [answer["seconds"] for answer in ordered]
    return middle | {"seconds": statistics.median(seconds), "all_seconds": seconds}


def _table(measured: dict[str, Any]) -> Table:
    documents = measured["documents"]
    table = Table(
        title=f"{documents:,} documents in Postgres, {measured['chunks']:,} rows in LanceDB",
        caption=CAPTION,
    )
    table.add_column("")
    for phase in PHASES:
        embeds, left = expected(phase, documents)
        table.add_column(f"{phase}\n{embeds:,} to embed\n{left:,} rows", justify="right")
    for name, row in measured["rows"].items():
        if "error" in row:
            table.add_row(CONTENDERS[name], row["error"].splitlines()[-1])
            continue
        table.add_row(CONTENDERS[name], *(_cell(row[phase]) for phase in PHASES))
    return table


def _cell(answer: dict[str, Any]) -> str:
    left = answer["left"]
    wrong = [f"{left[kind]:,} {kind.replace('_', ' ')}" for kind in WRONG if left[kind]]
    return "\n".join(
        [f"{answer['seconds']:.3f} s", f"{answer['embeds']:,} embeds", f"{left['rows']:,} rows"]
        + wrong
    )


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def _machine() -> dict[str, Any]:
    return {"cores": os.cpu_count(), "system": platform.system(), "arch": platform.machine()}


if __name__ == "__main__":
    main()
