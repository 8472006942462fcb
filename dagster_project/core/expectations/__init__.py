"""Great Expectations on what the index is made of: suites in YAML, run in the warehouse."""

from dagster_project.core.expectations.suites import Expectation, Severity, Suite, read_suite

__all__ = ["Expectation", "Severity", "Suite", "read_suite"]
