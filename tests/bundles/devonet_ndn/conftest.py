"""Helpers that draw small volumes of nuclei and open the bundle's workflows."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
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
