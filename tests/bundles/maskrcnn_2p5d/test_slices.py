"""Slices to train on."""

import numpy as np
import pytest
import torch
from maskrcnn_2p5d.common.errors import InputError
from maskrcnn_2p5d.slices import RandSlicesd, draw_slices
from maskrcnn_2p5d.targets import slice_targets
from monai.data import CacheDataset
from monai.transforms import Compose, Lambdad, RandFlipd, RandRotate90d, RandSpatialCropd


def volumes(depth: int = 6, first: int = 2, last: int = 4) -> dict[str, torch.Tensor]:
    """A volume whose slices are told by their intensity, with an object in slices ``first`` to ``last``."""
    image = torch.arange(float(depth))[None, :, None, None].expand(1, depth, 8, 10).clone()
    label = torch.zeros(1, depth, 8, 10)
    label[0, first : last + 1, 1:4, 2:7] = 70001
    return {"image": image, "label": label}


def random(seed: int = 0) -> np.random.RandomState:
    return np.random.RandomState(seed)


def test_every_slice_comes_before_one_comes_twice():
    drawn = draw_slices(np.array([True, False, True, True]), 6, 0.0, random())
    assert sorted(drawn.tolist()) == [0, 0, 2, 2, 3, 3] and sorted(drawn[:3].tolist()) == [0, 2, 3]


def test_empty_slices_come_as_often_as_asked_for():
    has_objects = np.arange(1000) % 2 == 0
    empty = [(draw_slices(has_objects, 50, 0.25, random(seed)) % 2).mean() for seed in range(40)]
    assert np.mean(empty) == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("has_objects", [True, False])
def test_volumes_with_one_kind_of_slices_are_drawn_from(has_objects):
    assert len(draw_slices(np.full(3, has_objects), 5, 0.5, random())) == 5


def test_stacks_hold_the_neighbours_and_the_label_their_middle():
    for item in RandSlicesd(["image", "label"], num_slices=5, num_samples=3, empty_ratio=0.0)(volumes()):
        assert item["image"].shape == (5, 8, 10) and item["label"].shape == (1, 8, 10)
        middle = int(item["image"][2, 0, 0])
        assert item["image"][:, 0, 0].tolist() == [min(max(middle + step, 0), 5) for step in range(-2, 3)]
        assert 2 <= middle <= 4 and item["label"].max() == 70001
        assert type(item["image"]) is torch.Tensor


def test_drawing_again_gives_the_same_with_the_same_seed():
    transform = RandSlicesd(["image", "label"], num_slices=1, num_samples=20, empty_ratio=1.0)
    first, again, other = (
        [int(item["image"][0, 0, 0]) for item in transform.set_random_state(seed)(volumes())] for seed in (0, 0, 1)
    )
    assert first == again != other


def test_a_volume_of_one_slice_and_one_without_objects_work():
    single = RandSlicesd(["image", "label"], 7, 2)(volumes(depth=1, first=0))
    assert single[0]["image"].shape == (7, 8, 10)
    (negative, *_) = RandSlicesd(["image", "label"], 3)(volumes(first=9, last=9))
    assert slice_targets(negative["label"][0].numpy())["boxes"].shape == (0, 4)


def test_cached_volumes_are_not_changed_by_what_follows():
    item = volumes()
    RandSlicesd(["image", "label"], 1, 6)(item)[0]["image"].sub_(100)
    RandSlicesd(["image", "label"], 1, 6)(item)[0]["label"].sub_(100)
    assert (item["image"] == volumes()["image"]).all() and (item["label"] == volumes()["label"]).all()


def test_targets_follow_the_augmentation():
    transform = Compose(
        [
            Lambdad("image", lambda image: image),
            RandSlicesd(["image", "label"], 3, num_samples=8, empty_ratio=0.0),
            RandFlipd(["image", "label"], prob=0.5, spatial_axis=0),
            RandRotate90d(["image", "label"], prob=0.5),
            RandSpatialCropd(["image", "label"], roi_size=(6, 6), random_size=False),
        ]
    ).set_random_state(0)
    item = volumes()
    item["image"][item["label"] > 0] = 99.0
    dataset = CacheDataset([item, item], transform, progress=False)
    boxes = set()
    for sample in (sample for index in range(len(dataset)) for sample in dataset[index]):
        target = slice_targets(sample["label"][0].numpy(), min_area_px=2)
        for box, mask in zip(target["boxes"].int().tolist(), target["masks"], strict=True):
            assert torch.equal(mask.bool(), sample["image"][1] == 99)  # image and label moved alike
            assert mask[box[1] : box[3], box[0] : box[2]].sum() == mask.sum()
            boxes.add(tuple(box))
    assert len(boxes) > 3


@pytest.mark.parametrize("settings", [{"num_slices": 2}, {"num_slices": 3, "num_samples": 0}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(InputError, match="num_slices 2|0 samples"):
        RandSlicesd(["image", "label"], **settings)


def test_planes_and_labels_of_other_shape_are_refused():
    item = volumes()
    with pytest.raises(InputError, match="image of shape .*expected one gray volume"):
        RandSlicesd(["image", "label"], 3)({"image": item["image"][:, 0], "label": item["label"][:, 0]})
    with pytest.raises(InputError, match="label of shape .*its image"):
        RandSlicesd(["image", "label"], 3)({**item, "label": item["label"][:, 1:]})
