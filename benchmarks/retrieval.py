"""How good hybrid search is, and how fast beside pgvector and Postgres's full-text search.

Quality is nDCG@10 on Cranfield through the whole pipeline. Speed is measured on rows made of real
chunks, in several numbers, on both sides in turns in one run. Prints tables; the JSON keeps what
was measured at other numbers of rows before.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

from chunk_retrieval import FOLDER
from retrieval_corpus import EVENTS, built, cranfield_pages, handbook_pages, rows_of
from retrieval_data import Corpus, likeness
from retrieval_peer import server
from retrieval_quality import SOURCE, TOKENS, quality, quality_table
from retrieval_speed import SLICE_SECONDS, Questions, ratios, speed, speed_tables
from rich.console import Console

from dagster_project.core.embedding import load_embedder
from dagster_project.core.embedding.minilm import MINILM

QUESTIONS = 100


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=_numbers, default=[100_000], metavar="ROWS")
    parser.add_argument("--seconds", type=float, default=SLICE_SECONDS, help="of a slice of time")
    parser.add_argument("--tokens", type=_numbers, default=TOKENS, help="of a chunk of Cranfield's")
    parser.add_argument("--folder", type=Path, help="keeps what the pipeline made, for other runs")
    arguments = parser.parse_args()
    for path in (FOLDER, EVENTS):
        if not path.exists():
            sys.exit(f"{path} is not there: set HEADRACE_TEST_DATA to the folder of the test data.")
    os.environ["HEADRACE_PG_FAST"] = "1"
    console = Console()
    result = Path(__file__).with_name("retrieval.json")
    found = json.loads(result.read_text()) if result.is_file() else {}
    found["machine"] = {
        "cores": os.cpu_count(),
        "system": platform.system(),
        "arch": platform.machine(),
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        with server(folder) as url:
            for tokens in arguments.tokens:
                measured = quality(url, folder, tokens, console.log)
                found.setdefault("quality", {})[str(tokens)] = measured
                console.print(quality_table(tokens, measured))
                _write(result, found)
            if arguments.sizes:
                corpora = {
                    f"{SOURCE}_{TOKENS[0]}": (SOURCE, cranfield_pages()),
                    "handbook": ("handbook", handbook_pages()),
                }
                tables = [
                    rows_of(built(url, folder / name, source, pages, TOKENS[0]))
                    for name, (source, pages) in corpora.items()
                ]
                corpus, model = Corpus.of(tables), load_embedder(MINILM)
                found["data"] = {
                    "chunks": len(corpus.texts),
                    "mean_cosine_to_the_model": round(likeness(corpus, model), 4),
                    "questions": 2 * QUESTIONS,
                }
                console.log(found["data"])
                questions = Questions.made(model, QUESTIONS)
            for rows in arguments.sizes:
                measured = speed(
                    url,
                    folder,
                    corpus,
                    questions,
                    model,
                    rows,
                    next(iter(corpora)),
                    arguments.seconds,
                    console.log,
                )
                measured["ratios"] = ratios(measured["speed"])
                found.setdefault("sizes", {})[str(rows)] = measured
                for table in speed_tables(measured):
                    console.print(table)
                for name, ratio in measured["ratios"].items():
                    console.print(f"answers a second by {name}: {ratio:.2f}")
                _write(result, found)


def _write(path: Path, found: dict[str, object]) -> None:
    path.write_text(json.dumps(found, indent=2) + "\n")


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


if __name__ == "__main__":
    main()
