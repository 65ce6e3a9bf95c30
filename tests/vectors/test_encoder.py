"""The real loader on tiny models: vectors, spaces, and texts that must stay texts."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoTokenizer, SiglipModel

from app.errors import ModelNotReady, ModelUnavailable
from app.models import FloatArray, ModelState
from app.vectors.background import BackgroundEncoder
from app.vectors.compiled import BATCH
from app.vectors.encoder import (
    MOST_IN_BATCH,
    Encoder,
    SentenceTransformerEncoder,
    fingerprint,
    load_encoder,
)
from app.vectors.known import AUTO, PREFERRED
from tests.encoders import ColourEncoder
from tests.pictures import encoded, noise
from tests.vectors.models import (
    DIMENSION,
    put_into_cache,
    save_as_sentence_transformers,
    save_text_only_model,
    save_tiny_clip,
    save_tiny_siglip,
)

PICTURES = [noise((60, 40), seed=seed) for seed in range(3)] + [Image.new("RGB", (500, 20), "red")]
TEXTS = ["a dog on grass", "", "something red", "😀 ÄÖÜ 写真", "x" * 77, "a b c"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP as transformers folder."""
    return save_tiny_clip(tmp_path_factory.mktemp("models") / "tiny-clip")


@pytest.fixture(scope="module")
def sentence_transformers_clip(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_as_sentence_transformers(clip, tmp_path_factory.mktemp("models") / "tiny-clip-st")


@pytest.fixture(scope="module")
def encoder(clip: Path) -> SentenceTransformerEncoder:
    loaded = load_encoder(str(clip), clip)
    assert isinstance(loaded, SentenceTransformerEncoder)
    return loaded


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub's client."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", offline)


def same(first: FloatArray, second: FloatArray) -> bool:
    return bool(np.allclose(first, second, atol=1e-5))


# -- vectors


def test_a_folder_of_transformers_and_one_of_sentence_transformers_give_the_same_vectors(
    encoder: SentenceTransformerEncoder, sentence_transformers_clip: Path
) -> None:
    other = load_encoder(str(sentence_transformers_clip), sentence_transformers_clip)
    assert same(encoder.encode_images(PICTURES), other.encode_images(PICTURES))
    assert same(encoder.encode_texts(TEXTS), other.encode_texts(TEXTS))
    assert other.space.model == "tiny-clip-st"


def test_vectors_are_rows_of_unit_length(encoder: SentenceTransformerEncoder) -> None:
    assert encoder.space.dimension == DIMENSION
    for vectors, count in ((encoder.encode_images(PICTURES), 4), (encoder.encode_texts(TEXTS), 6)):
        assert vectors.shape == (count, DIMENSION)
        assert str(vectors.dtype) == "float32"
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_what_is_encoded_together_is_encoded_as_if_alone(encoder: SentenceTransformerEncoder) -> None:
    assert same(encoder.encode_images(PICTURES), np.concatenate([encoder.encode_images([one]) for one in PICTURES]))
    assert same(encoder.encode_texts(TEXTS), np.concatenate([encoder.encode_texts([one]) for one in TEXTS]))


def test_the_same_again_is_the_same(encoder: SentenceTransformerEncoder, clip: Path) -> None:
    again = load_encoder(str(clip), clip)
    assert again.space == encoder.space
    assert np.array_equal(encoder.encode_texts(TEXTS), again.encode_texts(TEXTS))
    assert np.array_equal(encoder.encode_images(PICTURES), again.encode_images(PICTURES))


def test_different_things_differ(encoder: SentenceTransformerEncoder) -> None:
    vectors = np.concatenate([encoder.encode_images(PICTURES), encoder.encode_texts(["a dog", "a cat", "god a"])])
    assert len(np.unique(vectors.round(4), axis=0)) == len(vectors)


def test_it_is_what_the_model_itself_says(encoder: SentenceTransformerEncoder, clip: Path) -> None:
    import torch
    from transformers import CLIPModel, CLIPTokenizer

    tokenizer, model = CLIPTokenizer.from_pretrained(clip), CLIPModel.from_pretrained(clip)
    with torch.no_grad():
        features = model.get_text_features(**tokenizer(["a dog"], return_tensors="pt"))
    expected = getattr(features, "pooler_output", features).numpy()
    assert same(encoder.encode_texts(["a dog"]), expected / np.linalg.norm(expected))


@pytest.mark.parametrize("text", ["x " * 5000, "dog" * 10_000, "😀" * 3000])
def test_a_text_that_is_too_long_is_cut(text: str, encoder: SentenceTransformerEncoder) -> None:
    assert same(encoder.encode_texts([text]), encoder.encode_texts([text[:200]]))


def test_several_threads_may_ask_at_once(encoder: SentenceTransformerEncoder) -> None:
    expected = encoder.encode_texts(TEXTS)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda text: encoder.encode_texts([text]), TEXTS * 4))
    assert same(np.concatenate(answers), np.concatenate([expected] * 4))


