"""A bundle as a package of BioImage.IO: traced network, test tensors, description."""

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import numpy as np
import yaml
from scipy.ndimage import gaussian_filter

from common.errors import InputError
from tools.bundles import WEIGHTS, read_metadata
from tools.checksum import checksum
from tools.share.archive import write_zip
from tools.share.checks import run_module
from tools.share.links import relink
from tools.share.rdf import describe
from tools.temporary import temporary_folder

__all__ = ["check_bioimage", "draw_input", "write_package"]

DATA_LICENCE = "docs/data_license.txt"
FREE_SIZE = {2: (512, 512), 3: (32, 128, 128)}  # pixels, of axes that the metadata leaves free
WEIGHT_FILES = {"torchscript": "model.ts", "onnx": "model.onnx"}
BLOB_PX = 4
MAX_MESSAGE = 300  # characters
VALIDATION = """
## Validation

This package holds the network alone, traced for inputs of {shape} (batch, channel, space), the only size that it
takes. Images are prepared as in the bundle's `configs/inference.json`. Input: {image}. Output: {pred}. What follows
in the bundle (windows, thresholds, objects) is not part of this package. `test_input.npy` is a random texture,
`test_output.npy` what the network made of it before it was traced; the traced network was compared with it on another
image, too. The scores under Performance are the whole bundle's.
"""


def check_bioimage() -> None:
    """Refuse, before anything is written, what a package cannot be made without.

    InputError if bioimageio.spec, which checks the description, is missing.
    """
    _spec()


def write_package(bundle: Path, path: Path, *, free_size: Sequence[int] | None = None) -> None:
    """Write ``<name>_v<version>.bioimageio.zip``.

    Parameters
    ----------
    bundle : Path
        The bundle's folder, checked; its network is built, so its code runs. Where what the bundle's network gives
        makes no sense as an image, ``bioimage`` under toolbox in the metadata names another: ``network``,
        see `tools.share.export.load_network`, with its ``<network>_data_format``, and ``pred_classes``. There, too:
        ``weights``, ``torchscript`` if not given, or ``onnx``; ``free_size``, as below.
    path : Path
        File to write or replace.
    free_size : sequence of int, optional
        Pixels along the axes of space, where the metadata leaves them free: the size that the package is for. If not
        given, as the metadata say, or `FREE_SIZE`.

    Raises
    ------
    InputError
        If the network cannot be traced, or the metadata make no valid description.
    """
    bundle = bundle.resolve()
    metadata, chosen = _packaged(read_metadata(bundle))
    if not (bundle / WEIGHTS).is_file():
        raise InputError(f"{bundle}: no {WEIGHTS} to export; download it as large_files.yml says")
    try:
        image = metadata["network_data_format"]["inputs"]["image"]
        free = free_size or chosen.get("free_size") or FREE_SIZE[len(image["spatial_shape"])]
        size = [
            given if isinstance(given, int) else own for given, own in zip(image["spatial_shape"], free, strict=True)
        ]
        drawn = draw_input((1, image["num_channels"], *size), image.get("value_range") or ())
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{bundle}: network_data_format has no image of 2 or 3 axes ({error!r}); add it") from error
    with temporary_folder("bioimage") as folder:
        np.save(folder / "test_input.npy", drawn)
        _export(bundle, folder, chosen.get("network", ""), WEIGHT_FILES[chosen.get("weights", "torchscript")])
        _document(bundle, folder, metadata, drawn.shape)
        _write_description(bundle, folder, metadata)
        write_zip(path, {file.name: file for file in sorted(folder.iterdir())})


def draw_input(shape: Sequence[int], value_range: Sequence[float]) -> np.ndarray:
    """A random texture with blobs, the same every time.

    Parameters
    ----------
    shape : sequence of int
        Batch, channel, space.
    value_range : sequence of float
        Lowest and highest value; empty for mean 0 and deviation 1.

    Returns
    -------
    ndarray of float32, of that shape
        All channels equal.
    """
    noise = np.random.default_rng(0).normal(size=shape[2:])
    blobs = gaussian_filter(noise, BLOB_PX, mode="wrap")
    texture = blobs / blobs.std() + 0.1 * noise
    if value_range:
        low, high = value_range
        texture = np.clip(texture if low < 0 < high else low + (high - low) * (0.5 + texture / 6), low, high)
    return np.broadcast_to(texture, shape).astype(np.float32)


def _packaged(metadata: dict) -> tuple[dict, dict]:
    """Metadata of the network that is packaged, and what they say about the package."""
    chosen = metadata.get("toolbox", {}).get("bioimage", {})
    formats = metadata.get(f"{chosen.get('network', 'network')}_data_format", {})
    classes = {"pred_classes": chosen["pred_classes"]} if "pred_classes" in chosen else {}
    return metadata | {"network_data_format": formats} | classes, chosen


def _export(bundle: Path, folder: Path, network_id: str, file: str) -> None:
    """The network's file and test_output.npy."""
    failed = run_module("tools.share.export", str(bundle), str(folder), network_id, file)
    if failed:
        raise InputError(f"{bundle}: its network cannot be packaged for BioImage.IO: {failed[:MAX_MESSAGE]}")


def _document(bundle: Path, folder: Path, metadata: dict, shape: Sequence[int]) -> None:
    """README.md: the model card with a section about the package; files that it links to lie beside it."""

    def beside(file: Path) -> str:
        shutil.copyfile(file, folder / file.name)
        return file.name

    text = relink(bundle, beside)
    shutil.copyfile(bundle / DATA_LICENCE, folder / Path(DATA_LICENCE).name)
    classes = {key: str(metadata.get(f"{key}_classes", "see Input and output")) for key in ("image", "pred")}
    note = VALIDATION.format(shape=" x ".join(map(str, shape)), **classes)
    (folder / "README.md").write_text(text.rstrip() + "\n" + note, encoding="utf-8")


def _write_description(bundle: Path, folder: Path, metadata: dict) -> None:
    """rdf.yaml, if the spec takes it."""
    spec = _spec()
    content = describe(
        metadata,
        bundle.name,
        tuple(np.load(folder / f"test_{kind}.npy", mmap_mode="r").shape for kind in ("input", "output")),
        {file.name: checksum(file) for file in folder.iterdir()},
        timestamp=datetime.now(UTC).isoformat(timespec="seconds"),
        format_version=spec.ModelDescr.implemented_format_version,
    )
    refused = f"{bundle}/configs/metadata.json: BioImage.IO does not take it: "
    try:
        with spec.ValidationContext(root=folder, perform_io_checks=False):
            described = spec.build_description(content)
    except ValueError as error:  # of some flaws it cannot even say what they are
        raise InputError(refused + str(error)) from error
    if isinstance(described, spec.InvalidDescr):
        raise InputError(refused + described.get_reason())
    (folder / "rdf.yaml").write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _spec() -> ModuleType:
    try:
        import bioimageio.spec
    except ImportError as error:
        raise InputError("--bioimage needs bioimageio.spec; pip install -r requirements.txt") from error
    return bioimageio.spec
