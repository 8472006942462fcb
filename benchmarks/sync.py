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
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from sync_contender import PEERS, ContenderError, ContenderProcess
from sync_data import PARAGRAPHS, change, database, drop, expected, make_source
from sync_growth import growth, growth_table

from dagster_project.core.postgres import EmbeddedPostgres

PHASES = ("cold", "no-op", "edit 1%", "payload 1%", "delete 1%")
# Repeated so often, or until so many seconds are spent: it is short where it is done well.
NO_OPS, NO_OP_SECONDS = 5, 5.0
CONTENDERS = {
    "headrace-sync": "Headrace sync",
    "headrace-live": "Headrace live",
    "headrace-build": "Headrace build",
    "cocoindex": "cocoindex",
    "langchain-full": "LangChain full",
    "langchain-incremental": "LangChain incremental",
    "langchain-watermark": "LangChain incremental, own watermark",
    "llamaindex": "LlamaIndex",
    "llamaindex-mended": "LlamaIndex, its delete mended",
}
CAPTION = (
    "Median seconds over texts embedded; what is wrong in LanceDB afterwards, where something is. "
    "Headrace sync begins at the chunks that dbt has made. Headrace live looks at the source and "
    "runs the dbt models in between, as `make dev` does; Headrace build runs all of dbt, models "
    "and tests, as both do when nothing was built before. The peers' time includes their reading "
    "of the table and their split at blank lines, which is all the chunking that they do here."
)
WRONG = ("missing", "orphans", "duplicates", "stale", "wrong_vectors")
Say = Callable[[str], None]


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
    result = Path(__file__).with_name("sync.json")
    found = json.loads(result.read_text()) if result.is_file() else {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        server = EmbeddedPostgres(folder)
        url = server.start()
        try:
            for documents in arguments.documents:
                measured = _compare(url, folder, documents, arguments, console.log)
                found[f"documents {documents}"] = measured
                console.print(_table(measured))
                for name, ratio in measured["ratios"].items():
                    console.print(f"{name}: {ratio:.2f}")
            if arguments.growth:
                found["growth"] = growth(url, folder, arguments.growth, console.log)
                console.print(growth_table(found["growth"]))
        finally:
            server.stop()
    machine = {"cores": os.cpu_count(), "system": platform.system(), "arch": platform.machine()}
    result.write_text(json.dumps(found | {"machine": machine}, indent=2) + "\n")


def _compare(
    url: str, folder: Path, documents: int, arguments: argparse.Namespace, say: Say
) -> dict[str, Any]:
    """Every contender at one number of documents, one after the other, trial by trial."""
    template = f"source_{documents}"
    make_source(database(url, template), documents)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in arguments.only}
    for trial in range(arguments.trials):
        for name in runs:
            own = f"{name}_{documents}_{trial}".replace("-", "_")
            source = database(url, own, template)
            runs[name].append(_run(name, source, folder / own, documents))
            drop(url, own)
            shutil.rmtree(folder / own)
            say(f"{documents:,} documents, trial {trial + 1}: {CONTENDERS[name]}")
    drop(url, template)
    rows = {
        name: {phase: _middle([trial[phase] for trial in trials]) for phase in PHASES}
        for name, trials in runs.items()
    }
    return {
        "documents": documents,
        "chunks": documents * PARAGRAPHS,
        "rows": rows,
        "ratios": _ratios(rows),
    }


def _ratios(rows: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Our time by the best peer's, phase by phase; one that is wrong anywhere is no peer."""
    right = [
        name
        for name, row in rows.items()
        if not name.startswith("headrace")
        and not any("error" in row[phase] for phase in PHASES)
        and not any(row[phase]["left"][kind] for phase in PHASES for kind in WRONG)
    ]
    found = {}
    for phase in PHASES if right else ():
        best = min(right, key=lambda name: rows[name][phase]["seconds"])
        for name, row in rows.items():
            if name.startswith("headrace") and "error" not in row[phase]:
                key = f"{phase}, {CONTENDERS[name]} by {CONTENDERS[best]}"
                found[key] = row[phase]["seconds"] / rows[best][phase]["seconds"]
    return found


def _run(name: str, url: str, folder: Path, documents: int) -> dict[str, Any]:
    """A contender's phases; from the one that it fails in, the reason."""
    found: dict[str, Any] = {}
    try:
        with ContenderProcess(name, url, folder) as contender:
            for phase in PHASES:
                change(url, phase, documents)
                answers: list[dict[str, Any]] = []
                while not answers or (phase == "no-op" and not _enough(answers)):
                    contender.ask("prepare")
                    answers.append(contender.ask("run"))
                found[phase] = _middle(answers) | {"left": contender.ask("check")}
    except ContenderError as error:
        reason = str(error).strip().splitlines()[-1].replace(str(folder), "")
        found = {phase: found.get(phase, {"error": reason}) for phase in PHASES}
    return found


def _enough(answers: Sequence[dict[str, Any]]) -> bool:
    spent = sum(answer["seconds"] for answer in answers)
    return len(answers) >= NO_OPS or spent >= NO_OP_SECONDS


def _middle(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The answer of median time, with the times of all; one that is an error stands for all."""
    for answer in answers:
        if "error" in answer:
            return answer
    ordered = sorted(answers, key=lambda answer: answer["seconds"])
    seconds = [time for answer in ordered for time in answer.get("all", [answer["seconds"]])]
    return ordered[len(ordered) // 2] | {"all": sorted(seconds)}


def _table(measured: dict[str, Any]) -> Table:
    documents = measured["documents"]
    table = Table(
        title=f"{documents:,} documents in Postgres, {measured['chunks']:,} chunks in LanceDB",
        caption=CAPTION,
    )
    table.add_column("changed chunks")
    for phase in PHASES:
        table.add_column(f"{phase}\n{expected(phase, documents)[0]:,}", justify="right")
    for name, row in measured["rows"].items():
        table.add_row(CONTENDERS[name], *(_cell(row[phase]) for phase in PHASES))
    errors = {
        f"{CONTENDERS[name]}, {phase}: {row[phase]['error']}"
        for name, row in measured["rows"].items()
        for phase in PHASES[2:3]
        if "error" in row[phase]
    }
    if errors:
        table.caption = "\n".join([CAPTION, *sorted(errors)])
    return table


def _cell(answer: dict[str, Any]) -> str:
    if "error" in answer:
        return "fails"
    left = answer["left"]
    wrong = [f"{left[kind]:,} {kind.replace('_', ' ')}" for kind in WRONG if left[kind]]
    return "\n".join([f"{answer['seconds']:.3f}", f"{answer['embeds']:,}", *wrong])


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


if __name__ == "__main__":
    main()
