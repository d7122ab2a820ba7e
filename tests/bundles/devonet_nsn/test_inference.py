"""From a volume on disk to its mask, through the config: the grid, the axes and the odd volumes."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from devonet_nsn.common.items import inference_items

from tests.bundles.stand_ins import BrightIsNucleus, EverythingIsNucleus
from tests.processes import run_on_two


@pytest.fixture
def segment(run_workflow: Callable) -> Callable[..., Path]:
    """Function that runs inference with a stand-in network on a folder; returns the folder of the results."""

    def run(dataset_dir: Path, network: torch.nn.Module, **overrides) -> Path:
        settings = {"amp": False, "roi_size": [16, 32, 32]} | overrides
        return run_workflow("inference", dataset_dir=dataset_dir, network=network, **settings)

    return run


def draw_block(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """An image (X, Y, Z) and its truth: one bright block, at another place and of another size on each axis."""
    truth = np.zeros(shape, bool)
    truth[4:12, 10:26, 3:7] = True
    noise = np.random.default_rng(0).normal(100, 2, shape)
    return (noise + 1700 * truth).astype(np.uint16), truth


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return np.count_nonzero(first & second) / np.count_nonzero(first | second)


@pytest.mark.parametrize(
    ("spacing", "least_iou"), [("none", 1.0), ([1.75, 0.8, 0.8], 1.0), ([1.0, 1.0, 1.0], 0.8), ([2.5, 0.5, 0.7], 0.75)]
)
def test_a_block_is_found_where_it_is_whatever_the_spacing_worked_in(segment, write_volume, spacing, least_iou):
    image, truth = draw_block((23, 37, 11))
    path = write_volume("images/a.nii.gz", image, spacing=(0.8, 0.8, 1.75))
    mask = nib.load(segment(path.parent, BrightIsNucleus(), spacing=spacing) / "a_mask.nii.gz")
    assert mask.get_data_dtype() == np.uint8
    np.testing.assert_allclose(mask.affine, nib.load(path).affine)
    assert iou(np.asarray(mask.dataobj) == 1, truth) >= least_iou


def test_the_network_sees_z_y_x(segment, write_volume):
    image, truth = draw_block((23, 37, 11))
    network, seen = BrightIsNucleus(), []
    network.register_forward_hook(lambda module, inputs, logits: seen.append(inputs[0]))
    folder = write_volume("images/a.nii.gz", image, spacing=(0.8, 0.8, 1.75)).parent
    segment(folder, network, spacing="none", roi_size=[64, 64, 64])
    (window,) = seen
    np.testing.assert_array_equal(window[0, 0].numpy() > 0.5, truth.transpose(2, 1, 0))


def test_an_image_that_is_turned_and_shifted_keeps_its_affine(segment, tmp_path):
    image, truth = draw_block((23, 37, 11))
    affine = np.array([[0, 0.5, 0, 9], [-0.4, 0, 0, 2], [0, 0, 1.2, -7], [0, 0, 0, 1.0]])
    (tmp_path / "images").mkdir()
    nib.save(nib.Nifti1Image(image, affine), tmp_path / "images" / "a.nii.gz")
    mask = nib.load(segment(tmp_path / "images", BrightIsNucleus(), spacing=[1.0, 0.5, 0.5]) / "a_mask.nii.gz")
    np.testing.assert_allclose(mask.affine, affine, atol=1e-6)
    assert iou(np.asarray(mask.dataobj) == 1, truth) >= 0.75


def test_probability_is_written_when_asked_for(segment, write_volume):
    image, _truth = draw_block((23, 37, 11))
    folder = write_volume("images/a.nii.gz", image, spacing=(0.8, 0.8, 1.75)).parent
    output = segment(folder, BrightIsNucleus(), spacing=[1.0, 1.0, 1.0], save_probability=True)
    probability = np.asarray(nib.load(output / "a_prob.nii.gz").dataobj)
    mask = np.asarray(nib.load(output / "a_mask.nii.gz").dataobj)
    assert probability.dtype == np.float32
    assert probability.min() >= 0 and probability.max() <= 1
    np.testing.assert_array_equal(mask == 1, probability >= 0.5)


@pytest.mark.parametrize("spacing", ["none", [1.1, 0.9, 0.7]])
@pytest.mark.parametrize(("value", "dtype"), [(0, "uint8"), (100, "uint16"), (0.1, "float32")])
def test_a_constant_volume_gives_an_empty_mask(segment, write_volume, spacing, value, dtype):
    folder = write_volume("images/a.nii.gz", np.full((13, 11, 9), value, dtype), spacing=(0.8, 0.8, 1.75)).parent
    mask = nib.load(segment(folder, EverythingIsNucleus(), spacing=spacing) / "a_mask.nii.gz")
    assert mask.shape == (13, 11, 9)
    assert not np.asarray(mask.dataobj).any()


def test_a_volume_of_one_voxel_is_a_volume(segment, write_volume):
    folder = write_volume("images/a.nii.gz", np.ones((1, 1, 1), np.uint8)).parent
    assert nib.load(segment(folder, BrightIsNucleus()) / "a_mask.nii.gz").shape == (1, 1, 1)


def test_every_embryo_under_testing_gets_a_mask(segment, embryos):
    output = segment(embryos, BrightIsNucleus())
    assert sorted(path.name for path in output.iterdir()) == ["03_t000_mask.nii.gz"]
    (item,) = inference_items(embryos, "volume")
    mask, labels = nib.load(output / "03_t000_mask.nii.gz"), nib.load(item["image"].replace("images", "labels"))
    np.testing.assert_allclose(mask.affine, labels.affine)
    assert iou(np.asarray(mask.dataobj) > 0, np.asarray(labels.dataobj) > 0) > 0.5


@pytest.mark.slow
def test_two_processes_share_the_images_and_a_second_run_skips_them(tmp_path):
    images, results = tmp_path / "images", tmp_path / "results"
    images.mkdir()
    for index in range(3):
        volume = draw_block((16, 32, 10))[0] + np.uint16(index)
        nib.save(nib.Nifti1Image(volume, np.diag([0.8, 0.8, 1.75, 1.0])), images / f"embryo_{index}.nii.gz")
    root = Path(__file__).parents[3] / "bundles" / "devonet_nsn"
    words = [
        *("monai.bundle", "run", "--config_file", root / "configs/inference.json", "--bundle_root", root),
        *("--dataset_dir", images, "--output_dir", results, "--skip_existing", "True"),
    ]
    command = [*(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"), *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    times = {path.name: path.stat().st_mtime_ns for path in results.iterdir()}
    assert sorted(times) == [f"embryo_{index}_mask.nii.gz" for index in range(3)]
    assert (done.stdout + done.stderr).count("wrote ") == 3
    again = "".join(run_on_two(*words, cwd=tmp_path))
    assert {path.name: path.stat().st_mtime_ns for path in results.iterdir()} == times and "wrote " not in again
    assert all(f"{share} of {share} images have their results already" in again for share in (1, 2))
