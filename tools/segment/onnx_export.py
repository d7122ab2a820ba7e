"""A bundle's network as ONNX, compared with PyTorch before it is kept."""

from __future__ import annotations

import logging
import shutil
import statistics
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np
from tqdm import tqdm

from common.errors import InputError
from tools.bundles import find_bundle, read_metadata
from tools.checksum import checksum
from tools.command_line import as_verb
from tools.sample.formats import sample_images
from tools.segment.backend import write_record
from tools.segment.description import describe_bundle
from tools.segment.quiet import quiet
from tools.segment.results import read_mask
from tools.segment.words import refusing
from tools.temporary import temporary_folder

if TYPE_CHECKING:
    from tools.segment.loaded import LoadedBundle

__all__ = ["export_bundle", "onnx"]

MAX_PROBABILITY, MAX_MASK = 1e-3, 1e-3  # difference of a probability, share of pixels that differ
ROUNDS = 3


@as_verb(destination=Path)
def onnx(bundle: str, destination: Path | None = None, **overrides) -> dict[str, object]:
    """Write a bundle's network as ONNX for `serve --backend onnx`, and compare it with PyTorch on a sample image.

    The code in a bundle's configs and package runs with your rights: check a bundle of unknown origin first.

    To run a bundle with it, give --config_file "['configs/inference.json','configs/inference_onnx.json']".

    Parameters
    ----------
    bundle : str
        Name of a bundle, or its folder.
    destination : str
        File to write or replace; models/model.onnx of the bundle if not given.
    **overrides
        Settings of the bundle's inference.json, for example --ckpt_path trained/model.pt.
    """
    root = find_bundle(bundle).resolve()
    path = destination or root / "models" / "model.onnx"
    if path.suffix != ".onnx" or not path.parent.is_dir():
        raise InputError(f"{path}: expected a name ending in .onnx, in a folder that exists")
    return export_bundle(root, path.resolve(), overrides)


def export_bundle(root: Path, path: Path, overrides: Mapping[str, object] | None = None) -> dict[str, object]:
    """Write ONNX files and their record, which it returns; none is left if they do not give what PyTorch gives.

    A file that is there is replaced; bundles of several graphs write further files beside it. ``overrides`` are those
    of the bundle's inference.json. InputError if the bundle has no weights, or probabilities or masks differ by too
    much.
    """
    with refusing(), quiet(logging.WARNING) as terminal:
        return _export(root, path, overrides or {}, terminal)


def _export(root: Path, path: Path, overrides: Mapping[str, object], terminal: TextIO) -> dict[str, object]:
    from monai.bundle import ConfigParser

    from tools.segment.loaded import LoadedBundle

    described = describe_bundle(root, overrides=overrides)
    ours = LoadedBundle(described)
    parser = ConfigParser()
    parser.read_config([str(path) for path in replace(described, backend="onnx").configs])
    parser.update({"bundle_root": str(root), **overrides})
    network = ours.network.cpu()
    with temporary_folder("onnx", beside=path) as folder:
        written = folder / path.name
        parser.get_parsed_content("exporter")(network, written)
        found = {"ckpt_path": "none", "onnx_path": str(written)}
        theirs = LoadedBundle(describe_bundle(root, backend="onnx", overrides={**overrides, **found}))
        differences = parser.get_parsed_content("differences")(network, theirs.network)
        # compared in float32; timed as torch is served, too, in bfloat16 where the CPU has it
        exact = LoadedBundle(describe_bundle(root, overrides={**overrides, "amp": False}))
        masks, seconds = _segment_sample(root, {"exact": exact, "torch": ours, "onnx": theirs}, terminal)
        mask_difference = float(np.mean(masks["exact"] != masks["onnx"]))
        _check(root.name, differences, mask_difference)
        record = {
            "bundle": root.name,
            "version": read_metadata(root)["version"],
            "settings": parser.get_parsed_content("network#settings"),
            "opset": _opset(written),
            "weights_sha256": checksum(described.weights),
            "shapes": ", ".join(differences),
            "probability_difference": max(differences.values()),
            "mask_difference": mask_difference,
            "mask_difference_as_served": float(np.mean(masks["torch"] != masks["onnx"])),
            "mask_foreground": float(masks["exact"].mean()),
            "seconds_torch": seconds["torch"],
            "seconds_torch_float32": seconds["exact"],
            "seconds_onnx": seconds["onnx"],
        }
        write_record(written, record)
        files = sorted(folder.iterdir(), key=lambda file: file == written)  # the one with the record last
        moved = [file.replace(path.with_name(file.name)) for file in files]
    return {"files": ", ".join(map(str, reversed(moved))), **record}


def _check(name: str, differences: Mapping[str, float], mask: float) -> None:
    """Refuse a graph that does not give what PyTorch gives; also one that gives what is no number."""
    for shape, difference in differences.items():
        if not difference <= MAX_PROBABILITY:
            raise InputError(
                f"{name}: ONNX Runtime differs from PyTorch by {difference:g} in a probability of an image {shape}, at "
                f"most {MAX_PROBABILITY:g} is allowed; no file was kept"
            )
    if not mask < MAX_MASK:
        raise InputError(
            f"{name}: ONNX Runtime differs from PyTorch in {mask:.2%} of the mask, less than {MAX_MASK:.1%} is "
            "allowed; no file was kept"
        )


def _segment_sample(
    root: Path, ways: Mapping[str, LoadedBundle], terminal: TextIO
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Foreground that each way finds in a sample image, and median seconds."""
    with temporary_folder("onnx") as folder:
        image = sample_images(root, folder / "samples")[0]
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        masks: dict[str, np.ndarray] = {}
        # the first round is not counted
        for _ in tqdm(range(1 + ROUNDS), desc=f"{root.name}: comparing", unit="round", file=terminal):
            for way, loaded in ways.items():
                job = folder / way
                job.mkdir()
                result = loaded.segment(image, job)
                masks[way] = read_mask(result.mask)[0] > 0
                seconds[way].append(result.seconds)
                shutil.rmtree(job)
    return masks, {way: round(statistics.median(taken[1:]), 4) for way, taken in seconds.items()}


def _opset(path: Path) -> int:
    from onnx import load

    return load(path, load_external_data=False).opset_import[0].version
