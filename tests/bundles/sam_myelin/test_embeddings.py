"""Embeddings are computed once, never stale, and damage is told and mended."""

import logging

import numpy as np
import pytest
import torch
from sam_myelin.embeddings import EmbeddingCache, hash_weights
from sam_myelin.network import SamMyelin, freeze_for_training
from sam_myelin.normalisation import normalise

SIZE = 64
IMAGE = np.arange(30 * 40, dtype=np.uint16).reshape(30, 40)


class Encoder:
    """Counts how often it is asked."""

    def __init__(self, value: float = 0.1) -> None:
        self.num_calls, self.value = 0, value

    def __call__(self, image: np.ndarray) -> torch.Tensor:
        self.num_calls += 1
        return torch.full((256, 4, 4), self.value, requires_grad=True) * 1


@pytest.fixture
def open_cache(tmp_path):
    defaults = {"variant": "efficient", "image_size": SIZE, "weights_hash": "abc"}
    return lambda **changed: EmbeddingCache(tmp_path / "embeddings", **defaults | changed)


def test_embedding_is_computed_once(open_cache):
    encoder = Encoder()
    assert IMAGE not in open_cache()
    first, second = open_cache().get(IMAGE, encoder), open_cache().get(IMAGE.copy(), encoder)
    assert encoder.num_calls == 1 and IMAGE in open_cache()
    assert torch.equal(first, second) and first.dtype == second.dtype == torch.float16 and not first.requires_grad
    (file,) = open_cache().folder.iterdir()
    assert file == open_cache().path(IMAGE)


@pytest.mark.parametrize("changed", [{"variant": "vit_b"}, {"image_size": 128}, {"weights_hash": "abd"}], ids=str)
def test_another_encoder_has_its_own(open_cache, changed):
    open_cache().get(IMAGE, Encoder(0.1))
    assert IMAGE not in open_cache(**changed)
    assert open_cache(**changed).get(IMAGE, Encoder(0.5))[0, 0, 0] == 0.5
    assert open_cache().get(IMAGE, Encoder(0.9))[0, 0, 0] == torch.tensor(0.1).half()


def test_another_image_has_its_own(open_cache):
    one_pixel = IMAGE.copy()
    one_pixel[17, 3] += 1
    others = [one_pixel, IMAGE.reshape(40, 30), IMAGE.T, IMAGE.view(np.int16), IMAGE[:, :-1]]
    assert len({open_cache().path(image) for image in [IMAGE, *others]}) == 6
    assert open_cache().path(IMAGE.T) == open_cache().path(np.ascontiguousarray(IMAGE.T))


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [cut, flip, lambda content: b"", lambda content: b"something else" * 100])
def test_damaged_embedding_is_computed_again(open_cache, caplog, damage):
    cache, encoder = open_cache(), Encoder()
    expected = cache.get(IMAGE, encoder)
    path = cache.path(IMAGE)
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        mended = cache.get(IMAGE, encoder)
    assert encoder.num_calls == 2 and torch.equal(mended, expected)
    assert f"{path}: damaged embedding" in caplog.text and "computing it again" in caplog.text
    caplog.clear()
    assert torch.equal(cache.get(IMAGE, encoder), expected) and encoder.num_calls == 2 and not caplog.text


def test_file_that_is_no_embedding_is_replaced(open_cache, caplog):
    cache = open_cache()
    cache.folder.mkdir()
    np.savez(cache.path(IMAGE), embedding=np.zeros((4, 4)))
    assert cache.get(IMAGE, Encoder()).shape == (256, 4, 4)
    assert "float64 of shape (4, 4), expected float16" in caplog.text


@pytest.mark.parametrize("value", [float("nan"), 1e6])
def test_embedding_that_half_precision_cannot_hold(open_cache, value):
    with pytest.raises(ValueError, match="not finite in half precision"):
        open_cache().get(IMAGE, Encoder(value))
    assert IMAGE not in open_cache()


def test_decoder_is_not_in_the_hash_and_the_encoder_is():
    network = freeze_for_training(SamMyelin("efficient", SIZE))
    before = hash_weights(network.encoder_parts)
    with torch.no_grad():
        for weight in network.mask_decoder.parameters():
            weight += 1
    assert hash_weights(network.encoder_parts) == before == hash_weights(network.double().float().encoder_parts)
    for part in (network.image_encoder.laterals[0][0], network.segmenter.body.segmentation_head[0]):
        with torch.no_grad():
            part.weight[0] += 1
        assert hash_weights(network.encoder_parts) != before
        with torch.no_grad():
            part.weight[0] -= 1


def test_decoder_reads_what_the_cache_kept(open_cache):
    network = SamMyelin("efficient", SIZE).eval()
    given, _ = normalise(IMAGE, size=SIZE)
    with torch.no_grad():
        cached = open_cache().get(IMAGE, lambda image: network.encode(normalise(image, size=SIZE)[0][None])[0])
        torch.testing.assert_close(network(cached[None].float()), network(given[None]), atol=0.02, rtol=0.02)
