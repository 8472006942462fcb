"""What documents and chunks must be like, and what is worth knowing of them.

These look at whole tables, so a micro-batch leaves them out; a full build asks them.
"""

from dagster_project.core.checks import ADVICE, GATES
from dagster_project.defs.results import asset_check

checks = [asset_check(check) for check in (*GATES, *ADVICE)]

__all__ = ["checks"]