# -- texts stay texts

_events: list[str] = []
_listening = threading.Event()


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if _listening.is_set() and (event == "open" or event.startswith(("socket.", "urllib."))):
        _events.append(f"{event} {arguments}")


sys.addaudithook(_note)


@contextmanager
def opened_and_called() -> Iterator[list[str]]:
    """Every file that Python opens and everything it asks of the network meanwhile."""
    _events.clear()
    _listening.set()
    try:
        yield _events
    finally:
        _listening.clear()


def test_the_listener_hears(tmp_path: Path) -> None:
    with opened_and_called() as events:
        (tmp_path / "picture.png").write_bytes(b"")
        socket.socket().close()
    assert any("picture.png" in event for event in events)
    assert any(event.startswith("socket.") for event in events)


@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp", ""])
def test_a_text_that_is_the_path_of_a_picture_is_a_text(
    ending: str, encoder: SentenceTransformerEncoder, tmp_path: Path
) -> None:
    path = tmp_path / f"picture{ending}"
    before = encoder.encode_texts([str(path)])
    path.write_bytes(encoded(PICTURES[0], "PNG"))
    with opened_and_called() as events:
        with_file = encoder.encode_texts([str(path)])
    assert events == []
    assert np.array_equal(before, with_file), "whether the file is there makes no difference"
    assert not same(with_file, encoder.encode_images([PICTURES[0]]))


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:9/rose.jpg",
        "https://example.org/rose.png",
        "ftp://example.org/rose.png",
        "data:image/png;base64," + base64.b64encode(encoded(PICTURES[0], "PNG")).decode(),
        "data:image/svg+xml,<svg/>",
        "file:///etc/passwd",
        "/etc/hostname",
        "~/picture.jpg",
        "clip.mp4",
        "sound.wav",
        "http://example.org/clip.mp4",
        '{"text": "x", "image": "/etc/passwd"}',
        "<image>",
        "<|endoftext|><|image|>",
    ],
)
def test_a_text_that_looks_like_something_to_fetch_is_a_text(text: str, encoder: SentenceTransformerEncoder) -> None:
    with opened_and_called() as events:
        alone = encoder.encode_texts([text])
        among = encoder.encode_texts(["a dog", text, "a cat"])[1:2]
    assert events == []
    assert same(alone, among)
    assert not same(alone, encoder.encode_images([PICTURES[0]]))


@pytest.mark.parametrize("form", ["transformers", "sentence-transformers"])
def test_siglip_reads_texts_as_it_was_trained_alone_and_among_others(tmp_path: Path, form: str) -> None:
    folder = save_tiny_siglip(tmp_path / "tiny-siglip")
    kept = save_as_sentence_transformers(folder, tmp_path / "kept") if form == "sentence-transformers" else folder
    encoder = load_encoder(str(kept), kept)
    alone = encoder.encode_texts(["a dog"])
    assert same(alone, encoder.encode_texts(["a dog", "a caption that is a good deal longer"])[:1])
    tokens = AutoTokenizer.from_pretrained(folder)(["a dog"], padding="max_length", return_tensors="pt")
    with torch.inference_mode():
        own = SiglipModel.from_pretrained(folder).get_text_features(**tokens).pooler_output.numpy()
    assert same(alone, own / np.linalg.norm(own))
    assert encoder.encode_texts(["a dog " * 50]).shape == alone.shape == encoder.encode_images([PICTURES[0]]).shape


