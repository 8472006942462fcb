"""Opening a LanceDB table, and the way back from a torn manifest to a version that can be read."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import lancedb

from dagster_project.core.errors import VectorStoreError
from dagster_project.core.index.lock import is_local

# LanceDB counts manifests down from here, so that the newest sorts first.
_COUNTED_FROM = 2**64 - 1


def open_table(uri: str, name: str, session: lancedb.Session | None = None) -> Any:  # noqa: ANN401
    """A table at its newest version that can be read, or None where there is no such table.

    Args:
        uri: the store's directory or URI.
        name: the table's.
        session: holds what was read of the indices for all tables that are opened with it.

    Raises:
        VectorStoreError: no version can be read.
    """
    directory = Path(uri) / f"{name}.lance"
    while True:
        try:
            return lancedb.connect(uri, session=session).open_table(name)
        except (ValueError, FileNotFoundError):
            return None
        except (OSError, RuntimeError) as error:
            if not is_local(uri) or not set_torn_manifests_aside(directory):
                raise VectorStoreError(
                    f"The table {name} in {uri} cannot be opened: {error}. Check that it can be "
                    "reached and read; if it is broken, move it away and run `headrace build`."
                ) from error


def set_torn_manifests_aside(table: Path) -> list[int]:
    """Move manifests that cannot be read out of the way, down to the newest one that can.

    LanceDB reads the newest manifest before any other, so one that is torn hides every version. It
    is kept under `_torn`, and the tags that name it go; where one of them is `live`, the version
    before becomes live again.

    Returns:
        The versions that were set aside; none where no manifest can be read, or the newest can.
    """
    newest_first = sorted((table / "_versions").glob("*.manifest"), key=_version, reverse=True)
    torn: list[Path] = []
    for manifest in newest_first:
        if _opens(manifest):
            break
        torn.append(manifest)
    else:
        return []
    if torn:
        aside = table / "_torn"
        aside.mkdir(exist_ok=True)
        for manifest in torn:
            manifest.replace(aside / manifest.name)
        (table / "_versions" / "latest_version_hint.json").unlink(missing_ok=True)
    versions = [_version(manifest) for manifest in torn]
    tags = table / "_refs" / "tags"
    for tag in tags.glob("*.json"):
        if json.loads(tag.read_text())["version"] in versions:
            tag.unlink()
    previous = tags / "previous.json"
    if not (tags / "live.json").is_file() and previous.is_file():
        previous.replace(tags / "live.json")
    return versions


def _version(manifest: Path) -> int:
    number = int(manifest.stem)
    return _COUNTED_FROM - number if number > _COUNTED_FROM // 2 else number


def _opens(manifest: Path) -> bool:
    """Whether LanceDB reads a manifest where it is the only one: opening reads nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        alone = Path(folder) / "alone.lance" / "_versions"
        alone.mkdir(parents=True)
        shutil.copyfile(manifest, alone / manifest.name)
        try:
            lancedb.connect(folder).open_table("alone")
        except (ValueError, RuntimeError):
            return False
        return True
