"""What runs a bundle's network: PyTorch, or ONNX Runtime or OpenVINO where an ONNX file records what was faster."""

import json
import logging
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files import replacing
from tools.bundles import WEIGHTS
from tools.checksum import checksum

__all__ = ["BACKENDS", "ENGINES", "choose_backend", "fastest", "is_current", "read_record", "write_record"]

logger = logging.getLogger(__name__)

ENGINES = {"onnx": "onnxruntime", "openvino": "openvino"}  # packages that run the file of `export onnx`
BACKENDS = ("auto", "torch", *ENGINES)
KEY = "record"


def choose_backend(root: Path, wanted: str, weights: Path | None = None) -> str:
    """``torch``, ``onnx`` or ``openvino`` for the bundle in a folder, and its weights, the shipped ones if not given.

    ``auto`` is on a CPU the `fastest` where models/model.onnx is there and made from the weights, else torch.
    InputError if another one than `BACKENDS` is wanted.
    """
    if wanted not in BACKENDS:
        raise InputError(f"--backend {wanted}: choose one of {', '.join(BACKENDS)}")
    exported, weights = root / "models" / "model.onnx", weights or root / WEIGHTS
    if wanted != "auto" or not exported.is_file() or not weights.is_file():
        return "torch" if wanted == "auto" else wanted
    if not is_current(exported, weights):
        logger.warning("%s: not made from the current weights; run python -m tools export onnx %s", exported, root.name)
        return "torch"
    return "torch" if Path("/dev/nvidiactl").exists() else fastest(read_record(exported))


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


def fastest(record: Mapping[str, Any]) -> str:
    """The backend that was measured to be the fastest when the file was made, among those that are installed."""
    installed = ["torch", *(backend for backend, package in ENGINES.items() if find_spec(package))]
    return min(installed, key=lambda backend: float(record.get(f"seconds_{backend}", "inf")))
