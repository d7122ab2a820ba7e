"""From volumes on disk to markers, instances and tables, through the configs."""

import csv
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from devonet_ndn.common.networks.devonet import DevoNet
from devonet_ndn.nuclei import COLUMNS

from tests.bundles.stand_ins import BrightIsNucleus, EverythingIsNucleus
from tests.refusals import refusing
from tests.tables import read_records
from tools.convert.ctc import ctc as convert_ctc
from tools.sample.ctc import ctc
from tools.sample.embryo import SPACING_UM

INIT_CHANNELS = 2
TURNED = np.array([[0, 0.8, 0, 9], [-0.8, 0, 0, 2], [0, 0, 2.0, -7], [0, 0, 0, 1.0]])
DETECTION_HEADER = ["id", "z_um", "y_um", "x_um", "score"]


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights of a network that has learnt nothing."""
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = DevoNet(depth=4, in_channels=1, out_channels=2, init_channels=INIT_CHANNELS, kernel_size=5)
    torch.save(network.state_dict(), path)
    return str(path)


@pytest.fixture(scope="session")
def embryos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic embryos of one frame: one for training, two for testing; true masks under ``foreground``."""
    folder = tmp_path_factory.mktemp("embryos")
    ctc(str(folder / "ctc"), num_sequences=3, num_frames=1)
    convert_ctc(folder / "ctc", folder / "dataset", spacing=SPACING_UM, folds=1, test=["02", "03"])
    (folder / "dataset" / "foreground").mkdir()
    for path in (folder / "dataset" / "labels").iterdir():
        labels = nib.load(path)
        mask = nib.Nifti1Image((np.asarray(labels.dataobj) > 0).astype(np.uint8), labels.affine)
        nib.save(mask, folder / "dataset" / "foreground" / path.name.replace(".nii", "_mask.nii"))
    return folder / "dataset"


@pytest.fixture
def apply(run_workflow: Callable) -> Callable[..., Path]:
    """Function that runs configs on a folder, with a network or with weights; returns the folder of the results."""
    return partial(run_workflow, amp=False, init_channels=INIT_CHANNELS)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def two_nuclei(distance_um) -> tuple[np.ndarray, np.ndarray]:
    """An image (X, Y, Z) of two touching nuclei, brightest in the middle, and their truth as 1 and 2."""
    shape, spacing = (40, 34, 16), (0.8, 0.8, 2.0)
    distances = np.stack([distance_um(shape, centre, spacing) for centre in ((9, 14, 16), (21, 14, 16))])
    truth = np.where(distances.min(axis=0) <= 6.5, distances.argmin(axis=0) + 1, 0)
    noise = np.random.default_rng(0).normal(100, 1, shape)
    return (noise + 900 * np.exp(-((distances.min(axis=0) / 4) ** 2))).astype(np.uint16), truth


def test_markers_lie_on_the_nuclei_in_the_grid_of_the_image(apply, write_volume, distance_um):
    image, truth = two_nuclei(distance_um)
    folder = write_volume("images/a.nii.gz", image, TURNED).parent
    output = apply("inference", network=BrightIsNucleus(), dataset_dir=str(folder))
    assert names(output) == ["a_markers.csv", "a_markers.nii.gz"]
    markers = nib.load(output / "a_markers.nii.gz")
    assert markers.get_data_dtype() == np.int32 and markers.header.get_xyzt_units()[0] == "micron"
    np.testing.assert_allclose(markers.affine, TURNED, atol=1e-6)
    labels = np.asarray(markers.dataobj)
    assert labels.shape == truth.shape and set(labels.flat) == {0, 1, 2}
    assert {tuple(set(truth[labels == number])) for number in (1, 2)} == {(1,), (2,)}
    rows = read_records(output / "a_markers.csv")
    assert list(rows[0]) == DETECTION_HEADER and [row["id"] for row in rows] == ["1", "2"]
    places = sorted([float(row[f"{axis}_um"]) for axis in "xyz"] for row in rows)
    np.testing.assert_allclose(places, [[9, 14, 16], [21, 14, 16]], atol=0.8)


