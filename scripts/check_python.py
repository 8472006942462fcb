"""Stops the set-up early where Python is one that the dependencies do not run on."""

import sys

if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    sys.exit(
        f"Headrace needs Python 3.11 to 3.13; {sys.executable} is {sys.version.split()[0]}: "
        "run `make PYTHON=python3.11 …` with one of those."
    )
