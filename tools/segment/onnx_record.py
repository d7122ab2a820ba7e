"""What an ONNX file records about how it was made; reading it does not need torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.files import replacing
from tools.checksum import checksum

__all__ = ["is_current", "is_faster", "read_record", "write_record"]

KEY = "record"


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