# -- spaces


def test_a_space_knows_its_weights(clip: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(clip, tmp_path / "tiny-clip")
    assert fingerprint(copy) == fingerprint(clip), "wherever it lies"

    (copy / "README.md").write_text("# A model")
    (copy / ".gitattributes").write_text("* text")
    assert fingerprint(copy) == fingerprint(clip), "what is told about it does not count"

    for name in ("model.safetensors", "tokenizer.json", "processor_config.json"):
        before, data = fingerprint(copy), bytearray((copy / name).read_bytes())
        data[-10] ^= 1
        (copy / name).write_bytes(data)
        assert fingerprint(copy) != before, name


def test_a_file_that_moves_or_is_added_is_another_space(clip: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(clip, tmp_path / "tiny-clip")
    (copy / "vocab.json").rename(copy / "vocabulary.json")
    assert fingerprint(copy) != fingerprint(clip)


@pytest.mark.parametrize(
    "name", ["open_clip_config.json", "open_clip_model.safetensors", "onnx/model.json", "pytorch_model.bin", "notes.md"]
)
def test_files_of_other_programs_change_nothing(clip: Path, tmp_path: Path, name: str) -> None:
    copy = shutil.copytree(clip, tmp_path / "tiny-clip")
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_text("{}")
    assert fingerprint(copy) == fingerprint(clip)


def test_other_weights_are_another_space(encoder: SentenceTransformerEncoder, tmp_path: Path) -> None:
    other = save_tiny_clip(tmp_path / "tiny-clip", seed=1)
    space = load_encoder(str(other), other).space
    assert (space.model, space.dimension) == (encoder.space.model, encoder.space.dimension)
    assert space.fingerprint != encoder.space.fingerprint


# -- models that can't be had


def test_a_model_that_reads_no_pictures_is_refused(tmp_path: Path) -> None:
    folder = save_text_only_model(tmp_path / "bert")
    with pytest.raises(ModelUnavailable, match="does not read both pictures and text"):
        load_encoder(str(folder), folder)


@pytest.mark.parametrize("name", ["/no/such/folder", "./no-such-folder", "~/no-such-folder", "../no/such"])
def test_a_folder_that_is_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="There is no model folder") as refused:
        load_encoder(name, tmp_path)
    assert "GLIMPSE_MODEL" in str(refused.value)


def test_a_folder_without_a_model_in_it(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="can't be loaded"):
        load_encoder(str(tmp_path), tmp_path)


def test_weights_that_are_cut_short(clip: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(clip, tmp_path / "copy")
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelUnavailable, match="can't be loaded"):
        load_encoder(str(copy), copy)


@pytest.mark.usefixtures("no_network", "cache")
@pytest.mark.parametrize("name", ["clip-ViT-B-32", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "no such name!"])
def test_a_named_model_without_network_says_what_to_do(name: str, clip: Path) -> None:
    with pytest.raises(ModelUnavailable) as refused:
        load_encoder(name, clip)
    message = str(refused.value)
    assert name in message
    assert "GLIMPSE_MODEL" in message
    assert "connection" in message


# -- devices


class FakeDevice:
    """A GPU with some memory free, of which each picture takes a megabyte."""

    type = "cuda"

    def __init__(self, free: int) -> None:
        self._free = free

    def reset_peak_memory_stats(self) -> None: ...

    def memory_allocated(self) -> int:
        return 600 << 20

    def max_memory_allocated(self) -> int:
        return self.memory_allocated() + (BATCH << 20)

    def mem_get_info(self) -> tuple[int, int]:
        return self._free, 24 << 30


@pytest.mark.parametrize(("free", "batch"), [(20 << 30, MOST_IN_BATCH), (100 << 20, 50), (1 << 20, 1)])
def test_a_batch_on_a_gpu_fits_into_its_memory(
    free: int, batch: int, encoder: SentenceTransformerEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = FakeDevice(free)
    for name in ("reset_peak_memory_stats", "memory_allocated", "max_memory_allocated", "mem_get_info"):
        monkeypatch.setattr(f"torch.cuda.{name}", getattr(device, name))
    assert encoder._fitting_batch() == batch


def test_on_a_cpu_batches_are_small_and_pictures_as_large_as_the_model_sees(
    encoder: SentenceTransformerEncoder,
) -> None:
    assert (encoder.batch, encoder.side) == (BATCH, 32)


# -- cores


def test_threads_that_wait_leave_their_core_to_others(monkeypatch: pytest.MonkeyPatch, clip: Path) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setenv("GOMP_SPINCOUNT", "77")
    load_encoder(str(clip), clip)
    assert os.environ["OMP_WAIT_POLICY"] == "passive"
    assert os.environ["GOMP_SPINCOUNT"] == "77", "who sets it, decides"


# -- names and the cache


def test_a_named_model_is_taken_from_the_cache_without_asking_anybody(cache: Path, clip: Path) -> None:
    put_into_cache(clip, cache, "sentence-transformers/clip-ViT-B-32")
    with opened_and_called() as events:
        loaded = load_encoder("clip-ViT-B-32", clip.with_name("no starter"))
    assert loaded.space.model == "clip-ViT-B-32"
    assert not [event for event in events if event.startswith(("socket.connect", "socket.getaddrinfo"))]


def test_auto_is_the_bundled_model_while_the_cache_is_empty(
    cache: Path, clip: Path, encoder: SentenceTransformerEncoder
) -> None:
    assert not cache.exists()
    assert load_encoder(AUTO, clip).space == encoder.space


def test_auto_takes_a_known_model_that_lies_in_the_cache(cache: Path, clip: Path, tmp_path: Path) -> None:
    put_into_cache(clip, cache, "openai/clip-vit-base-patch32")
    put_into_cache(clip, cache, "somebody/another-model")
    starter = save_tiny_clip(tmp_path / "starter", seed=1)
    assert load_encoder(AUTO, starter).space.model == "openai/clip-vit-base-patch32"


def test_auto_takes_the_best_of_those_that_are_there(cache: Path, clip: Path) -> None:
    for repository in reversed(PREFERRED[:3]):
        put_into_cache(clip, cache, repository)
    assert load_encoder(AUTO, clip).space.model == PREFERRED[0]


def test_auto_passes_over_an_interrupted_download(
    cache: Path, clip: Path, encoder: SentenceTransformerEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    snapshot = put_into_cache(clip, cache, PREFERRED[0])
    (snapshot / "model.safetensors").unlink()
    assert load_encoder(AUTO, clip).space == encoder.space
    assert f"model skipped name={PREFERRED[0]}" in caplog.text


# -- loading in the background


def test_a_background_encoder_tells_how_far_it_is() -> None:
    gate = threading.Event()

    def load() -> Encoder:
        assert gate.wait(30)
        return ColourEncoder("colours")

    background = BackgroundEncoder(AUTO, load)
    background.start()
    assert not background.wait(0)
    assert (background.status.name, background.status.state) == (AUTO, ModelState.LOADING)
    assert background.status.space is None
    with pytest.raises(ModelNotReady, match="warming up"):
        background.get()
    gate.set()
    assert background.wait(30)
    assert background.get().space == ColourEncoder("colours").space
    assert (background.status.name, background.status.state) == ("colours", ModelState.READY)
    assert background.status.space == ColourEncoder("colours").space


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ModelUnavailable("There is no such model."), "There is no such model."),
        (RuntimeError("out of memory\nat line 7"), "The model big can't be loaded: out of memory"),
        (KeyError(), "The model big can't be loaded: KeyError"),
    ],
)
def test_a_model_that_fails_says_why_in_one_line(error: Exception, message: str) -> None:
    def load() -> Encoder:
        raise error

    background = BackgroundEncoder("big", load)
    background.start()
    assert background.wait(30)
    assert (background.status.name, background.status.state) == ("big", ModelState.UNAVAILABLE)
    assert background.status.message == message
    with pytest.raises(ModelUnavailable) as refused:
        background.get()
    assert str(refused.value) == message
