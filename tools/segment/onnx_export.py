"""A bundle's network as ONNX, compared with PyTorch before it is kept."""

from __future__ import annotations

import functools
import logging
import shutil
import statistics
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np
from tqdm import tqdm

from common.errors import InputError
from tools.bundles import find_bundle, read_metadata
from tools.checksum import checksum
from tools.command_line import as_verb
from tools.sample.formats import sample_images
from tools.segment.backend import ENGINES, write_record
from tools.segment.description import describe_bundle
from tools.segment.quiet import quiet
from tools.segment.results import read_mask
from tools.segment.words import refusing
from tools.temporary import temporary_folder

if TYPE_CHECKING:
    from tools.segment.loaded import LoadedBundle

__all__ = ["export_bundle", "onnx"]

logger = logging.getLogger(__name__)

MAX_PROBABILITY, MAX_MASK = 1e-3, 1e-3  # difference of a probability, share of pixels that differ
ROUNDS = 3


@as_verb(destination=Path)
def onnx(bundle: str, destination: Path | None = None, **overrides) -> dict[str, object]:
    """Write a bundle's network as ONNX for `--backend onnx` and `openvino`, and compare these with PyTorch on a sample.

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
    of the bundle's inference.json. OpenVINO is compared and timed, too, where it is installed; where it does not give
    what PyTorch gives, it is not recorded. InputError if the bundle has no weights, or probabilities or masks of ONNX
    Runtime differ by too much.
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
        found = {**overrides, "ckpt_path": "none", "onnx_path": str(written)}
        compare = functools.partial(parser.get_parsed_content("differences"), network)
        theirs, differences = _load_engines(root, found, compare)
        # compared in float32; timed as torch is served, too, in bfloat16 where the CPU has it
        exact = LoadedBundle(describe_bundle(root, overrides={**overrides, "amp": False}))
        masks, seconds = _segment_sample(root, {"exact": exact, "torch": ours, **theirs}, terminal)
        mask_differences = {way: float(np.mean(masks["exact"] != masks[way])) for way in theirs}
        for way in theirs:
            if problem := _problem(ENGINES[way], differences[way], mask_differences[way]):
                _refuse(root.name, way, problem)
                del seconds[way], differences[way], mask_differences[way]
        record = {
            "bundle": root.name,
            "version": read_metadata(root)["version"],
            "settings": parser.get_parsed_content("network#settings"),
            "opset": _opset(written),
            "weights_sha256": checksum(described.weights),
            "shapes": ", ".join(differences["onnx"]),
            "probability_difference": max(max(of.values()) for of in differences.values()),
            "mask_difference": max(mask_differences.values()),
            "mask_difference_as_served": float(np.mean(masks["torch"] != masks["onnx"])),
            "mask_foreground": float(masks["exact"].mean()),
            "seconds_torch_float32": seconds.pop("exact"),
            **{f"seconds_{way}": taken for way, taken in seconds.items()},
        }
        write_record(written, record)
        files = sorted(folder.iterdir(), key=lambda file: file == written)  # the one with the record last
        moved = [file.replace(path.with_name(file.name)) for file in files]
    return {"files": ", ".join(map(str, reversed(moved))), **record}


def _load_engines(
    root: Path, overrides: Mapping[str, object], compare: Callable
) -> tuple[dict[str, LoadedBundle], dict[str, dict[str, float]]]:
    """The file in each engine that is installed and can run it, and how it differs there."""
    from tools.segment.loaded import LoadedBundle

    loaded, differences = {}, {}
    for way in [way for way, package in ENGINES.items() if find_spec(package)]:
        try:
            candidate = LoadedBundle(describe_bundle(root, backend=way, overrides=overrides))
            differences[way] = compare(candidate.network)
            loaded[way] = candidate
        except (InputError, RuntimeError) as error:  # the latter from within an engine
            _refuse(root.name, way, str(error))
    return loaded, differences


def _refuse(name: str, backend: str, problem: str) -> None:
    """Without ONNX Runtime no file is kept; without another engine, it is not recorded and so not used."""
    if backend == "onnx":
        raise InputError(f"{name}: {problem}; no file was kept")
    logger.error("%s: the file is not for --backend %s: %s", name, backend, problem)


def _problem(engine: str, differences: Mapping[str, float], mask: float) -> str:
    """Why a graph does not give what PyTorch gives, empty if it does; also one that gives what is no number."""
    for shape, difference in differences.items():
        if not difference <= MAX_PROBABILITY:
            return (
                f"{engine} differs from PyTorch by {difference:g} in a probability of an image {shape}, at most "
                f"{MAX_PROBABILITY:g} is allowed"
            )
    if not mask < MAX_MASK:
        return f"{engine} differs from PyTorch in {mask:.2%} of the mask, less than {MAX_MASK:.1%} is allowed"
    return ""


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