def test_probability_of_centres_is_written_when_asked_for(apply, write_volume, distance_um):
    folder = write_volume("images/a.nii.gz", two_nuclei(distance_um)[0], TURNED).parent
    output = apply("inference", network=BrightIsNucleus(), dataset_dir=str(folder), save_probability=True)
    probability = np.asarray(nib.load(output / "a_centre_prob.nii.gz").dataobj)
    assert 0 <= probability.min() < 0.5 < probability.max() <= 1


def test_instances_part_touching_nuclei_and_are_measured(apply, write_volume, distance_um):
    image, truth = two_nuclei(distance_um)
    folder = write_volume("images/a.nii.gz", image, TURNED).parent
    write_volume("masks/a_prob.nii.gz", (truth > 0).astype(np.float32), TURNED)
    output = apply(
        "instances", network=BrightIsNucleus(), dataset_dir=str(folder), foreground_dir=str(folder.parent / "masks")
    )
    assert names(output) == ["a_instances.nii.gz", "a_markers.csv", "a_markers.nii.gz", "a_nuclei.csv"]
    instances = nib.load(output / "a_instances.nii.gz")
    np.testing.assert_allclose(instances.affine, TURNED, atol=1e-6)
    labels, markers = (np.asarray(nib.load(output / f"a_{kind}.nii.gz").dataobj) for kind in ("instances", "markers"))
    np.testing.assert_array_equal(labels > 0, truth > 0)
    np.testing.assert_array_equal(labels[markers > 0], markers[markers > 0])
    rows = read_records(output / "a_nuclei.csv")
    assert tuple(rows[0]) == COLUMNS and [row["marker"] for row in rows] == ["1", "1"]
    for row in rows:
        region = labels == int(row["id"])
        (nucleus,) = {1, 2} & {np.bincount(truth[region]).argmax()}
        assert np.count_nonzero(region & (truth == nucleus)) > 0.95 * np.count_nonzero(truth == nucleus)
        assert float(row["volume_um3"]) == pytest.approx(region.sum() * 0.8 * 0.8 * 2.0, rel=1e-4)
        assert float(row["mean_intensity"]) == pytest.approx(image[region].mean(), rel=1e-4)
        place = [float(row[f"{axis}_um"]) for axis in "xyz"]
        np.testing.assert_allclose(place, np.argwhere(region).mean(axis=0) * (0.8, 0.8, 2.0), rtol=1e-4)


def seg_by_sets(reference: np.ndarray, result: np.ndarray) -> list[float]:
    """IoU of every reference object with the result that covers more than half of it, else 0."""
    scores = []
    for label in set(reference.flat) - {0}:
        region = reference == label
        best = np.bincount(result[region]).argmax()
        both = np.count_nonzero(region & (result == best))
        either = np.count_nonzero(region | (result == best))
        scores.append(both / either if best and 2 * both > region.sum() else 0.0)
    return scores


@pytest.mark.slow
@pytest.mark.parametrize("trained", [False, True])
def test_evaluation_of_instances_writes_seg_of_each_image_and_of_all(apply, embryos, weights, trained):
    settings = {"network": BrightIsNucleus()} if trained else {"ckpt_path": weights}
    folders = {"dataset_dir": str(embryos), "foreground_dir": str(embryos / "foreground")}
    output = apply("instances", "evaluate_instances", **folders, **settings)
    stems, kinds = ["02_t000", "03_t000"], ["instances.nii.gz", "markers.csv", "markers.nii.gz", "nuclei.csv"]
    reports = [
        f"{metric}_{kind}.csv"
        for metric in ("ap", "f1", "mucov", "seg", "seg_per_image")
        for kind in ("raw", "summary")
    ]
    reports += ["metrics.csv", "objects_by_iou.csv", "objects_by_iou.png"]
    assert names(output) == sorted([f"{stem}_{kind}" for stem in stems for kind in kinds] + reports)
    expected = []
    for stem in stems:
        paths = embryos / "labels" / f"{stem}.nii.gz", output / f"{stem}_instances.nii.gz"
        expected.append(seg_by_sets(*(np.asarray(nib.load(path).dataobj) for path in paths)))
    raw = [line.split(",")[:2] for line in (output / "seg_raw.csv").read_text().splitlines()[1:]]
    assert [Path(image).name for image, _ in raw] == [f"{stem}.nii.gz" for stem in stems]
    assert [float(value) for _, value in raw] == pytest.approx([np.mean(scores) for scores in expected], abs=1e-4)
    with (output / "metrics.csv").open() as file:
        overall = {name: float(value) for name, value in csv.reader(file)}
    assert set(overall) == {"seg", "seg_per_image", "mucov", "f1", "ap"}
    assert overall["seg"] == pytest.approx(np.mean(sum(expected, [])), abs=1e-4)
    assert overall["seg_per_image"] == pytest.approx(np.mean([np.mean(scores) for scores in expected]), abs=1e-4)


