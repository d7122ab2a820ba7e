"""What AutoRunner sets reaches the bundle's training; a member's channels average to its own mask."""

import json
import sys

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from tools.runs.auto3dseg.template import infer
from tools.runs.auto3dseg.template.algo import TemplateAlgo, as_overrides, find_dataset, progress, training_command
from tools.runs.auto3dseg.template.infer import InferClass, find_result

DEVICES = {"n_devices": 1, "CMD_PREFIX": "", "NUM_NODES": 1, "CUDA_VISIBLE_DEVICES": ""}
SETTINGS = {"fold": 1, "dataset_dir": "/data", "overrides": {"spacing": [2.0, 0.8, 0.8]}}


@pytest.fixture
def root(tmp_path):
    """An algorithm's folder with its configs, of which score.json is there only on demand."""
    (tmp_path / "configs").mkdir()
    for name in ("train", "multi_gpu_train"):
        (tmp_path / f"configs/{name}.json").write_text("{}")
    return tmp_path


def config_names(command):
    (word,) = [word for word in command if word.startswith("--config_file=")]
    return [path.strip("[]'").rpartition("/")[2] for path in word.split("=")[1].split(",")]


class TestTraining:
    def test_auto3dsegs_names_become_keys_of_train_json(self):
        params = {"num_epochs": 2, "num_epochs_per_validation": 1, "num_images_per_batch": 4, "learning_rate": 0.1}
        wanted = {"max_epochs": 2, "val_interval": 1, "batch_size": 4, "learning_rate": 0.1}
        assert as_overrides(params) == wanted

    def test_what_the_algorithm_sets_cannot_be_overridden(self):
        with pytest.raises(ValueError, match="training parameter fold: set for each fold"):
            as_overrides({"fold": 0})

    def test_fold_dataset_and_overrides_are_words_of_one_command(self, root):
        command = training_command(root, SETTINGS, DEVICES)
        assert command[:5] == [sys.executable, "-m", "monai.bundle", "run", "training"]
        assert {"--fold=1", "--dataset_dir=/data", "--spacing=[2.0, 0.8, 0.8]"} < set(command)
        assert config_names(command) == ["train.json"]

    @pytest.mark.parametrize(
        ("devices", "launcher"),
        [
            (
                {"n_devices": 2},
                [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"],
            ),
            ({"CMD_PREFIX": "torchrun --nproc_per_node=2 "}, ["torchrun", "--nproc_per_node=2"]),
        ],
    )
    def test_several_gpus_take_the_bundles_own_override(self, root, devices, launcher):
        command = training_command(root, SETTINGS, DEVICES | devices)
        assert command[: len(launcher) + 2] == [*launcher, "-m", "monai.bundle"]
        assert config_names(command) == ["train.json", "multi_gpu_train.json"]

    def test_a_score_of_its_own_comes_before_the_gpus(self, root):
        (root / "configs/score.json").write_text("{}")
        command = training_command(root, SETTINGS, DEVICES | {"n_devices": 2})
        assert config_names(command) == ["train.json", "score.json", "multi_gpu_train.json"]

    def test_several_nodes_are_refused(self, root):
        with pytest.raises(ValueError, match="2 nodes: a bundle trains on one here"):
            training_command(root, SETTINGS, DEVICES | {"NUM_NODES": 2})

    def test_a_training_that_failed_has_no_score(self, root):
        algo = TemplateAlgo()
        algo.output_path = str(root)
        (root / "configs/hyper_parameters.yaml").write_text(yaml.safe_dump(SETTINGS | {"score": "iou"}))
        with pytest.raises(RuntimeError, match="subprocess call error"):
            algo.train({}, DEVICES | {"CMD_PREFIX": f"{sys.executable} -c raise(SystemExit(3))"})
        with pytest.raises(FileNotFoundError):
            algo.get_score()

    def test_the_score_is_the_best_validation(self, tmp_path):
        torch.save({"progress": {"best_metric": 0.75, "best_epoch": 5}}, tmp_path / "resume.pt")
        (entry,) = progress(tmp_path / "resume.pt", "seg")
        assert entry == {"epoch": 5, "seg": 0.75, "best_avg_dice_score": 0.75, "best_avg_dice_score_epoch": 5}


class TestData:
    @pytest.mark.parametrize(("shape", "skipped"), [([64, 64, 24], False), ([512, 512], True)])
    def test_images_of_other_axes_are_skipped(self, tmp_path, shape, skipped):
        (tmp_path / "algo/configs").mkdir(parents=True)
        (tmp_path / "algo/configs/hyper_parameters.yaml").write_text("spatial_dims: 3")
        stats = {"stats_summary": {"image_stats": {"shape": {"max": shape}}}}
        (tmp_path / "stats.yaml").write_text(yaml.safe_dump(stats))
        algo = TemplateAlgo(str(tmp_path))
        algo.name = "algo"
        algo.set_data_stats(str(tmp_path / "stats.yaml"))
        assert algo.pre_check_skip_algo()[0] is skipped

    def test_a_datalist_with_other_folds_than_the_dataset_is_refused(self, tmp_path):
        (tmp_path / "dataset.json").write_text('{"training": []}')
        (tmp_path / "other.json").write_text('{"training": [{"fold": 0}]}')
        source = {"dataroot": str(tmp_path), "datalist": str(tmp_path / "other.json")}
        with pytest.raises(ValueError, match="dataset.json: differs from the datalist"):
            find_dataset(source)
        (tmp_path / "dataset.json").unlink()
        with pytest.raises(ValueError, match="dataset.json: missing"):
            find_dataset(source)


class TestInference:
    @pytest.fixture
    def inferer(self, tmp_path, monkeypatch):
        """Function that gives an InferClass whose bundle has written a result already."""

        class Workflow:
            def __init__(self, *_, **overrides):
                self.overrides = overrides

            initialize = run = finalize = lambda self: None

        def make(result="prob", config=None, overrides=None, **override):
            settings = {"dataset_dir": "", "result": result, "overrides": overrides or {}}
            (tmp_path / "configs/hyper_parameters.yaml").write_text(yaml.safe_dump(settings))
            (tmp_path / "configs/inference.json").write_text(json.dumps({"datalist": {}} | (config or {})))
            return InferClass([], **override)

        (tmp_path / "configs").mkdir()
        (tmp_path / "prediction").mkdir()
        monkeypatch.setattr(infer, "ROOT", tmp_path)
        monkeypatch.setattr(infer, "ConfigWorkflow", Workflow)
        return make

    def test_the_larger_channel_is_where_the_bundles_threshold_is_passed(self, inferer, tmp_path):
        probability = np.array([[0.5, 0.7], [0.65, 0.1], [0.9, 0.2]])
        found = inferer(config={"threshold": 0.6, "downsample": 8})
        Image.fromarray((probability * 255).round().astype(np.uint8)).save(tmp_path / "prediction/a_prob.png")
        channels = found.infer({"image": "some/a.tif", "label": "other"})
        assert channels.shape == (2, 2, 3)  # X comes before Y
        np.testing.assert_allclose(channels[1].numpy(), probability.T, atol=1 / 255)
        np.testing.assert_array_equal(channels.argmax(0).numpy(), probability.T > 0.6)
        assert np.diag(channels.affine).tolist() == [8, 8, 1]
        assert channels.meta["filename_or_obj"] == "some/a.tif"

    def test_volumes_keep_their_affine(self, inferer, tmp_path):
        affine = np.diag([0.8, 0.8, 2.0, 1.0])
        volume = np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 3, 4)
        nib.save(nib.Nifti1Image(volume, affine), tmp_path / "prediction/a_prob.nii.gz")
        channels = inferer().infer("a.nii.gz")
        np.testing.assert_allclose(channels[1].numpy(), volume)
        np.testing.assert_allclose(channels.sum(0).numpy(), 1)
        np.testing.assert_allclose(channels.affine, affine)

    def test_of_instances_every_object_is_foreground(self, inferer, tmp_path):
        labels = np.array([[0, 1], [300, 0]], np.uint16)
        Image.fromarray(labels).save(tmp_path / "prediction/a_fibres.png")
        channels = inferer(result="fibres", config={"threshold": 0.9}).infer("a.png")
        np.testing.assert_array_equal(channels.argmax(0).numpy(), labels.T > 0)

    def test_what_the_training_was_told_reaches_the_inference_and_what_the_ensemble_was_told_does_not(self, inferer):
        trained = {"init_channels": 8, "max_epochs": 2, "ckpt_path": "elsewhere.pt"}
        config = {"init_channels": 16, "threshold": 0.5, "ckpt_path": ""}
        found = inferer(config=config, overrides=trained, n_best=2, output_dir="out", output_ext=".png", threshold=0.4)
        assert {"init_channels": 8, "threshold": 0.4, "save_probability": True}.items() <= found.overrides.items()
        assert not {"n_best", "output_ext", "max_epochs"} & found.overrides.keys()
        assert found.overrides["output_dir"].endswith("prediction")
        assert found.overrides["ckpt_path"].endswith("trained/model.pt")

    def test_the_result_of_another_image_is_not_taken(self, tmp_path):
        (tmp_path / "slide.one_prob.tiff").touch()
        assert find_result(tmp_path, tmp_path / "slide.one.ome.tiff", "prob").name == "slide.one_prob.tiff"
        with pytest.raises(FileNotFoundError, match="no result prob of .*two.tiff"):
            find_result(tmp_path, tmp_path / "two.tiff", "prob")
