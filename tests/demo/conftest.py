"""A database of our own on the test server, so that the schema ``saas`` here is nobody else's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)


@pytest.fixture(scope="session")
def demo_url(postgres_url: str) -> Iterator[str]:
    """Address of an empty database, dropped at the end."""
    name = sql.Identifier(f"demo_tests_{os.getpid()}")
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(sql.SQL("create database {}").format(name))
    yield make_conninfo(postgres_url, dbname=f"demo_tests_{os.getpid()}")
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(sql.SQL("drop database {} with (force)").format(name))


@pytest.fixture
def connection(demo_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection that commits each statement, in UTC."""
    with psycopg.connect(demo_url, autocommit=True, options="-c timezone=UTC") as opened:
        yield opened
