"""The emulator starts, its launcher mends what dbt needs, and it ends with its owner."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import pytest
from google.cloud import bigquery, bigquery_storage
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import (
    BigQueryReadGrpcTransport,
)

from . import emulator as emulator_module
from .emulator import Emulator, EmulatorFailed, EmulatorUnavailable
from .rendering import render


@pytest.fixture(scope="module")
def dataset(bigquery_emulator: Emulator) -> str:
    bigquery_emulator.client().create_dataset("launcher", timeout=30)
    return "launcher"


def test_a_job_that_creates_a_table_names_it(bigquery_emulator: Emulator, dataset: str) -> None:
    client = bigquery_emulator.client()
    job = client.query(
        f"create table {dataset}.made as select x from unnest([1, 2, 3]) as x",
        job_retry=None,
        timeout=30,
    )
    assert list(job.result(job_retry=None, timeout=30)) == []
    finished = client.get_job(job.job_id, location="US", timeout=30)
    assert isinstance(finished, bigquery.QueryJob)
    assert finished.destination is not None
    assert finished.destination.table_id == "made"
    assert client.get_table(finished.destination, timeout=30).num_rows == 3


def test_a_script_sets_several_variables_at_once(bigquery_emulator: Emulator) -> None:
    rows = bigquery_emulator.query(
        """
        declare first_day, last_day date;
        declare days array<date>;
        declare n int64;
        set (first_day, last_day) = (
            select as struct min(d), max(d) from unnest([date '2026-01-03', date '2026-01-01']) as d
        );
        set (days) = (
            select as struct array_agg(d order by d) from unnest([first_day, last_day]) as d
        );
        set n = 7;
        select first_day, last_day, array_length(days) as days, n
        """
    )
    assert [tuple(map(str, row.values())) for row in rows] == [
        ("2026-01-01", "2026-01-03", "2", "7")
    ]


def test_a_division_divides_its_whole_operands(bigquery_emulator: Emulator) -> None:
    assert bigquery_emulator.query("select div(10 - 1, 2 + 1) as x, div(7, 2) as y") == [
        {"x": 3, "y": 3}
    ]


def test_an_array_of_nulls_joins_to_an_empty_text(bigquery_emulator: Emulator) -> None:
    joined = bigquery_emulator.query(
        "select array_to_string([cast(null as string)], '>') as nulls, "
        "array_to_string(array<string>[], '>') as empty, "
        "array_to_string(['a', null, 'b'], '>') as some, "
        "array_to_string(['a', null], '>', '-') as spelt, "
        "array_to_string(cast(null as array<string>), '>') as nothing"
    )
    assert joined == [{"nulls": "", "empty": "", "some": "a>b", "spelt": "a>-", "nothing": None}]


def test_a_table_says_when_its_rows_were_changed(bigquery_emulator: Emulator, dataset: str) -> None:
    client, name = bigquery_emulator.client(), f"{dataset}.watched"
    bigquery_emulator.query(f"create table {name} (x int64)")
    seen = [client.get_table(name, timeout=30).modified]
    for statement in (
        f"insert into {name} values (1), (2)",
        f"update {name} set x = 3 where x = 2",
        f"delete from {name} where x = 1",
        f"merge into {name} as t using (select 3 as x) as s on t.x = s.x "
        "when matched then update set x = 4",
    ):
        time.sleep(0.002)
        bigquery_emulator.query(statement)
        seen.append(client.get_table(name, timeout=30).modified)
    assert sorted(set(seen)) == seen
    bigquery_emulator.query(f"delete from {name} where x = 99")
    assert client.get_table(name, timeout=30).modified == seen[-1]
    assert bigquery_emulator.query(f"select x from {name}") == [{"x": 4}]


def test_time_zones_and_storage_api_work_offline(bigquery_emulator: Emulator, dataset: str) -> None:
    """Time zones come from a DuckDB extension; over the Storage API the project reads chunks."""
    bigquery_emulator.query(
        f"create or replace table {dataset}.zoned as select format_timestamp("
        "'%H:%M', timestamp '2026-07-01 12:00:00+00', 'Europe/Paris') as local_time"
    )
    channel = grpc.insecure_channel(bigquery_emulator.grpc_address)
    with channel:
        storage = bigquery_storage.BigQueryReadClient(  # type: ignore[no-untyped-call]
            transport=BigQueryReadGrpcTransport(channel=channel)
        )
        table = f"projects/{bigquery_emulator.project}/datasets/{dataset}/tables/zoned"
        session = storage.create_read_session(
            parent=f"projects/{bigquery_emulator.project}",
            read_session=bigquery_storage.ReadSession(table=table, data_format="ARROW"),
            max_stream_count=1,
            timeout=30,
        )
        stream = storage.read_rows(  # type: ignore[no-untyped-call]
            session.streams[0].name, timeout=30
        )
        rows = stream.to_arrow(session)
    assert rows.to_pylist() == [{"local_time": "14:00"}]


def test_the_emulator_ends_with_its_block(bigquery_emulator: Emulator, tmp_path: Path) -> None:
    with emulator_module.running(tmp_path) as emulator:
        assert emulator.query("select 1 as x") == [{"x": 1}]
    assert not answers(emulator.endpoint)


def test_the_emulator_ends_with_a_killed_owner(bigquery_emulator: Emulator, tmp_path: Path) -> None:
    """A killed process runs no cleanup."""
    program = (
        f"import pathlib, time; from {Emulator.__module__} import running\n"
        f"with running(pathlib.Path({str(tmp_path)!r})) as emulator:\n"
        "    print(emulator.endpoint, flush=True); time.sleep(60)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment
    ) as owner:
        assert owner.stdout is not None
        endpoint = owner.stdout.readline().strip()
        assert answers(endpoint)
        owner.kill()
    deadline = time.monotonic() + 10
    while answers(endpoint) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not answers(endpoint)


def test_a_machine_without_a_python_for_it_is_told_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(emulator_module, "PYTHON_NEEDED", (3, 99))
    with pytest.raises(EmulatorUnavailable, match="No Python 3.99"):
        emulator_module.install(tmp_path)


def test_an_install_that_fails_says_why_and_is_not_kept(
    bigquery_emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("./no-such-package\n")
    monkeypatch.setattr(emulator_module, "REQUIREMENTS", requirements)
    for _ in range(2):
        with pytest.raises(EmulatorUnavailable, match="no-such-package"):
            emulator_module.install(tmp_path / "cache")


def test_an_emulator_that_does_not_start_shows_its_log(
    bigquery_emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('the disk is full')\n")
    monkeypatch.setattr(emulator_module, "LAUNCHER", broken)
    with pytest.raises(EmulatorFailed, match="ended with code 1: .*\n.*the disk is full"):
        with emulator_module.running(tmp_path):
            pass


def answers(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/bigquery/v2/projects", timeout=5):
            return True
    except OSError:
        return False


def test_texts_under_a_key_of_json_are_rows_be_they_one_or_a_list(
    bigquery_emulator: Emulator, tmp_path: Path
) -> None:
    call = "{{ headrace.json_rows('given.payload', 'k') }}"
    joined = render([call], tmp_path)[call].bigquery
    rows = bigquery_emulator.query(
        'select given.id, part.value from unnest([struct(1 as id, \'{"k": "a"}\' as payload), '
        'struct(2, \'{"k": ["b", "c"]}\'), struct(3, \'{}\'), struct(4, \'{"k": null}\')]) '
        f"as given {joined} order by given.id, part.value"
    )
    assert [(row["id"], row["value"]) for row in rows] == [(1, "a"), (2, "b"), (2, "c")]
