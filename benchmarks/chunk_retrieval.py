"""Does the way of cutting cost retrieval? Dense nDCG@10 on Cranfield, our chunks and LangChain's.

A document's score is its best chunk's. All judged pairs count as relevant, read as binary.
A budget under the window of the model, so that the documents are really cut. Prints a table, writes
JSON.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from chunkers import DATA, Chunks, langchain, ours
from rich.console import Console
from rich.table import Table

from dagster_project.core.embedding import Embedder, load_embedder

FOLDER = DATA / "cranfield"
TOKENS = (128, 256)


def main() -> None:
    """Measure and print."""
    if not FOLDER.is_dir():
        sys.exit(f"{FOLDER} is not there: set HEADRACE_TEST_DATA to the folder of the test data.")
    texts, queries, relevant = read_cranfield()
    embedder = load_embedder("all-MiniLM-L6-v2")
    asked = embedder.embed(queries).vectors
    table = Table(title="Cranfield, dense nDCG@10 by best chunk")
    for column in ("chunks of at most", "cut by", "chunks", "nDCG@10"):
        table.add_column(column)
    measured = []
    for tokens in TOKENS:
        full, _ = ours(texts, tokens)
        peer = langchain(texts, tokens)
        for name, chunks in {
            "Headrace": full,
            "LangChain": peer["plain"],
            "LangChain, title in front": peer["titled"],
        }.items():
            score = _score(embedder, asked, chunks, relevant)
            count = sum(map(len, chunks))
            measured.append({"tokens": tokens, "cut_by": name, "chunks": count, "ndcg@10": score})
            table.add_row(f"{tokens} tokens", name, f"{count:,}", f"{score:.3f}")
    Console().print(table)
    result = Path(__file__).with_name("chunk_retrieval.json")
    result.write_text(json.dumps(measured, indent=2) + "\n")


def read_cranfield() -> tuple[list[tuple[str, str]], list[str], dict[int, set[int]]]:
    """Title and body of each document, the questions, and a question's documents by number."""
    documents = _records(FOLDER / "cran.all.1400")
    texts = [(record.get("T", "").strip(), record.get("W", "").strip()) for record in documents]
    queries = [record["W"] for record in _records(FOLDER / "cran.qry")]
    relevant: dict[int, set[int]] = defaultdict(set)
    for line in (FOLDER / "cranqrel").read_text().splitlines():
        if len(fields := line.split()) >= 3:
            relevant[int(fields[0]) - 1].add(int(fields[1]) - 1)
    return texts, queries, relevant


def _records(path: Path) -> list[dict[str, str]]:
    records: list[dict[str, str]] = []
    field = ""
    for line in path.read_text(errors="ignore").splitlines():
        if line.startswith(".I"):
            records.append({})
        elif re.fullmatch(r"\.[TABW]\s*", line):
            field = line[1]
        elif records:
            records[-1][field] = records[-1].get(field, "") + line + " "
    return records


def _score(
    embedder: Embedder, asked: np.ndarray, chunks: list[Chunks], relevant: dict[int, set[int]]
) -> float:
    """nDCG@10, averaged over the queries."""
    owners = np.array([number for number, parts in enumerate(chunks) for _ in parts])
    vectors = embedder.embed([chunk for parts in chunks for chunk in parts]).vectors
    return ndcg(asked, vectors, owners, relevant)


def ndcg(
    asked: np.ndarray, vectors: np.ndarray, owners: np.ndarray, relevant: dict[int, set[int]]
) -> float:
    """nDCG@10, averaged over the queries.

    Args:
        asked: unit vectors of the queries, shape (queries, dimension).
        vectors: of the chunks, shape (chunks, dimension).
        owners: the number of each chunk's document, shape (chunks,).
        relevant: query to documents, by number.
    """
    total = 0.0
    for number, similarities in enumerate(asked @ vectors.T):
        best = np.full(owners.max() + 1, -np.inf)
        np.maximum.at(best, owners, similarities)
        ranked = np.argsort(-best)[:10]
        found = relevant.get(number, set())
        gain = sum(1 / math.log2(rank + 2) for rank, doc in enumerate(ranked) if int(doc) in found)
        ideal = sum(1 / math.log2(rank + 2) for rank in range(min(10, len(found))))
        total += gain / ideal if ideal else 0.0
    return total / len(asked)


if __name__ == "__main__":
    main()
