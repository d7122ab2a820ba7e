"""Helpers that draw small volumes of nuclei and open the bundle's workflows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow
from monai.data import MetaTensor

ROOT = Path(__file__).parents[3] / "bundles" / "devonet_ndn"


@pytest.fixture(scope="session")
def distance_um() -> Callable[..., np.ndarray]:
    """Function that gives the distance of every voxel from a point, both in µm from the middle of the first voxel."""

    def distances(shape: Sequence[int], point: Sequence[float], spacing: Sequence[float]) -> np.ndarray:
        voxels = np.moveaxis(np.indices(shape), 0, -1) * np.asarray(spacing)
        return np.linalg.norm(voxels - np.asarray(point), axis=-1)

    return distances


@pytest.fixture(scope="session")
def as_volume() -> Callable[..., MetaTensor]:
    """Function that makes a volume as the transforms hand it on, (1, X, Y, Z), of an array (X, Y, Z)."""

    def wrap(array: np.ndarray, affine: np.ndarray | None = None, name: str = "a.nii.gz") -> MetaTensor:
        affine = np.eye(4) if affine is None else affine
        tensor = torch.as_tensor(np.ascontiguousarray(array, dtype=np.float32))[None]
        return MetaTensor(tensor, affine=torch.as_tensor(affine), meta={"filename_or_obj": name})

    return wrap


@pytest.fixture
def write_volume(tmp_path: Path) -> Callable[..., Path]:
    """Function that writes an array (X, Y, Z) as NIfTI with an affine."""

    def write(name: str, volume: np.ndarray, affine: np.ndarray | None = None) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(volume, np.eye(4) if affine is None else affine), path)
        return path

    return write


@pytest.fixture
def open_workflow(tmp_path: Path) -> Callable[..., ConfigWorkflow]:
    """Function that opens an inference workflow of the bundle by the names of its configs, with overrides."""

    def open_configs(*names: str, **overrides: Any) -> ConfigWorkflow:
        return ConfigWorkflow(
            config_file=[str(ROOT / "configs" / f"{name}.json") for name in names],
            workflow_type="infer",
            logging_file=False,
            **{"bundle_root": str(ROOT), "output_dir": str(tmp_path / "output"), "amp": False} | overrides,
        )

    return open_configs
