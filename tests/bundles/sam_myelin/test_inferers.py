"""Fibres of an image are the same, tiled or not, with or without prompts, and keep the numbers of their prompts."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from sam_myelin.clicks import ClickedPromptsd, prompts_of_clicks
from sam_myelin.common.errors import InputError
from sam_myelin.common.labels.objects import match_objects
from sam_myelin.inferers import FibreInferer, prompts_in_tile
from sam_myelin.normalisation import fit_to
from sam_myelin.prompt_sources import as_tensor
from sam_myelin.prompts import Prompts, prompts_from_labels
from sam_myelin.tiles import Tile
from scipy import ndimage
from skimage.transform import rescale

from tests.bundles.sam_myelin.stand_ins import GrayNetwork, Wrapped, draw_grid

NAN = float("nan")


def as_batch(image: np.ndarray, pixel_size_um: float = NAN) -> MetaTensor:
    """An image as it comes out of a DataLoader, but with the gray values that the stand-in knows."""
    batch = MetaTensor(torch.from_numpy(np.repeat(image[None, None].astype(np.float32), 3, axis=1)))
    batch.meta |= {"filename_or_obj": ["a.png"], "pixel_size_um": torch.tensor([pixel_size_um], dtype=torch.float64)}
    return batch


def ious(found: torch.Tensor, labels: np.ndarray) -> np.ndarray:
    """IoU of every fibre with what has its number in the result."""
    found = found[0, 0].numpy()
    names = np.unique(labels[labels > 0])
    return np.array([((found == n) & (labels == n)).sum() / ((found == n) | (labels == n)).sum() for n in names])


def given(labels: np.ndarray, axon: np.ndarray) -> torch.Tensor:
    return as_tensor(prompts_from_labels(labels, axon))[None]


@pytest.mark.parametrize("tile_px", [512, 256, 200, "auto"])
def test_prompts_find_their_fibres_whatever_the_tiles(tile_px):
    image, labels, axon = draw_grid(5, 7)
    inferer = FibreInferer(tile_px=tile_px, prompts_per_batch=4)
    network = GrayNetwork()
    found = inferer(as_batch(image), network, given(labels, axon))
    assert found.dtype == torch.int32 and found.shape == (1, 2, *labels.shape) and found.device.type == "cpu"
    assert ious(found, labels).min() > 0.85
    assert set(found[0, 1].unique().tolist()) == {0, 127, 255}
    assert np.mean((found[0, 1].numpy() == 255) == axon) > 0.98
    assert max(network.prompts_at_once) <= 4 and sum(network.prompts_at_once) == 35


@pytest.mark.parametrize("settings", [{}, {"automatic": True}, {"automatic": True, "refine": False}])
def test_tiles_and_the_whole_image_give_the_same(settings):
    image, labels, axon = draw_grid(5, 7)
    networks = {
        1: GrayNetwork(448),
        6: GrayNetwork(256),
    }  # tiles begin where a cell of 4 pixels does
    whole, tiled = (
        FibreInferer(halo=0.25, tile_px=network.image_size, **settings)(
            as_batch(image), network, given(labels, axon)
        ).as_tensor()
        for network in networks.values()
    )
    encoded = 0 if settings.get("refine") is False else 1
    assert [network.num_encoded for network in networks.values()] == [encoded * tiles for tiles in networks]
    assert (whole == tiled).all()


@pytest.mark.parametrize("refine", [True, False])
@pytest.mark.parametrize("tile_px", [512, 200])
def test_fibres_are_found_without_prompts(refine, tile_px):
    image, labels, _ = draw_grid(5, 7)
    found = FibreInferer(automatic=True, refine=refine, tile_px=tile_px)(as_batch(image), GrayNetwork())
    assert ious(found, labels).min() > 0.85, "numbered in reading order, as drawn"


def test_prompts_for_fibres_that_are_found_need_no_decoder():
    image, labels, axon = draw_grid(3, 4)
    network = GrayNetwork()
    prompts = prompts_from_labels(labels, axon)
    prompts.boxes[5] = (0, 0, 250, 190)  # means none of them
    found = FibreInferer(min_fit=0.7)(as_batch(image), network, as_tensor(prompts)[None])
    assert network.prompts_at_once == [1]
    others = np.where(labels == prompts.ids[5], 0, labels)
    assert ious(found, others).min() > 0.85


def test_tiles_without_prompts_are_not_encoded():
    image, labels, axon = draw_grid(4, 8)
    network = GrayNetwork()
    FibreInferer(tile_px=200)(as_batch(image), network, given(labels * (labels == 1), axon))
    assert network.num_encoded == 1


def test_three_hundred_fibres_keep_large_numbers():
    image, labels, axon = draw_grid(15, 20, pitch=40, outer=16, inner=8)
    labels = np.where(labels > 0, labels + 70000, 0)
    found = FibreInferer(tile_px=256)(as_batch(image), GrayNetwork(), given(labels, axon))
    assert ious(found, labels).min() > 0.8 and len(found[0, 0].unique()) == 301


@pytest.mark.parametrize("prompts", [None, torch.zeros(1, 0, 7)])
@pytest.mark.parametrize("part", ["myelin", "fibre"])
def test_no_prompts_no_fibres(prompts, part):
    image, _, _ = draw_grid(2, 2)
    found = FibreInferer(part=part)(as_batch(image), GrayNetwork(), prompts)
    assert found.shape == (1, 2, 128, 128) and not found.any()


@pytest.mark.parametrize("refine", [True, False])
def test_empty_image(refine):
    blank = np.full((90, 70), 60, np.uint8)
    assert not FibreInferer(automatic=True, refine=refine)(as_batch(blank), GrayNetwork()).any()


@pytest.mark.parametrize("known", ["points", "boxes"])
def test_points_or_boxes_alone(known):
    image, labels, axon = draw_grid(5, 7)
    prompts = prompts_from_labels(labels, axon)
    unknown = "boxes" if known == "points" else "points"
    prompts = prompts._replace(**{unknown: np.full_like(getattr(prompts, unknown), NAN)})
    found = FibreInferer(tile_px=256)(as_batch(image), GrayNetwork(), as_tensor(prompts)[None])
    assert ious(found, labels).min() > 0.85


def test_prompt_that_finds_nothing_leaves_the_others_alone():
    image, labels, axon = draw_grid(2, 3)
    prompts = prompts_from_labels(labels, axon)
    prompts = Prompts(*(np.concatenate([values, values[:1]]) for values in prompts))
    prompts.ids[-1], prompts.points[-1], prompts.boxes[-1] = 99, (2, 2), (0, 0, 4, 4)
    found = FibreInferer()(as_batch(image), GrayNetwork(), as_tensor(prompts)[None])
    assert ious(found, labels).min() > 0.85 and 99 not in found


def test_prompt_outside_the_image():
    image, _, _ = draw_grid(2, 2)
    outside = torch.tensor([[[1, 200, 5, NAN, NAN, NAN, NAN]]])
    with pytest.raises(InputError, match="1 of 1 prompts outside the image"):
        FibreInferer()(as_batch(image), GrayNetwork(), outside)


def test_fibre_at_the_border_of_a_tile_is_seen_by_the_network_inside():
    tile = Tile((10, 20, 74, 84), (10, 20, 74, 84))
    prompts = Prompts(
        np.arange(1, 4),
        np.array([[30, 40], [5, 12], [NAN, NAN]], np.float32),
        np.array([[22, 12, 40, 50], [0, 0, 100, 100], [NAN] * 4], np.float32),
    )
    boxes, points, labels = prompts_in_tile(prompts, tile, fit_to((64, 64), 64))
    np.testing.assert_allclose(boxes, [[2, 2, 20, 40], [0, 0, 63, 63], [NAN] * 4])
    np.testing.assert_allclose(points, [[[10, 30]], [[0, 0]], [[0, 0]]])
    np.testing.assert_array_equal(labels, [[1], [-1], [-1]])


def test_large_pixels_make_small_tiles():
    image, labels, axon = draw_grid(2, 3)
    network = GrayNetwork(64)
    FibreInferer(halo=0.0)(as_batch(image, 0.05), network, given(labels, axon))
    assert network.num_encoded == 6, "one tile of 32 pixels for each of six prompts"


@pytest.mark.parametrize(("pixel_size_um", "seen"), [(0.005, (64, 96)), (0.05, (128, 192)), (0.1, (256, 384))])
def test_images_of_large_pixels_are_magnified_for_the_segmenter(pixel_size_um, seen):
    network = GrayNetwork(64)
    FibreInferer(automatic=True, refine=False)(as_batch(np.full((128, 192), 60, np.uint8), pixel_size_um), network)
    assert set(network.seen_px) == {seen}


@pytest.mark.parametrize("factor", [0.25, 4])
@pytest.mark.parametrize("pixel_size_um", [NAN, 0.005, 0.03])
def test_fibres_are_found_whatever_their_size_in_pixels(factor, pixel_size_um):
    image, labels, _ = draw_grid(6, 7)
    image, labels = (rescale(values, factor, order=0, preserve_range=True).astype(int) for values in (image, labels))
    network = GrayNetwork()
    found = FibreInferer(automatic=True, refine=False)(as_batch(image, pixel_size_um), network)
    assert match_objects(found[0, 0].numpy(), labels, 0.75) == (42, 42, 42)
    fibre_px = 52 * factor * network.seen_px[-1][0] / image.shape[0]
    assert 37 <= fibre_px <= 150 or max(network.seen_px[-1]) == 512, network.seen_px


def test_axons_of_whole_fibres_are_those_of_the_dense_head():
    image, labels, axon = draw_grid(2, 3)
    found = FibreInferer(part="fibre", tile_px=100)(as_batch(image), GrayNetwork(part="fibre"), given(labels, axon))
    assert ious(found, labels).min() > 0.85
    assert np.mean((found[0, 1].numpy() == 255) == axon) > 0.97


def test_network_may_be_wrapped():
    image, labels, axon = draw_grid(2, 2)
    plain, wrapped = (
        FibreInferer()(as_batch(image), network, given(labels, axon))
        for network in (GrayNetwork(), Wrapped(GrayNetwork()))
    )
    assert (plain == wrapped).all()


def test_metadata_are_kept():
    image, labels, axon = draw_grid(2, 2)
    found = FibreInferer()(as_batch(image, 0.02), GrayNetwork(), given(labels, axon))
    assert found.meta["filename_or_obj"] == ["a.png"] and float(found.meta["pixel_size_um"]) == 0.02
    plain = FibreInferer()(as_batch(image).as_tensor(), GrayNetwork(), given(labels, axon))
    assert (plain.as_tensor() == found.as_tensor()).sum() > 0


@pytest.mark.parametrize("automatic", [True, False])
def test_views_of_a_tile_are_seen_alike(automatic):
    image, labels, axon = draw_grid(4, 4)
    network = GrayNetwork()
    found = FibreInferer(automatic=automatic, tile_px=200, views=8)(as_batch(image), network, given(labels, axon))
    assert network.num_encoded == 4 * 8
    assert ious(found, labels).min() > 0.85


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"views": 9}, "--test_time_views 9: .* give 1 to 8"),
        ({"tile_px": 0}, "--tile_px 0: expected a positive whole number"),
        ({"tile_px": "large"}, "--tile_px large"),
        ({"halo": 0.5}, "--halo 0.5: expected a share"),
        ({"part": "sheath"}, "--target sheath: unknown; give myelin, axon, fibre"),
        ({"threshold": 1}, "--threshold 1"),
        ({"min_fit": 0}, "--min_fit 0: expected an IoU above 0, 1 at most, or none"),
        ({"min_fit": "all"}, "--min_fit all"),
        ({"prompts_per_batch": 0}, "--prompts_per_batch 0"),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(InputError, match=message):
        FibreInferer(**settings)


@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (2, 3, 8, 8), (3, 8, 8)])
def test_images_of_another_shape(shape):
    with pytest.raises(InputError, match="expected one image of three channels"):
        FibreInferer()(torch.zeros(shape), GrayNetwork())


class InvertedNetwork(GrayNetwork):
    """Knows images whose myelin is brighter than their axons."""

    def segment(self, image: torch.Tensor) -> torch.Tensor:
        return super().segment(320 - image)


@pytest.mark.parametrize("bright", [False, True])
def test_images_with_bright_myelin_have_an_axon_share_of_their_own(bright):
    image, _, axon = draw_grid(2, 2)
    rim = axon & ~ndimage.binary_erosion(axon)
    image[rim] = 195  # more like myelin than like an axon
    shown, network = (320 - image.astype(int), InvertedNetwork()) if bright else (image, GrayNetwork())
    settings = {"automatic": True, "refine": False, "tile_px": 128, "axon_share": 0.5}  # so that nothing is resized
    for others, expected in (({}, axon & ~rim), ({"axon_share_bright": 0.15}, axon if bright else axon & ~rim)):
        found = FibreInferer(**settings, **others)(as_batch(shown), network)
        np.testing.assert_array_equal(found[0, 1].numpy() == 255, expected)


def test_bare_axons_and_a_share_out_of_range_are_refused_where_they_make_no_sense():
    with pytest.raises(InputError, match="--keep_bare_axons True with --refine True: the mask decoder draws a sheath"):
        FibreInferer(automatic=True, refine=True, keep_bare_axons=True)
    with pytest.raises(InputError, match="--axon_share_bright 0: expected a number between 0 and 1"):
        FibreInferer(axon_share_bright=0)


def test_bare_axons_are_found_on_request():
    image, labels, axon = draw_grid(2, 2)
    image[(labels == 4) & ~axon] = 100
    settings = {"automatic": True, "refine": False, "tile_px": 128, "min_sheath": 0.6}
    for keep in (False, True):
        found = FibreInferer(**settings, keep_bare_axons=keep)(as_batch(image), GrayNetwork())[0].numpy()
        assert len(np.unique(found[0])) - 1 == 3 + keep
        assert (found[1][labels == 4] == 255).sum() == keep * (axon & (labels == 4)).sum()


def test_clicks_and_a_box_of_monai_label_are_answered_in_the_place_of_all_fibres():
    image, labels, _ = draw_grid(3, 4)
    item = {"image": as_batch(image)[0], "foreground": [[32, 32, 0], [96, 32, 0]], "roi": [6, 70, 58, 122, 0, 1]}
    asked = ClickedPromptsd("image")(item)["image"][None]
    found = FibreInferer(automatic=True, min_fit=0.7)(asked, GrayNetwork())
    for number, label in enumerate((1, 2, 5), start=1):
        assert ious(found == number, labels == label).min() > 0.85
    assert found[:, 0].max() == 3


@pytest.mark.parametrize("clicks", [[[1]], [["a", 2]], 5, [[1, 2], 3]])
def test_clicks_of_another_form_are_refused(clicks):
    with pytest.raises(InputError, match="expected .* in pixels"):
        prompts_of_clicks(clicks)
