"""Counting in texts."""


def letters(text: str) -> int:
    """How many characters a text has, white space left out."""
    return len("".join(text.split()))
