"""Characters embedded again per edit of a handbook: ours, LangChain's splitter, the lower bound.

Every version of every document is chunked once, ours in the embedded Postgres by the dbt macro.
An edit then costs the chunks whose text no document held before it. Prints a table, writes JSON
beside it.
"""

from __future__ import annotations

import collections
import gzip
import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import frontmatter
import yaml
from chunkers import DATA, Chunks, langchain, ours
from rich.console import Console
from rich.table import Table

# The events of the first commit are the state that the edits start from.
FIRST_EDIT = 208
TOKENS = 256


def main() -> None:
    """Measure and print."""
    path = DATA / "handbook" / "events.jsonl.gz"
    if not path.is_file():
        sys.exit(f"{path} is not there: set HEADRACE_TEST_DATA to the folder of the test data.")
    with gzip.open(path, "rt") as lines:
        events = [json.loads(line) for line in lines]
    texts = [_title_and_body(event) for event in events if event["op"] == "upsert"]
    full, bare = ours(texts, TOKENS)
    peer = langchain(texts, TOKENS)
    paragraphs = [_paragraphs(body) for _, body in texts]
    measured = {
        "changed paragraphs alone (lower bound)": _embedded_again(events, paragraphs),
        "Headrace, text alone": _embedded_again(events, bare),
        "LangChain recursive splitter, text alone": _embedded_again(events, peer["plain"]),
        "Headrace, title and section path in front": _embedded_again(events, full),
        "LangChain recursive splitter, title in front": _embedded_again(events, peer["titled"]),
    }
    table = Table(title=f"Edits of the handbook, chunks of at most {TOKENS} tokens")
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
