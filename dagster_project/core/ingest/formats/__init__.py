"""One module a file format: bytes to Markdown."""
