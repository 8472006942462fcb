"""Servers that answer readers from the published index; nothing here writes it."""
