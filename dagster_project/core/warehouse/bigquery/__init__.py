"""BigQuery as the warehouse; imported only where it is."""

from dagster_project.core.warehouse.bigquery.warehouse import BigQueryWarehouse

__all__ = ["BigQueryWarehouse"]
