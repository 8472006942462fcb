"""How changes of source rows become runs: sensors, micro-batches, the live run, the lag."""

from dagster_project.defs.flow.lag import lag_is_within_the_promise
from dagster_project.defs.flow.live import keeper, live
from dagster_project.defs.flow.sensors import change_sensors, micro_batch

__all__ = ["change_sensors", "keeper", "lag_is_within_the_promise", "live", "micro_batch"]
