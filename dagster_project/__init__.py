"""Headrace: fresh, governed context from a warehouse to language models."""

__version__ = "0.1.0"