def test_nuclei_that_the_network_missed_are_kept(apply, write_volume, distance_um):
    image, truth = two_nuclei(distance_um)
    folder = write_volume("images/a.nii.gz", image).parent
    write_volume("masks/a_mask.nii.gz", (truth > 0).astype(np.uint8))
    settings = {"dataset_dir": str(folder), "foreground_dir": str(folder.parent / "masks"), "threshold": 0.9999999}
    output = apply("instances", network=EverythingIsNucleus(), **settings)
    assert (output / "a_markers.csv").read_text().split() == [",".join(DETECTION_HEADER)]
    np.testing.assert_array_equal(np.asarray(nib.load(output / "a_instances.nii.gz").dataobj), truth > 0)
    assert [row["marker"] for row in read_records(output / "a_nuclei.csv")] == ["0"]


@pytest.mark.parametrize("value", [0, 100])
def test_volume_without_nuclei_gives_empty_results(apply, write_volume, value):
    folder = write_volume("images/a.nii.gz", np.full((13, 11, 9), value, np.uint16)).parent
    write_volume("masks/a_mask.nii.gz", np.zeros((13, 11, 9), np.uint8))
    settings = {"dataset_dir": str(folder), "foreground_dir": str(folder.parent / "masks")}
    output = apply("instances", network=EverythingIsNucleus(), **settings)
    for kind in ("markers", "instances"):
        volume = nib.load(output / f"a_{kind}.nii.gz")
        assert volume.shape == (13, 11, 9) and not np.asarray(volume.dataobj).any()
    assert (output / "a_markers.csv").read_text().split() == [",".join(DETECTION_HEADER)]
    assert (output / "a_nuclei.csv").read_text().split() == [",".join(COLUMNS)]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # MONAI's summary of no number at all
def test_evaluation_without_any_reference_object_is_nan(apply, write_volume, tmp_path):
    for name in ("a.nii.gz", "label.nii.gz", "a_mask.nii.gz"):
        write_volume(name, np.zeros((13, 11, 9), np.uint8))
    (tmp_path / "dataset.json").write_text(json.dumps({"testing": [{"image": "a.nii.gz", "label": "label.nii.gz"}]}))
    folders = {"dataset_dir": str(tmp_path), "foreground_dir": str(tmp_path)}
    output = apply("instances", "evaluate_instances", network=EverythingIsNucleus(), **folders)
    assert (output / "metrics.csv").read_text() == "seg,nan\nseg_per_image,nan\nmucov,nan\nf1,nan\nap,nan\n"


def test_foreground_that_lacks_a_case(apply, write_volume):
    folder = write_volume("images/a.nii.gz", np.zeros((5, 5, 5), np.uint8)).parent
    with refusing("no foreground of 1 of 1 images; the first is a: expected"):
        apply("instances", dataset_dir=str(folder), foreground_dir=str(folder))


def test_foreground_of_another_shape(apply, write_volume, tmp_path):
    image = write_volume("images/a.nii.gz", np.zeros((8, 8, 8), np.uint8))
    mask = write_volume("masks/a_mask.nii.gz", np.zeros((8, 8, 7), np.uint8))
    with refusing(r"a_mask.nii.gz: foreground has shape \(8, 8, 7\), its image \(8, 8, 8\); both must have"):
        apply("instances", dataset_dir=str(image.parent), foreground_dir=str(mask.parent))
    assert names(tmp_path / "output") == []
