"""A bundle as an algorithm of Auto3DSeg: on which data it trains, with which command, and what it scored."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from monai.apps.auto3dseg import BundleAlgo
from monai.utils import run_cmd

SETTINGS = "configs/hyper_parameters.yaml"
TRAINED = "trained"
# names of Auto3DSeg's own algorithms -> keys of train.json
NAMES = {
    "num_epochs": "max_epochs",
    "num_epochs_per_validation": "val_interval",
    "num_images_per_batch": "batch_size",
    "num_warmup_epochs": "warmup_epochs",
}
OWN = ("bundle_root", "config_file", "dataset_dir", "fold", "output_dir", "ckpt_dir")


class TemplateAlgo(BundleAlgo):
    """One bundle on one fold, in a folder that is a copy of the bundle.

    Auto3DSeg finds it by the name of its folder: in ``<name>/scripts/algo.py`` it is called ``<Name>Algo``.
    ``configs/hyper_parameters.yaml`` holds ``bundle``, ``score`` (the metric), ``result`` (what its inference writes),
    ``spatial_dims``, and from `fill_template_config` on ``fold`` and ``dataset_dir``; from `train` on ``overrides``.
    """

    def pre_check_skip_algo(self, skip_bundlegen: bool = False, skip_info: str = "") -> tuple[bool, str]:
        """Skip a bundle of volumes where the data are planes, and one of planes where they are volumes."""
        dims = read_yaml(Path(str(self.template_path), self.name, SETTINGS))["spatial_dims"]
        shape = read_yaml(Path(self.data_stats_files))["stats_summary"]["image_stats"]["shape"]["max"]
        found = len(np.ravel(shape))
        return (True, f"It needs images of {dims} axes, these have {found}.") if found != dims else (False, "")

    def fill_template_config(
        self, data_stats_filename: str, algo_path: str, fold: int | None = None, **kwargs: Any
    ) -> dict:
        """Note the fold and the dataset: config file -> what was filled in.

        Without a fold, as in a search of hyper-parameters, it is that of the algorithm searched for. The statistics are
        not used: the bundle's own settings stay.
        """
        if fold is None:
            fold = self.fill_records.get(SETTINGS, {}).get("fold", 0)
        filled = {"fold": int(fold), "dataset_dir": str(find_dataset(read_yaml(Path(self.data_list_file))))}
        path = Path(algo_path, SETTINGS)
        write_text(path, yaml.safe_dump(read_yaml(path) | filled, sort_keys=False))
        return {SETTINGS: filled}

    def train(
        self, train_params: dict | None = None, device_setting: dict | None = None
    ) -> subprocess.CompletedProcess:
        """Train with the bundle's own train.json; an interrupted training continues.

        Parameters
        ----------
        train_params : dict, optional
            Overrides of train.json; Auto3DSeg's ``num_epochs``, ``num_epochs_per_validation``,
            ``num_images_per_batch`` and ``num_warmup_epochs`` are understood too.
        device_setting : dict, optional
            As from AutoRunner.

        Raises
        ------
        ValueError
            If a parameter is set by Auto3DSeg itself, or there are several nodes.
        RuntimeError
            If the training fails; it holds what was printed.
        """
        if device_setting is not None:
            self.device_setting.update(device_setting)
            self.device_setting["n_devices"] = len(str(self.device_setting["CUDA_VISIBLE_DEVICES"]).split(","))
        root = Path(self.output_path)
        settings = read_yaml(root / SETTINGS) | {"overrides": as_overrides(train_params or {})}
        command = training_command(root, settings, self.device_setting)
        write_text(root / SETTINGS, yaml.safe_dump(settings, sort_keys=False))
        visible = {"CUDA_VISIBLE_DEVICES": str(self.device_setting["CUDA_VISIBLE_DEVICES"])}
        done = run_cmd(command, run_cmd_verbose=True, env=os.environ | visible, check=True)
        write_text(root / "progress.yaml", yaml.safe_dump(progress(root / TRAINED / "resume.pt", settings["score"])))
        return done


def as_overrides(train_params: Mapping[str, Any]) -> dict[str, Any]:
    """Training parameters under the names that train.json has for them; ValueError for what Auto3DSeg sets."""
    overrides = {NAMES.get(key, key): value for key, value in train_params.items()}
    for key in overrides:
        if key in OWN:
            raise ValueError(f"training parameter {key}: set for each fold by the algorithm; leave it out")
    return overrides


def training_command(root: Path, settings: Mapping[str, Any], device_setting: Mapping[str, Any]) -> list[str]:
    """Words of the command that trains the bundle in ``root``; ValueError for several nodes.

    The settings hold ``fold``, ``dataset_dir`` and ``overrides``; AutoRunner sets ``n_devices``, ``CMD_PREFIX`` and
    ``NUM_NODES``.
    """
    if int(device_setting["NUM_NODES"]) > 1:
        raise ValueError(
            f"{device_setting['NUM_NODES']} nodes: a bundle trains on one here; set_device_info(num_nodes=1)"
        )
    launcher = str(device_setting["CMD_PREFIX"] or "").split() or [sys.executable]
    launched = any("torchrun" in word or "torch.distributed" in word for word in launcher)
    num_devices = int(device_setting["n_devices"])
    if num_devices > 1 and not launched:
        launcher += ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(num_devices)]
    names = ["train", "score"] + (["multi_gpu_train"] if launched or num_devices > 1 else [])
    configs = [root / "configs" / f"{name}.json" for name in names]
    words = {
        "config_file": "[" + ",".join(f"'{path.as_posix()}'" for path in configs if path.is_file()) + "]",
        "bundle_root": root,
        "dataset_dir": settings["dataset_dir"],
        "output_dir": root / TRAINED,
        "fold": settings["fold"],
        **settings["overrides"],
    }
    return [*launcher, "-m", "monai.bundle", "run", "training", *(f"--{key}={value}" for key, value in words.items())]


def progress(resume: Path, score: str) -> list[dict[str, Any]]:
    """The content of progress.yaml of a training that left its state; the best validation, by the metric ``score``.

    Auto3DSeg reads ``best_avg_dice_score``, whatever the metric is.
    """
    found = torch.load(resume, map_location="cpu", weights_only=True)["progress"]
    best, epoch = float(found["best_metric"]), int(found["best_epoch"])
    return [{"epoch": epoch, score: best, "best_avg_dice_score": best, "best_avg_dice_score_epoch": epoch}]


def find_dataset(data_source: Mapping[str, Any]) -> Path:
    """Folder of the dataset that Auto3DSeg's ``input.yaml`` describes by ``dataroot`` and ``datalist``.

    ValueError if the datalist says something else than ``dataroot/dataset.json``, which bundles read.
    """
    folder, datalist = Path(data_source["dataroot"]).resolve(), Path(data_source["datalist"])
    path = folder / "dataset.json"
    if not path.is_file() or json.loads(path.read_text()) != json.loads(datalist.read_text()):
        raise ValueError(
            f"{path}: {'differs from' if path.is_file() else 'missing, but wanted instead of'} the datalist "
            f"{datalist}; a bundle trains on the dataset.json in dataroot: give its folds there, and it as datalist"
        )
    return folder


def read_yaml(path: Path) -> dict[str, Any]:
    """Content of a YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def write_text(path: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    partial = path.with_name(f".partial-{path.name}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
