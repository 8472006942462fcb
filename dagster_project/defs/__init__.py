"""A room a step of the way from source tables to the published index."""
