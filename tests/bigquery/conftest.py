"""An emulator for each file: what one leaves there, another would compile against."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .emulator import Emulator, EmulatorUnavailable, running


@pytest.fixture(scope="module")
def bigquery_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """A running BigQuery emulator; the test is skipped where this machine cannot have it."""
    try:
        with running(tmp_path_factory.mktemp("bigquery")) as emulator:
            yield emulator
    except EmulatorUnavailable as error:
        pytest.skip(str(error))
