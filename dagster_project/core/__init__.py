"""Plain Python behind the assets: nothing here imports Dagster."""
