"""Patches are cut where, as large and as turned as asked, and drawn from where something is known."""

import os

import numpy as np
import pytest
import torch
from monai.transforms import Compose, Lambdad
from scipy import ndimage

from common.errors import InputError
from common.training.draws import DrawnPatches, RandCutPatchd, cut_patch


def smooth(height: int, width: int, seed: int = 0) -> np.ndarray:
    return ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(height, width)), 3).astype(np.float32)


@pytest.mark.parametrize("size", [(9, 13), (8, 8), (7, 4)])
def test_without_turn_and_zoom_a_patch_is_a_part_of_the_image(size):
    image = torch.from_numpy(smooth(40, 50))[None]
    # the middle of an even patch lies between pixels
    centre = [20 + (0.5 if size[0] % 2 == 0 else 0), 31 + (0.5 if size[1] % 2 == 0 else 0)]
    top, left = (int(place - (length - 1) / 2) for place, length in zip(centre, size, strict=True))
    expected = image[:, top : top + size[0], left : left + size[1]]
    torch.testing.assert_close(cut_patch(image, centre, size), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(cut_patch(image, centre, size, mirror=True), expected.flip(-1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("zoom", "angle"), [(1.0, 0.7), (1.6, -2.0), (0.6, 3.0), (1.3, 0.0)])
def test_turned_and_zoomed_patches_agree_with_scipy(zoom, angle):
    image, centre, size = smooth(90, 100), np.array([44.0, 52.0]), np.array([21, 25])
    # scipy works in rows and columns, so that turning from x to y is turning back
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / zoom
    offset = centre - turn @ ((size - 1) / 2)
    expected = ndimage.affine_transform(image, turn, offset, tuple(size), order=1)
    found = cut_patch(torch.from_numpy(image)[None], centre, size.tolist(), zoom=zoom, angle=angle)[0]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)


def test_four_quarter_turns_lead_back():
    image, options = torch.from_numpy(smooth(30, 30))[None], {"centre": (15, 15), "size": (11, 11)}
    for quarter in range(5):
        turned = cut_patch(image, **options, angle=quarter * np.pi / 2)
        torch.testing.assert_close(turned, cut_patch(image, **options).rot90(quarter, (1, 2)), atol=1e-4, rtol=0)


def test_beyond_the_image_lies_what_is_asked():
    patch = cut_patch(torch.ones(2, 10, 10), (0, 0), (9, 9), mode="nearest", outside=-1)
    assert (patch[:, 4:, 4:] == 1).all() and (patch[:, :4] == -1).all() and (patch[:, :, :4] == -1).all()
    assert (cut_patch(torch.ones(1, 10, 10), (5, 100), (4, 4)) == 0).all(), "far away from it, too"


def test_labels_follow_the_image_and_stay_labels():
    image = torch.zeros(1, 60, 60)
    image[:, 20:35, 30:42] = 200
    cut = RandCutPatchd(["image", "label"], (31, 31), zoom=(0.7, 1.5)).set_random_state(seed=0)
    for _ in range(10):
        item = cut({"image": image.expand(3, -1, -1), "label": (image > 0).to(torch.int8), "centre": (28, 35)})
        assert set(item) == {"image", "label"}
        assert set(item["label"].unique().tolist()) <= {-1.0, 0.0, 1.0}
        sure = (item["image"][:1] < 1) | (item["image"][:1] > 199)
        assert torch.equal((item["image"][:1] > 100)[sure], (item["label"] == 1)[sure])


def test_zoom_is_drawn_evenly_on_both_sides_of_one():
    areas = []
    cut = RandCutPatchd(["image", "label"], (41, 41), zoom=(0.5, 2.0), rotation=0, mirror=False).set_random_state(
        seed=1
    )
    square = torch.zeros(1, 101, 101)
    square[:, 45:56, 45:56] = 1
    for _ in range(200):
        areas.append((cut({"image": square, "label": square, "centre": (50, 50)})["label"] == 1).sum().item())
    zooms = np.sqrt(areas) / 11
    assert zooms.min() >= 0.4 and zooms.max() <= 2.1
    assert 0.35 < (zooms > 1).mean() < 0.65


def test_patches_that_are_kept_inside_show_the_image_and_nothing_else():
    image = torch.from_numpy(smooth(40, 60))[None] + 10
    for centre, inside in (((0, 0), (10, 10)), ((39, 30), (30, 30)), ((20, 20), (20, 20))):
        cut = RandCutPatchd(["image", "label"], (20, 20), rotation=0, mirror=False, keep_inside=True)
        patch = cut({"image": image, "label": torch.ones(1, 40, 60), "centre": centre})
        assert (patch["label"] == 1).all()
        torch.testing.assert_close(patch["image"], cut_patch(image, inside, (20, 20)))


def test_a_patch_larger_than_the_image_has_it_in_its_middle():
    cut = RandCutPatchd(["label"], (8, 8), rotation=0, mirror=False, keep_inside=True)
    patch = cut({"label": torch.ones(1, 4, 20), "centre": (0, 10)})["label"]
    assert torch.equal(patch[0, 2:6] != 0, torch.ones(4, 8, dtype=torch.bool)) and not patch[0, [0, 7]].any()


def targets(height: int = 40, width: int = 40) -> torch.Tensor:
    """The lower half is not known; an object takes 4 % of the upper half."""
    known = torch.zeros(2, height, width, dtype=torch.int8)
    known[:, height // 2 :] = -1
    known[:, 2:6, 2:10] = 1
    return known


def draw(images: list[torch.Tensor], *, num_patches: int = 300, seed: int = 0, **options) -> DrawnPatches:
    """Patches whose transform leaves the place that was drawn in them."""
    items = [{"label": image, "number": index} for index, image in enumerate(images)]
    keep = Compose([Lambdad("label", torch.clone), RandKeepd("label")])
    return DrawnPatches(items, keep, num_patches, **options).set_random_state(seed=seed)


class RandKeepd(RandCutPatchd):
    """A random transform that changes nothing."""

    def __init__(self, keys) -> None:
        super().__init__(keys, (1, 1))

    def __call__(self, data):
        return dict(data)


def test_patches_are_centred_in_objects_as_often_as_asked_and_never_where_nothing_is_known():
    patches = draw([targets()], foreground_share=0.5)
    values = np.array([int(item["label"][0][item["centre"]]) for item in (patches[i] for i in range(len(patches)))])
    assert len(values) == 300
    assert (values >= 0).all()
    assert 0.42 < (values == 1).mean() < 0.62


def test_images_take_turns_by_what_they_show():
    empty, small, large = torch.full((2, 30, 30), -1, dtype=torch.int8), targets(), targets(80, 80)
    patches = draw([empty, small, large], foreground_share=0.0)
    counts = np.bincount([patches[i]["number"] for i in range(300)], minlength=3)
    assert counts[0] == 0
    assert 2 < counts[2] / counts[1] < 8


def test_an_image_without_objects_is_drawn_from_all_the_same(caplog):
    patches = draw([torch.zeros(2, 9, 9, dtype=torch.int8)], foreground_share=1.0)
    assert patches[0]["centre"] != patches[1]["centre"] or patches[2]["centre"] != patches[1]["centre"]
    assert "no image to train on has an object" in caplog.text


def test_images_outside_the_cache_give_the_same_patches():
    wanted, found = (draw([targets(), targets(60, 30)], cache_rate=rate) for rate in (1.0, 0.0))
    for index in range(20):
        first, second = wanted[index], found[index]
        assert (first["number"], first["centre"]) == (second["number"], second["centre"])


def test_images_on_a_disk_give_the_same_patches_and_are_read_once(tmp_path):
    images = [targets(), targets(60, 30)]
    for _ in range(2):
        wanted, found = draw(images), draw(images, cache_dir=str(tmp_path / "cache"))
        for index in range(20):
            first, second = wanted[index], found[index]
            assert (first["number"], first["centre"]) == (second["number"], second["centre"])
            assert torch.equal(first["label"], second["label"])
    assert len([*(tmp_path / "cache").iterdir()]) == 2


def load(name: str) -> torch.Tensor:
    return torch.from_numpy(np.load(name))


def test_image_that_was_changed_is_not_taken_from_the_disk(tmp_path):
    path = tmp_path / "labels.npy"

    def label_of(value: int) -> torch.Tensor:
        np.save(path, np.full((1, 4, 4), value, np.int8))
        os.utime(path, ns=(value, value))
        read = Compose([Lambdad("label", load), RandKeepd("label")])
        return DrawnPatches([{"label": str(path)}], read, 1, cache_dir=str(tmp_path / "cache"))[0]["label"]

    assert label_of(1).eq(1).all() and label_of(2).eq(2).all()


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04" + 90 * b"x", None])
def test_damaged_file_on_the_disk_is_made_anew(tmp_path, content, caplog):
    wanted = draw([targets()], cache_dir=str(tmp_path))[0]
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-200] if content is None else content)
    found = draw([targets()], cache_dir=str(tmp_path))[0]
    assert torch.equal(found["label"], wanted["label"]) and "made anew" in caplog.text
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    torch.load(path, weights_only=True)


