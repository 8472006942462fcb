"""The example company: a seeded application database, and changes that keep coming."""

from dagster_project.demo.generator import generate, make_tables
from dagster_project.demo.mutator import live, mutate

__all__ = ["generate", "live", "make_tables", "mutate"]
