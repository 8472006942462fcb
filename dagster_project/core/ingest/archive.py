"""Zip archives from strangers, and folders that were such archives."""

from __future__ import annotations

import io
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dagster_project.core.errors import ConfigurationError


class UnsafeArchiveError(ValueError):
    """An archive that is not opened, with the reason."""


@dataclass(frozen=True)
class Limits:
    """What an archive may hold, the archives in it included.

    Attributes:
        entries: files.
        size: bytes, unpacked.
        ratio: bytes unpacked for one packed; asked of what unpacks to over 10 MB.
    """

    entries: int = 200_000
    size: int = 4 << 30
    ratio: int = 200


_FREE_OF_RATIO = 10_000_000
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)


def check_archive(archive: zipfile.ZipFile, limits: Limits) -> Limits:
    """What is left of the limits after an archive's directory.

    Raises:
        UnsafeArchiveError: it breaks them, or names a path outside, a link or an encrypted file.
    """
    entries = archive.infolist()
    if len(entries) > limits.entries:
        raise UnsafeArchiveError(f"it holds {len(entries)} files, over {limits.entries}")
    for entry in entries:
        _check_entry(entry)
    size = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries)
    if size > limits.size:
        raise UnsafeArchiveError(f"it unpacks to {size} bytes, over {limits.size}")
    if size > _FREE_OF_RATIO and size > packed * limits.ratio:
        raise UnsafeArchiveError(f"it unpacks {packed} bytes to {size}: a zip bomb")
    return Limits(limits.entries - len(entries), limits.size - size, limits.ratio)


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = entry.filename.replace("\\", "/")
    if name.startswith("/") or ".." in name.split("/") or name[1:2] == ":":
        raise UnsafeArchiveError(f"it names the path {entry.filename!r}, which leads outside")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise UnsafeArchiveError(f"{entry.filename!r} in it is a link")
    if entry.flag_bits & 1:
        raise UnsafeArchiveError(f"{entry.filename!r} in it is encrypted: pack it without password")


class Export:
    """The files of an export: a folder, or a zip, perhaps of zips."""

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        """Open an export.

        Raises:
            ConfigurationError: it cannot be read, or is not safe to.
        """
        self._path = path
        self._budget = limits or Limits()
        self._places: dict[str, tuple[zipfile.ZipFile, str] | Path] = {}
        try:
            if path.is_dir():
                self._open_folder(path)
            elif path.is_file():
                self._open_zip(zipfile.ZipFile(path), nested=False)
            else:
                raise ConfigurationError(f"{path} is no file or folder: give the export.")
        except (UnsafeArchiveError, *_DAMAGE) as error:
            raise ConfigurationError(
                f"{path} cannot be read: {error}. Export it again; nothing was changed."
            ) from error

    def names(self) -> list[str]:
        """The paths of the files, with slashes, sorted."""
        return sorted(self._places)

    def __contains__(self, name: str) -> bool:
        """Whether there is a file of this path."""
        return name in self._places

    def read(self, name: str) -> bytes:
        """What a file holds.

        Raises:
            ValueError: it is damaged.
        """
        place = self._places[name]
        try:
            if isinstance(place, Path):
                return place.read_bytes()
            archive, inner = place
            return archive.read(inner)
        except _DAMAGE as error:
            raise ValueError(f"{name} is damaged ({error}): export it again") from error

    def _open_folder(self, folder: Path) -> None:
        size = 0
        for path in _files(folder):
            size += path.stat().st_size
            if len(self._places) >= self._budget.entries or size > self._budget.size:
                raise UnsafeArchiveError(
                    f"it holds over {self._budget.entries} files or {self._budget.size} bytes"
                )
            self._places[path.relative_to(folder).as_posix()] = path

    def _open_zip(self, archive: zipfile.ZipFile, *, nested: bool) -> None:
        self._budget = check_archive(archive, self._budget)
        # Where one entry is damaged, the names may be too: what seems gone may be there.
        if (damaged := archive.testzip()) is not None:
            raise UnsafeArchiveError(f"{damaged!r} in it is damaged")
        for entry in archive.infolist():
            if entry.is_dir():
                continue
            if entry.filename.lower().endswith(".zip"):
                if nested:
                    raise UnsafeArchiveError(f"{entry.filename!r} is a zip in a zip in a zip")
                self._open_zip(zipfile.ZipFile(io.BytesIO(archive.read(entry))), nested=True)
                continue
            name = str(PurePosixPath(entry.filename.replace("\\", "/")))
            if name in self._places:
                raise UnsafeArchiveError(f"it holds {name!r} twice")
            self._places[name] = (archive, entry.filename)


def _files(folder: Path) -> Iterator[Path]:
    """The regular files of a folder; links are not followed."""

    def fail(error: OSError) -> None:
        raise UnsafeArchiveError(f"{error.filename} cannot be read: {error.strerror}")

    for root, _, names in os.walk(folder, onerror=fail):
        for name in names:
            path = Path(root, name)
            if stat.S_ISREG(path.lstat().st_mode):
                yield path
