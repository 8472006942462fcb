"""BigQuery without BigQuery: an emulator that runs, and ZetaSQL that judges."""