def test_place_on_the_disk_that_is_a_file_is_told(tmp_path):
    (tmp_path / "file").touch()
    for place in ("file", "file/folder"):
        with pytest.raises(InputError, match=r"file.*cannot write there"):
            draw([targets()], cache_dir=str(tmp_path / place))


def test_one_large_image_among_small_ones_is_no_reason_to_refuse_all(monkeypatch):
    monkeypatch.setattr("common.training.draws.total_memory", lambda: 1e6)
    sizes = [(300, 300), *[(10, 10)] * 50]
    draw([torch.zeros(1, *size, dtype=torch.int8) for size in sizes])


def test_more_images_than_fit_in_memory_are_refused_with_what_helps(monkeypatch):
    monkeypatch.setattr("common.training.draws.total_memory", lambda: 40_000.0)
    images = [targets()] * 10  # of 3200 bytes
    with pytest.raises(InputError, match=r"10 images .* --cache_dir FOLDER, .* --cache_rate 0.87"):
        draw(images)
    assert len(draw(images, cache_rate=0.8)) == 300


def test_same_seed_gives_the_same_patches_and_another_seed_others():
    places = [
        [(p["number"], p["centre"]) for p in (d[i] for i in range(20))]
        for d in (draw([targets()], seed=s) for s in (4, 4, 5))
    ]
    assert places[0] == places[1] != places[2]


def test_images_that_show_nothing_are_refused():
    with pytest.raises(InputError, match="no image to train on shows anything"):
        draw([torch.full((2, 5, 5), -1, dtype=torch.int8)])[0]


def test_seed_of_the_data_set_is_that_of_its_transforms_too():
    """Else augmentation went on elsewhere in a training that was interrupted, and was alike in all workers."""

    def drawn(num_before: int) -> list[torch.Tensor]:
        image = torch.as_tensor(smooth(30, 30))[None]
        cut = RandCutPatchd("label", (5, 5), zoom=(0.5, 2.0), rotation=180)
        patches = DrawnPatches([{"label": image}], Compose([Lambdad("label", lambda x: x), cut]), 9)
        for index in range(num_before):
            patches[index]
        patches.set_random_state(seed=3)
        return [patches[index]["label"] for index in range(4)]

    for first, second in zip(drawn(0), drawn(5), strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=0)
