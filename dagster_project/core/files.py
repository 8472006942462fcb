"""Files of the home."""

from __future__ import annotations

import json
from pathlib import Path


def write_json(path: Path, value: object) -> None:
    """Write a value to a file, which holds the old one until the new one is there whole."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")
    part.replace(path)
