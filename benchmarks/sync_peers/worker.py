"""A contender in a process of its own that stays between the phases, as a service would.

Reads a line a command from standard input (prepare, run, check) and answers each with a line of
JSON. Arguments: the contender, the URL of its database, a folder of its own.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from common import COUNTED, Contender, check

# Contender by its name on the command line: module, class, what it is given.
CONTENDERS = {
    "headrace-sync": ("ours", "Ours", "sync"),
    "headrace-build": ("ours", "Ours", "build"),
    "headrace-live": ("ours", "Ours", "live"),
    "headrace-chunks": ("ours", "Ours", "chunks"),
    "cocoindex": ("coco", "Cocoindex", ""),
    "langchain-full": ("langchain_index", "LangChain", "full"),
    "langchain-incremental": ("langchain_index", "LangChain", "incremental"),
    "langchain-watermark": ("langchain_index", "LangChain", "watermark"),
    "llamaindex": ("llama", "LlamaIndex", ""),
    "llamaindex-mended": ("llama", "LlamaIndex", "mended"),
}


def main() -> None:
    """Set the contender up, then answer commands until there are no more."""
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    name, url, folder = sys.argv[1:4]
    module, kind, mode = CONTENDERS[name]
    contender: Contender = getattr(importlib.import_module(module), kind)(url, Path(folder), mode)
    print(json.dumps({"ready": True, "rss": _peak()}), file=answers)  # noqa: T201 - the answer
    for line in sys.stdin:
        print(json.dumps(_answer(contender, url, line.strip())), file=answers)  # noqa: T201


def _answer(contender: Contender, url: str, command: str) -> dict[str, Any]:
    if command == "prepare":
        contender.prepare()
        return {}
    if command == "check":
        return check(url, contender.rows())
    COUNTED.calls = COUNTED.texts = 0
    started = time.perf_counter()
    phases = contender.run()
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "calls": COUNTED.calls,
        "embeds": COUNTED.texts,
        "phases": phases,
        "rss": _peak(),
    }


def _peak() -> int:
    """Bytes of memory that the process had at most."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main()
