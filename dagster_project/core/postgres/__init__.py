"""The embedded Postgres: binaries from a wheel, and a life cycle of our own."""

from dagster_project.core.postgres.server import EmbeddedPostgres

__all__ = ["EmbeddedPostgres"]
