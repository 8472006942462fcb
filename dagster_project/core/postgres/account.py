"""The OS account that the server runs as: Postgres refuses root, so root hands it to another."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster_project.core.errors import WarehouseError

NAME = "headrace"


@dataclass(frozen=True)
class Account:
    """An OS user and its group.

    Attributes:
        uid: numeric user id.
        gid: numeric id of its primary group.
    """

    uid: int
    gid: int

    @classmethod
    def for_new_server(cls) -> Account:
        """Ourselves; for root the system user ``headrace``, which is made when it is missing.

        Raises:
            WarehouseError: we are root and the system user cannot be made.
        """
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid())
        reason = _make_system_user()
        try:
            entry = pwd.getpwnam(NAME)
        except KeyError:
            raise WarehouseError(
                f"Postgres does not run as root, and the OS user {NAME} could not be made "
                f"({reason}). Make it (useradd --system {NAME}), or run headrace as a normal user."
            ) from None
        return cls(entry.pw_uid, entry.pw_gid)

    @classmethod
    def owning(cls, folder: Path) -> Account:
        """The owner of ``folder``, where we may act for it: it is us, or we are root.

        Raises:
            WarehouseError: the folder is another user's, or root's.
        """
        status = folder.stat()
        if status.st_uid != os.geteuid() and os.geteuid() != 0:
            raise WarehouseError(
                f"{folder} belongs to the OS user {_name(status.st_uid)}: run headrace as that "
                "user, or set HEADRACE_HOME to a folder of your own."
            )
        if status.st_uid == 0:
            raise WarehouseError(
                f"{folder} belongs to root, and Postgres does not run as root: delete it if it "
                "holds no data, or set HEADRACE_HOME to a disk that keeps the owners of files."
            )
        return cls(status.st_uid, status.st_gid)

    def identity(self) -> dict[str, Any]:
        """Arguments that make ``subprocess`` run a program as this account."""
        if os.geteuid() != 0:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def give(self, *paths: Path) -> None:
        """Make this account the owner of ``paths``, which we have made; only root needs to."""
        if os.geteuid() == 0:
            for path in paths:
                os.chown(path, self.uid, self.gid, follow_symlinks=False)


def _make_system_user() -> str:
    """Make the user where it is missing; return why that did not work, or an empty text."""
    try:
        pwd.getpwnam(NAME)
        return ""
    except KeyError:
        # cron and systemd leave the sbin folders out of PATH.
        useradd = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if useradd is None:
        return "there is no useradd here"
    options = ["--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin"]
    made = subprocess.run([useradd, *options, NAME], capture_output=True, text=True, check=False)
    return made.stderr.strip()


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
