"""Runs LangChain's RecursiveCharacterTextSplitter, which a virtual environment of its own has.

Reads JSON from standard input: {"tokenizer": path, "texts": [[title, body], …], "budget": tokens}.
Writes JSON: {"plain": [[chunk, …], …], "titled": …}; "titled" keeps room for the title in front.
"""

from __future__ import annotations

import functools
import json
import sys

from langchain_text_splitters import RecursiveCharacterTextSplitter
from tokenizers import Tokenizer


def main() -> None:
    """Split every text twice, bare and with its title in front of each chunk."""
    task = json.load(sys.stdin)
    tokenizer = Tokenizer.from_file(task["tokenizer"])
    tokenizer.no_truncation()
    tokenizer.no_padding()

    @functools.cache
    def tokens(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    def split(body: str, budget: int) -> list[str]:
        splitter = RecursiveCharacterTextSplitter(
            chunk_size=budget, chunk_overlap=0, length_function=tokens
        )
        chunks: list[str] = splitter.split_text(body)
        return chunks

    plain = [split(body, task["budget"]) for _, body in task["texts"]]
    titled = [
        [f"{title}\n\n{chunk}" for chunk in split(body, task["budget"] - tokens(title))]
        for title, body in task["texts"]
    ]
    json.dump({"plain": plain, "titled": titled}, sys.stdout)


if __name__ == "__main__":
    main()
