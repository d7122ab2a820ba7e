"""MONAI's AutoRunner trains a bundle on the synthetic embryo, and its ensembles are means of probabilities."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml
from monai.apps.auto3dseg import AutoRunner
from monai.auto3dseg import algo_from_json
from monai.utils import set_determinism

from tools.__main__ import VERBS
from tools.command_line import run

pytestmark = pytest.mark.thorough

PARAMS = {"num_epochs": 1, "spacing": [2.0, 0.8, 0.8], "patch_size": [16, 32, 32], "pretrained": True, "amp": False}
ALGOS = ["devonetnsn_0", "devonetnsn_1"]


def call(*words: object) -> None:
    assert run(VERBS, [str(word) for word in words]) == 0


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> AutoRunner:
    """An AutoRunner on two folds that has trained, with an ensemble of the best of each fold."""
    folder = tmp_path_factory.mktemp("auto3dseg")
    source, dataset, templates, work = (folder / name for name in ("source", "dataset", "templates", "work"))
    call("sample", "devonet_nsn", source)
    call("convert", "ctc", source, dataset, "--spacing", "2.0,0.8,0.8", "--folds", "2", "--test", "04")
    call("auto3dseg", templates, "devonet_nsn", "crypt_unet", "--dataset_dir", dataset, "--work_dir", work)
    runner = AutoRunner(input=str(work / "input.yaml"))
    runner.set_training_params(PARAMS).run()
    yield runner
    set_determinism(seed=None)


def images_to_segment(runner: AutoRunner) -> list[Path]:
    content = json.loads(Path(runner.datalist_filename).read_text())
    return [Path(item["image"]) for item in content["testing"]]


def read(path: Path) -> np.ndarray:
    return np.asanyarray(nib.load(path).dataobj)


def mean_mask(runner: AutoRunner, image: Path, algos: list[str]) -> np.ndarray:
    """Where the mean of the probabilities that the members left is above one half."""
    name = image.name.replace(".nii.gz", "_prob.nii.gz")
    return np.mean([read(Path(runner.work_dir, algo, "prediction", name)) for algo in algos], axis=0) > 0.5


def test_each_fold_is_trained_with_its_overrides_and_scored(runner):
    for fold, name in enumerate(ALGOS):
        algo, meta = algo_from_json(str(Path(runner.work_dir, name, "algo_object.json")))
        progress = yaml.safe_load(Path(runner.work_dir, name, "progress.yaml").read_text())
        settings = yaml.safe_load(Path(runner.work_dir, name, "configs/hyper_parameters.yaml").read_text())
        assert 0 < meta["best_metric"] == algo.get_score() == progress[-1]["iou"] <= 1
        assert settings["fold"] == fold and settings["overrides"]["max_epochs"] == 1
    assert not list(Path(runner.work_dir).glob("cryptunet_*"))  # a bundle of planes skips volumes


def test_the_best_of_each_fold_are_averaged_before_there_is_a_mask(runner):
    images = images_to_segment(runner)
    assert len(images) == 2
    for image in images:
        result = Path(runner.work_dir, "ensemble_output", image.parent, image.name.replace(".nii", "_ensemble.nii"))
        mask = read(result)
        np.testing.assert_array_equal(mask, mean_mask(runner, image, ALGOS))
        assert 0 < mask.mean() < 1
        np.testing.assert_allclose(nib.load(result).affine, nib.load(Path(runner.dataroot, image)).affine)


def test_the_best_n_are_those_with_the_highest_score_and_nothing_is_trained_again(runner, tmp_path):
    again = AutoRunner(input=str(Path(runner.work_dir, "input.yaml")), output_dir=str(tmp_path))
    again.set_ensemble_method("AlgoEnsembleBestN", n_best=1)
    again.set_prediction_params({"files_slices": slice(0, 1)})
    states = {path: path.stat().st_mtime_ns for path in Path(runner.work_dir).glob("*/trained/resume.pt")}
    again.run()
    assert states == {path: path.stat().st_mtime_ns for path in states} and len(states) == 2
    scores = {
        name: yaml.safe_load(Path(runner.work_dir, name, "progress.yaml").read_text())[-1]["iou"] for name in ALGOS
    }
    image = images_to_segment(runner)[0]
    (result,) = tmp_path.rglob("*_ensemble.nii.gz")
    best = max(scores, key=scores.get)
    np.testing.assert_array_equal(read(result), mean_mask(runner, image, [best]))
