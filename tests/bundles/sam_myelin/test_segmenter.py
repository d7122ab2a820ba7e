"""The segmenter takes images of any size, at any magnification, and its weights from either kind of checkpoint."""

import pytest
import torch
from sam_myelin.common.errors import InputError
from sam_myelin.network import SamMyelin
from sam_myelin.segmenter import Segmenter, SegmenterLoader, class_probabilities

from tests.bundles.sam_myelin.stand_ins import AXON, MYELIN, GrayNetwork, draw_grid

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Segmenter().eval()


@pytest.mark.parametrize("shape", [(32, 64), (50, 71)])
def test_logits_have_the_size_of_the_image(segmenter, shape):
    with torch.no_grad():
        assert segmenter(torch.rand(2, 3, *shape) * 255).shape == (2, 3, *shape)


@pytest.mark.parametrize("zoom", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("views", [1, 8])
def test_classes_are_found_where_they_are_at_any_magnification(zoom, views):
    image, labels, axon = draw_grid(3, 4)
    pixels = torch.from_numpy(image).float().expand(3, -1, -1)
    found = class_probabilities(pixels, GrayNetwork().segment, CPU, zoom=zoom, views=views)
    assert found.shape == (3, *image.shape) and found.dtype == torch.float32
    torch.testing.assert_close(found.sum(dim=0), torch.ones(image.shape))
    classes = found.argmax(dim=0)
    for index, expected in enumerate((labels == 0, image == MYELIN, image == AXON)):
        assert (classes[torch.from_numpy(expected)] == index).float().mean() > 0.9
    assert axon.any()


def test_large_images_are_seen_in_windows():
    network = GrayNetwork()
    class_probabilities(torch.zeros(3, 300, 700), network.segment, CPU, zoom=2.0)
    assert set(network.seen_px) == {(512, 512)} and len(network.seen_px) > 4


@pytest.mark.parametrize("alone", [True, False])
def test_weights_come_from_a_segmenter_or_a_whole_network(segmenter, tmp_path, alone):
    state = segmenter.state_dict() if alone else {f"segmenter.{key}": v for key, v in segmenter.state_dict().items()}
    torch.save(state | {"other": torch.zeros(1)}, tmp_path / "weights.pt")
    network = SamMyelin("efficient", 64)
    before = {key: value.clone() for key, value in network.mask_decoder.state_dict().items()}
    SegmenterLoader(network, tmp_path / "weights.pt")()
    assert all(torch.equal(network.segmenter.state_dict()[key], value) for key, value in segmenter.state_dict().items())
    assert all(torch.equal(network.mask_decoder.state_dict()[key], value) for key, value in before.items())


def test_a_segmenter_alone_goes_on_from_the_weights_of_a_whole_network(tmp_path):
    network, segmenter = SamMyelin("efficient", 64), Segmenter()
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    SegmenterLoader(segmenter, tmp_path / "weights.pt")()
    torch.testing.assert_close(segmenter.state_dict(), network.segmenter.state_dict(), rtol=0, atol=0)


def test_none_keeps_the_network_and_other_weights_are_refused(tmp_path):
    network = SamMyelin("efficient", 64)
    SegmenterLoader(network, "none")()
    torch.save({"segmenter.body.other": torch.zeros(1)}, tmp_path / "weights.pt")
    with pytest.raises(InputError, match="weights.pt: 0 of .* tensors of a segmenter; give --segmenter_weights"):
        SegmenterLoader(network, tmp_path / "weights.pt")()
    with pytest.raises(InputError, match="missing.pt: no such checkpoint; .*--segmenter_weights"):
        SegmenterLoader(network, tmp_path / "missing.pt")()
