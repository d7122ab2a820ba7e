"""What runs a bundle's network: PyTorch, or ONNX Runtime where an ONNX file records that that was faster."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files import replacing
from tools.bundles import WEIGHTS
from tools.checksum import checksum

__all__ = ["BACKENDS", "choose_backend", "is_current", "is_faster", "read_record", "write_record"]

logger = logging.getLogger(__name__)

BACKENDS = ("auto", "torch", "onnx")
KEY = "record"


def choose_backend(root: Path, wanted: str, weights: Path | None = None) -> str:
    """``torch`` or ``onnx`` for the bundle in a folder, and its weights, the shipped ones if not given.

    ``auto`` is on a CPU onnx where models/model.onnx is there, made from the weights and measured to be faster, else
    torch. InputError if another one than `BACKENDS` is wanted.
    """
    if wanted not in BACKENDS:
        raise InputError(f"--backend {wanted}: choose one of {', '.join(BACKENDS)}")
    exported, weights = root / "models" / "model.onnx", weights or root / WEIGHTS
    if wanted != "auto" or not exported.is_file() or not weights.is_file():
        return "torch" if wanted == "auto" else wanted
    if not is_current(exported, weights):
        logger.warning("%s: not made from the current weights; run python -m tools export onnx %s", exported, root.name)
        return "torch"
    return "onnx" if is_faster(read_record(exported)) and not Path("/dev/nvidiactl").exists() else "torch"


def write_record(path: Path, record: Mapping[str, object]) -> None:
    """Write a record into the properties of an ONNX file."""
    import onnx

    model = onnx.load(path, load_external_data=False)  # which stays where it is, beside the file
    onnx.helper.set_model_props(model, {KEY: json.dumps(record)})
    with replacing(path) as partial:
        onnx.save(model, partial)


def read_record(path: Path) -> dict[str, Any]:
    """The record of an ONNX file; empty if it has none."""
    import onnx

    properties = {prop.key: prop.value for prop in onnx.load(path, load_external_data=False).metadata_props}
    return json.loads(properties.get(KEY, "{}"))


def is_current(path: Path, ckpt_path: Path) -> bool:
    """Whether an ONNX file was made from these weights."""
    return read_record(path).get("weights_sha256") == checksum(ckpt_path)


def is_faster(record: Mapping[str, Any]) -> bool:
    """Whether ONNX Runtime was measured to be faster than PyTorch when the file was made."""
    return float(record.get("seconds_onnx", 1)) < float(record.get("seconds_torch", 0))
