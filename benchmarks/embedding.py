"""How fast texts become vectors, against plain SentenceTransformer.encode, and how good they are.

Speed is measured on chunks as Headrace cuts them (the example company's documents, and as many of
Cranfield's) and on chunks of 256 tokens, the most the model reads. Variants take turns, so that
what else the machine does meets all of them; a figure is the median of the turns' ratios. Quality
is Cranfield's dense nDCG@10 with a vector a document; a document the model cannot read whole is
averaged over windows, by all variants alike. Prints a table, writes JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import frontmatter
import numpy as np
from chunk_retrieval import FOLDER, ndcg, read_cranfield
from chunkers import ROOT, ours
from embedding_variants import ONNX, REFERENCE, STARTS, Encode, start, variants
from rich.console import Console
from rich.table import Table

from dagster_project.core.embedding.sentence_transformer import SentenceTransformerEmbedder
from dagster_project.core.embedding.windows import average

TURNS = 3
CHUNKS = 128
FULL = 32
# Vectors this near to another's are the same to a search, and are not searched again.
SAME = 0.99999
DOCUMENTS = ROOT / "dagster_project" / "demo" / "documents"


def main() -> None:
    """Measure and print."""
    if not FOLDER.is_dir():
        sys.exit(f"{FOLDER} is not there: set HEADRACE_TEST_DATA to the folder of the test data.")
    texts, queries, relevant = read_cranfield()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        found, reference = variants(Path(folder))
        chunks = _chunks(texts)
        full = _pieces(reference, [" ".join(body for _, body in texts[:200])])[0][:FULL]
        counts = reference.count_tokens(chunks)
        mixed = _ratios({name: _run(encode, chunks) for name, encode in found.items()})
        console.log("chunks/s", mixed)
        whole = _ratios({name: _run(encode, full) for name, encode in found.items()})
        console.log("of 256 tokens", whole)
        starts = _ratios({name: _run(start, name) for name in STARTS})
        console.log("start-up", starts)
        plain = found[REFERENCE](chunks)
        cosines = {name: (encode(chunks) * plain).sum(axis=1) for name, encode in found.items()}
        documents = [f"{title}\n\n{body}" for title, body in texts]

        def quality(name: str) -> float:
            asked, held = (_vectors(reference, found[name], each) for each in (queries, documents))
            return ndcg(asked, held, np.arange(len(documents)), relevant)

        # The fastest of those with torch's own vectors speaks for all of them.
        same = [name for name in found if float(cosines[name].min()) > SAME]
        scores = dict.fromkeys(same, quality(ONNX if ONNX in same else REFERENCE))
        # One that is slower than the reference is no candidate, whatever its quality.
        for name in [name for name in found if name not in scores and mixed[name] > 1]:
            scores[name] = quality(name)
            console.log("nDCG@10", name, scores[name])
    rows = [
        {
            "variant": name,
            "chunks_per_second_ratio": round(mixed[name], 2),
            "full_chunks_per_second_ratio": round(whole[name], 2),
            "start_up_speed_ratio": round(starts[name], 1) if name in starts else None,
            "ndcg@10": round(scores[name], 4) if name in scores else None,
            "ndcg@10_ratio": round(scores[name] / scores[REFERENCE], 4) if name in scores else None,
            "cosine_mean": round(float(cosines[name].mean()), 5),
            "cosine_min": round(float(cosines[name].min()), 5),
        }
        for name in found
    ]
    title = f"all-MiniLM-L6-v2 on {len(chunks)} chunks of {np.mean(counts):.0f} tokens on average"
    table = Table(title=f"{title}; {REFERENCE} is 1")
    for column in ("variant", "chunks/s", "of 256 tokens", "start-up", "nDCG@10", "mean cosine"):
        table.add_column(column)
    for row in rows:
        table.add_row(
            str(row["variant"]),
            f"{row['chunks_per_second_ratio']}",
            f"{row['full_chunks_per_second_ratio']}",
            f"{row['start_up_speed_ratio'] or ''}",
            f"{row['ndcg@10'] or ''}",
            f"{row['cosine_mean']:.5f}",
        )
    console.print(table)
    measured = {"chunks": len(chunks), "mean_tokens": round(float(np.mean(counts)), 1)}
    result = Path(__file__).with_suffix(".json")
    result.write_text(json.dumps({**measured, "turns": TURNS, "variants": rows}, indent=2) + "\n")


def _chunks(cranfield: list[tuple[str, str]]) -> list[str]:
    """As many chunks of the example company's documents as of Cranfield's, evenly picked."""
    posts = [frontmatter.load(str(path)) for path in sorted(DOCUMENTS.rglob("*.md"))]
    demo = [(str(post.get("title", "")), post.content) for post in posts]
    cut, _ = ours([*demo, *cranfield], 256)
    picked = []
    for part in (cut[: len(demo)], cut[len(demo) :]):
        flat = [chunk for chunks in part for chunk in chunks]
        places = np.linspace(0, len(flat) - 1, CHUNKS // 2).astype(int)
        picked.extend([flat[place] for place in places])
    return picked


def _pieces(
    reference: SentenceTransformerEmbedder, texts: list[str]
) -> tuple[list[str], list[int]]:
    """All windows of the texts, and how many each has."""
    counts = reference.count_tokens(texts)
    parts = [
        [text] if count <= reference.max_tokens else reference._windows(text)
        for text, count in zip(texts, counts, strict=True)
    ]
    return [part for each in parts for part in each], [len(each) for each in parts]


def _vectors(
    reference: SentenceTransformerEmbedder, encode: Encode, texts: list[str]
) -> np.ndarray:
    pieces, counts = _pieces(reference, texts)
    return average(encode(pieces), counts).vectors


def _run(function: Callable, argument: object) -> Callable[[], object]:
    return lambda: function(argument)


def _ratios(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """How many times as fast as the reference each is, the median of the turns."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(TURNS + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            # The first turn warms up.
            if turn:
                times[name].append(time.perf_counter() - started)
    plain = np.array(times[REFERENCE])
    return {name: float(np.median(plain / np.array(taken))) for name, taken in times.items()}


if __name__ == "__main__":
    main()
