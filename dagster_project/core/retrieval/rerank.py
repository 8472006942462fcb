"""Reading the question and each of the best answers together, where a model for that is set."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

from dagster_project.core.errors import ConfigurationError


class Reranker(Protocol):
    """What says how well a text answers a question, having read both."""

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """A score a text, from 0 to 1, higher is better; shape (texts,)."""


class CrossEncoderReranker:
    """A cross-encoder of sentence-transformers, such as `cross-encoder/ms-marco-MiniLM-L6-v2`."""

    def __init__(self, model: str) -> None:
        """Load a model by its name on the hub, or its folder.

        Raises:
            ConfigurationError: it cannot be loaded.
        """
        # Imported here: it takes seconds, and only a search that reranks needs it.
        from sentence_transformers import CrossEncoder
        from torch.nn import Sigmoid

        try:
            self._model = CrossEncoder(model, num_labels=1, device="cpu")
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"HEADRACE_RERANK_MODEL is {model}, which cannot be loaded "
                f"({str(error).splitlines()[0]}): name a cross-encoder of the hub or its folder, "
                "or leave it empty to rank without one."
            ) from error
        self._activation = Sigmoid()

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """See `Reranker`."""
        pairs = [(question, text) for text in texts]
        found = self._model.predict(
            pairs, activation_fn=self._activation, show_progress_bar=False, convert_to_numpy=True
        )
        return [float(score) for score in found]


@lru_cache(maxsize=2)
def load_reranker(model: str) -> Reranker | None:
    """The reranker of a setting, loaded once a process; None where it is empty."""
    return CrossEncoderReranker(model) if model else None
