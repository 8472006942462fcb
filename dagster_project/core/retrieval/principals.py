"""Who reads: every read names its principals, and no default sees all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dagster_project.core.errors import ConfigurationError
from dagster_project.core.index import holds_one_of
from dagster_project.core.warehouse import EVERYONE

# Bounds of a request, far above what a directory of users gives: a filter is parsed at each search.
_MOST = 1_000
_LONGEST = 512


@dataclass(frozen=True)
class Principals:
    """The principals of a reader, such as `role:support`; equal character by character.

    A chunk is found only where its `access` names one of them. Make one by `of` or `admin`.

    Attributes:
        names: the principals, `everyone` among them.
        sees_all: whether `access` is not asked.
    """

    names: frozenset[str]
    sees_all: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no principal.

        Raises:
            ConfigurationError: a name is no text, empty, too long, or has a NUL; or there are none.
        """
        for name in self.names:
            _checked(name)
        if not 0 < len(self.names) <= _MOST:
            raise ConfigurationError(
                f"There are {len(self.names)} principals: give 1 to {_MOST} of them."
            )

    @classmethod
    def of(cls, *names: str) -> Principals:
        """A reader with these principals, and with `everyone`, which all have."""
        return cls(frozenset((EVERYONE, *map(_checked, names))))

    @classmethod
    def admin(cls) -> Principals:
        """A reader who sees all, whatever `access` says: for those who run the index."""
        return cls(frozenset({EVERYONE}), sees_all=True)

    def may_read(self, access: Iterable[str]) -> bool:
        """Whether a row of this `access` is for the reader."""
        return self.sees_all or not self.names.isdisjoint(access)

    @property
    def condition(self) -> str | None:
        """The same as a filter of the index; None where all is seen."""
        return None if self.sees_all else holds_one_of("access", sorted(self.names))


def _checked(name: str) -> str:
    if type(name) is not str or not name.strip() or len(name) > _LONGEST:
        raise ConfigurationError(
            f"The principal {name!r:.80} cannot be one: give a text of 1 to {_LONGEST} "
            "characters, such as role:support."
        )
    if not is_text(name):
        raise ConfigurationError(
            f"The principal {name!r:.80} has characters that no text may have: leave out NUL and "
            "halves of surrogate pairs."
        )
    return name


def is_text(text: str) -> bool:
    """Whether a warehouse could hold a text: Python's may have NUL and halves of surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
