"""Embeddings computed once: found again, never stale, and laid down as their labels are."""

import numpy as np
import pytest
import torch
from PIL import Image
from sam_myelin.common.errors import InputError
from sam_myelin.common.reading.picture_transforms import ReadLabelsd
from sam_myelin.common.training.devices import has_fast_bfloat16
from sam_myelin.embedder import CutTiled, Embedder, ReadEmbeddingd
from sam_myelin.embeddings import EmbeddingCache
from sam_myelin.network import SamMyelin
from sam_myelin.normalisation import normalise_rgb, to_rgb

SIZE = 64


@pytest.fixture(scope="module")
def network() -> SamMyelin:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SamMyelin("efficient", SIZE).train()


@pytest.fixture
def items(write_image):
    """Two images of 100 x 80 pixels with a label that tells where a pixel is, of 1 um: magnified four times."""
    rng = np.random.default_rng(0)
    y, x = np.indices((100, 80))
    label = str(write_image("label.png", (y * 100 + x).astype(np.uint16)))
    return [
        {"image": str(write_image(f"{name}.png", rng.integers(0, 255, (100, 80), np.uint8))), "label": label}
        for name in "ab"
    ]


@pytest.fixture
def count_encoded(network, monkeypatch):
    """Number of images that the network has encoded, in a list of one."""
    count, encode = [0], network.encode

    def counting(image):
        count[0] += len(image)
        return encode(image)

    monkeypatch.setattr(network, "encode", counting)
    return count


def test_a_second_run_computes_nothing_and_finds_the_same(network, items, tmp_path, count_encoded):
    embed = Embedder(network, tmp_path / "embeddings", views=2, tile_px=64)
    first = embed(items)
    assert count_encoded[0] == len(first) == 2 * 2 * 4  # images, views, tiles
    assert embed(items) == first and count_encoded[0] == 16
    assert network.training, "left as it was"


def test_an_interrupted_run_goes_on_where_it_was(network, items, tmp_path, count_encoded, monkeypatch):
    embed = Embedder(network, tmp_path / "embeddings", tile_px=64)
    get = EmbeddingCache.get

    def interrupted(self, *args):
        if count_encoded[0] == 5:
            raise KeyboardInterrupt
        return get(self, *args)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(EmbeddingCache, "get", interrupted)
        embed(items)
    assert len(embed(items)) == count_encoded[0] == 8


def test_other_pixels_or_another_encoder_are_computed_anew(network, items, tmp_path, count_encoded, write_image):
    Embedder(network, tmp_path, tile_px=64)(items)
    write_image("a.png", np.zeros((100, 80), np.uint8))
    Embedder(network, tmp_path, tile_px=64)(items)
    assert count_encoded[0] == 8 + 1, "four tiles that are the same have one embedding"
    torch.manual_seed(1)
    other = SamMyelin("efficient", SIZE)
    names = {tile["embedding"] for tile in Embedder(other, tmp_path, tile_px=64)(items)}
    assert names.isdisjoint(tile["embedding"] for tile in Embedder(network, tmp_path, tile_px=64)(items))


@pytest.mark.parametrize("view", range(8))
def test_embedding_and_labels_show_the_same(network, items, tmp_path, view):
    """A tile's labels tell where its pixels are in the image; these pixels make the embedding that is read."""
    tiles = Embedder(network, tmp_path, views=8, tile_px=64)(items[1:])
    tile = next(tile for tile in tiles[8:] if tile["view"] == view)
    for transform in (ReadEmbeddingd("image"), ReadLabelsd("label"), CutTiled("label")):
        tile = transform(tile)
    places = np.asarray(tile["label"])[0]
    image = torch.from_numpy(to_rgb(np.asarray(Image.open(items[1]["image"]))))
    inputs, _ = normalise_rgb(image[:, places // 100, places % 100], size=SIZE)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bfloat16()):  # as the embedder
        expected = network.eval().encode(inputs[None])[0].float()
    network.train()
    torch.testing.assert_close(torch.as_tensor(tile["image"]).float(), expected, atol=1e-2, rtol=1e-2)
    assert tile["image"].meta["filename_or_obj"] == items[1]["image"]


@pytest.mark.parametrize("views", [0, 9])
def test_impossible_number_of_views(network, views, tmp_path):
    with pytest.raises(InputError, match=f"--views {views}: .* give 1 to 8"):
        Embedder(network, tmp_path, views=views)
