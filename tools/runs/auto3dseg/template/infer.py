"""Prediction of a trained bundle for one image, as channels that Auto3DSeg averages over the members of an ensemble."""

import glob
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import tifffile
import torch
import yaml
from monai.bundle import ConfigWorkflow
from monai.data import MetaTensor
from monai.transforms import SaveImage
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
OWN = ("bundle_root", "dataset_dir", "datalist", "output_dir", "ckpt_path", "device")
# what an ensemble itself was told reaches its members too
NOT_OURS = {"n_best", *inspect.signature(SaveImage).parameters}


class InferClass:
    """Inference with the bundle's own inference.json and the weights that the algorithm has trained.

    Parameters
    ----------
    config_file, image_save_func : optional
        Not used: the configs lie beside this file, and Auto3DSeg saves the ensemble's mask itself.
    rank : int
        Number of this process, which chooses its GPU.
    override
        Keys of inference.json; those by which Auto3DSeg chooses and saves are passed over.
    """

    def __init__(
        self, config_file: Any = None, rank: int = 0, image_save_func: Mapping[str, Any] | None = None, **override: Any
    ) -> None:
        settings = yaml.safe_load((ROOT / "configs/hyper_parameters.yaml").read_text(encoding="utf-8"))
        self.config = json.loads((ROOT / "configs/inference.json").read_text(encoding="utf-8"))
        trained = {key: value for key, value in settings["overrides"].items() if _top(key) in self.config}
        self.kind = settings["result"]
        wanted = trained | {key: value for key, value in override.items() if key not in NOT_OURS}
        self.overrides = {key: value for key, value in wanted.items() if _top(key) not in OWN}
        self.overrides |= {
            "bundle_root": str(ROOT),
            "dataset_dir": settings["dataset_dir"],
            "output_dir": str(ROOT / "prediction"),
            "ckpt_path": str(ROOT / "trained/model.pt"),
        }
        if self.kind == "prob":
            self.overrides["save_probability"] = True
        if torch.cuda.is_available():
            self.overrides["device"] = f"$torch.device('cuda:{rank % torch.cuda.device_count()}')"

    def infer(self, image_file: Mapping[str, Any] | str) -> MetaTensor:
        """Background and foreground of an image; the bundle's own results are left in the folder ``prediction``.

        Parameters
        ----------
        image_file : mapping or str
            An item of the datalist, or the image.

        Returns
        -------
        MetaTensor of float32, shape (2, X, Y) or (2, X, Y, Z)
            The probability p of the foreground, and 2 * threshold - p: the larger of them is the bundle's mask, and of
            an ensemble the larger mean is where the mean of the probabilities is above the mean of the thresholds. Of
            a bundle of instances p is 1 in every object. The affine is the image's; of a plane it is the size of the
            pixels in pixels of the image.
        """
        item = image_file if isinstance(image_file, Mapping) else {"image": image_file}
        optional = self.config["datalist"].get("optional", ())
        data = {"image": str(item["image"])} | {key: item[key] for key in optional if key in item}
        workflow = ConfigWorkflow(
            str(ROOT / "configs/inference.json"),
            workflow_type="infer",
            logging_file=False,
            **self.overrides,
            datalist=[data],
        )
        workflow.initialize()
        workflow.run()
        workflow.finalize()
        array, affine = read_result(find_result(ROOT / "prediction", Path(data["image"]), self.kind))
        if array.ndim == 2:
            factor = self._value("downsample", 1)
            array, affine = array.T, np.diag([factor, factor, 1.0])
        is_probability = self.kind == "prob"
        threshold = self._value("threshold", 0.5) if is_probability else 0.5
        scale = np.iinfo(array.dtype).max if np.issubdtype(array.dtype, np.integer) else 1
        probability = array / np.float32(scale) if is_probability else array > 0
        foreground = torch.from_numpy(np.ascontiguousarray(probability, np.float32))
        channels = torch.stack([2 * threshold - foreground, foreground])
        return MetaTensor(channels, affine=torch.as_tensor(affine), meta={"filename_or_obj": data["image"]})

    def _value(self, key: str, default: float) -> float:
        return self.overrides.get(key, self.config.get(key, default))


def find_result(folder: Path, image: Path, kind: str) -> Path:
    """The file ``<image stem>_<kind>.<ext>``; FileNotFoundError if there is none."""
    name = image.name
    while name:
        found = sorted(folder.glob(f"{glob.escape(name)}_{kind}.*"))
        if found:
            return found[0]
        name = name.rpartition(".")[0]
    raise FileNotFoundError(f"{folder}: no result {kind} of {image}; does the bundle's inference.json write it?")


def read_result(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """A volume (X, Y, Z) with its affine, or a plane (Y, X) without one."""
    if path.name.endswith((".nii", ".nii.gz")):
        volume = nib.nifti1.load(path)
        return np.asanyarray(volume.dataobj), volume.affine
    if path.suffix in (".tif", ".tiff"):
        return tifffile.imread(path), None
    with Image.open(path) as image:
        return np.asarray(image), None


def _top(key: str) -> str:
    return key.replace("::", "#").split("#")[0]
