"""From a volume to its instances, files and table, with networks that stand in for the real one."""

import nibabel as nib
import numpy as np
import pytest
import torch
from maskrcnn_2p5d.common.errors import InputError
from maskrcnn_2p5d.inferers import SCORES, VolumeInstanceInferer
from maskrcnn_2p5d.objects import measure_objects
from maskrcnn_2p5d.saving import SaveInstancesd, TakeScoresd, label_dtype
from monai.data import MetaTensor

from tests.bundles.maskrcnn_2p5d.stand_ins import Components

AFFINE = np.diag([0.8, 0.8, 2.0, 1.0])


class WholeVolume(Components):
    """Has the way for whole volumes as well, and no other that works."""

    def detect_volume(self, volume: torch.Tensor, *, batch_size: int):
        for plane in volume:
            yield self.find(plane)

    detect = None


def balls(shape: tuple[int, int, int] = (9, 24, 30)) -> np.ndarray:
    """Two balls (Z, Y, X), apart in each slice."""
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    labels = np.zeros(shape, np.int32)
    for label, centre in enumerate([(4, 8, 8), (5, 15, 21)], start=1):
        labels[(z - centre[0]) ** 2 * 4 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 <= 36] = label
    return labels


def as_batch(volume: np.ndarray) -> torch.Tensor:
    return torch.from_numpy((volume > 0).astype(np.float32))[None, None]


@pytest.mark.parametrize("network", [Components(), WholeVolume()])
@pytest.mark.parametrize("slab", [1, 2, 100])
def test_objects_of_a_volume_are_found_whatever_the_slab(network, slab):
    result = VolumeInstanceInferer(3, slab, min_area_px=1, min_iou=0.01)(as_batch(balls()), network)
    assert result.dtype == torch.int32 and result.shape == (1, 1, 9, 24, 30)
    assert (result[0, 0].numpy() == balls()).all()
    assert result.meta[SCORES].tolist() == [[0.75, 0.75]]


def test_an_item_whose_metadata_were_not_collated_keeps_them():
    image = MetaTensor(as_batch(balls())[0], meta={"filename_or_obj": "a.nii.gz"})
    result = VolumeInstanceInferer(3, min_area_px=1, min_iou=0.01)(image[None], Components())[0]
    assert result.meta["filename_or_obj"] == "a.nii.gz" and result.affine.shape == (4, 4)
    assert TakeScoresd("pred")({"pred": result})["pred_scores"].tolist() == [0.75, 0.75]


def test_stacks_hold_the_neighbours_and_repeat_the_last_slice():
    network = Components()
    volume = torch.arange(4.0)[None, None, :, None, None].expand(1, 1, 4, 2, 2)
    VolumeInstanceInferer(5, slab=3)(volume, network)
    stacks = torch.cat(network.stacks)[:, :, 0, 0]
    assert stacks.tolist() == [[0, 0, 0, 1, 2], [0, 0, 1, 2, 3], [0, 1, 2, 3, 3], [1, 2, 3, 3, 3]]
    assert [len(stack) for stack in network.stacks] == [3, 1]


@pytest.mark.parametrize("num_slices", [1, 3, 7])
def test_one_slice_is_a_volume_too(num_slices):
    volume = balls()[4:5]
    result = VolumeInstanceInferer(num_slices)(as_batch(volume), Components())
    assert (result[0, 0].numpy() > 0).sum() == (volume > 0).sum() and result.max() == 2


def test_no_detections_give_an_empty_volume():
    result = VolumeInstanceInferer(3)(as_batch(balls()) * 0, Components())
    assert not result.any() and result.shape == (1, 1, 9, 24, 30) and result.meta[SCORES].shape == (1, 0)


@pytest.mark.parametrize("settings", [{"num_slices": 4}, {"num_slices": 3, "slab": 0}, {"num_slices": 3, "min_iou": 2}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(InputError, match="num_slices 4|slab is 0|min_iou is 2"):
        VolumeInstanceInferer(**settings)


@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (2, 1, 3, 8, 8), (1, 3, 3, 8, 8)])
def test_what_is_no_single_volume_is_refused(shape):
    with pytest.raises(InputError, match="expected one gray volume"):
        VolumeInstanceInferer(3)(torch.zeros(shape), Components())


@pytest.mark.parametrize(("number", "dtype"), [(0, "uint16"), (65535, "uint16"), (65536, "int32")])
def test_the_type_on_disk_holds_all_labels(number, dtype):
    assert label_dtype(number) == dtype


def test_more_than_65535_objects_are_saved_apart(tmp_path):
    labels = np.arange(1, 70001, dtype=np.int32).reshape(7, 100, 100)
    tensor = MetaTensor(
        torch.from_numpy(labels.T.copy())[None],
        affine=torch.from_numpy(AFFINE),
        meta={"filename_or_obj": "many.nii.gz"},
    )
    SaveInstancesd("pred", tmp_path)({"pred": tensor, "pred_scores": torch.ones(70000)})
    saved = nib.load(tmp_path / "many_instances.nii.gz")
    assert saved.get_data_dtype() == np.int32 and (labels == np.asarray(saved.dataobj).T).all()
    assert len((tmp_path / "many_objects.csv").read_text().splitlines()) == 70001


def test_objects_are_measured_in_micrometres_and_voxels():
    labels = np.zeros((4, 5, 6), np.int32)
    labels[1:3, 2, 2:4] = 3
    rows = measure_objects(labels, (2.0, 0.5, 0.25), np.array([0.1, 0.2, 0.3]))
    assert rows == [(3, pytest.approx(1.0), 2, 0.3, 3.0, 1.0, 0.625, 1.5, 2.0, 2.5)]
    with pytest.raises(ValueError, match="label 3 but 2 scores"):
        measure_objects(labels, (1, 1, 1), np.ones(2))
