"""Pieces of the texts that tell two SQL engines apart."""

from __future__ import annotations

SPACES = ["\r\n", "\n", "\r", "\t", " ", "  ", "\x0b", "\x0c", "\x85", "\xa0", "\u2028", "\ufeff"]
CONTROLS = ["\x01", "\x1f", "\x7f"]
# Combined, joined and beyond 16 bits; letters whose case has another length.
CHARACTERS = ["e\u0301", "👩\u200d💻", "🇩🇪", *"éßİﬁ文中가😀", "हि", "…", "—"]
# What SQL, Jinja, Markdown and regular expressions read as more than text.
SYNTAX = ["'", '"', "\\", "\\n", "$1", "%s", "{{", "```", *"`.!?=*|0"]
MARKDOWN = ["# ", "## a", "- b", "| c |", "> d", "* *", "[x](y)", "===", "---", "1. ", "~~~"]
PIECES = [*SPACES, *CONTROLS, *CHARACTERS, *SYNTAX, *MARKDOWN, "a", "Ab", "12"]
