"""A bundle's metadata as rdf.yaml, the description of a model that BioImage.IO reads (model spec 0.5)."""

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["OPSET", "describe"]

SPACE = ("z", "y", "x")
OPSET = 17  # of ONNX
MAX_TENSOR_TEXT, MAX_TEXT = 128, 1024  # characters, of the spec
DOI = re.compile(r"doi\.org/(10\.\S+?)[.,;)]?(?=\s|$)")
URL = re.compile(r"https?://\S+?(?=[.,;)]?(?:\s|$))")


def describe(
    metadata: Mapping[str, Any],
    name: str,
    shapes: tuple[Sequence[int], Sequence[int]],
    files: Mapping[str, str],
    *,
    timestamp: str,
    format_version: str,
) -> dict[str, object]:
    """Content of rdf.yaml from a bundle's name and metadata.json.

    Shapes are those of the test tensors, input and output: batch, channel, then space. ``files`` are those in the
    package -> sha256: README.md, test_input.npy, test_output.npy, model.ts or model.onnx; any other is attached.
    ``timestamp`` is when it was made, in ISO 8601; ``format_version`` that of the spec.
    """
    formats = metadata["network_data_format"]
    image, pred = formats["inputs"]["image"], formats["outputs"]["pred"]
    channels = metadata.get("toolbox", {}).get("bioimage", {}).get("channels", ())
    tiled = bool(image.get("is_patch_data")) and list(shapes[0][2:]) == list(shapes[1][2:])
    own = {"README.md", "test_input.npy", "test_output.npy", "model.ts", "model.onnx"}
    licences = metadata["licences"]
    return {
        "format_version": format_version,
        "type": "model",
        "name": re.sub(r"[^A-Za-z0-9_+\- ()]", "-", str(metadata.get("name", name)))[:MAX_TENSOR_TEXT],
        "description": textwrap.shorten(str(metadata["description"]), MAX_TEXT, placeholder=" ..."),
        "version": metadata["version"],
        "timestamp": timestamp,
        "authors": [{"name": str(metadata["authors"]).replace("/", "-")}],
        "license": licences["weights"],
        "cite": _citations(metadata.get("references", [])),
        "tags": ["monai", "pytorch", f"{len(shapes[0]) - 2}d", "segmentation", name],
        "documentation": _file("README.md", files),
        "attachments": [_file(file, files) for file in sorted(files) if file not in own],
        "inputs": [
            {
                "id": "image",
                "description": _short(metadata.get("image_classes", "")),
                "axes": _axes(image, shapes[0], shapes[0], tiled=tiled),
                "data": {"type": "float32", "range": _range(image)},
                "test_tensor": _file("test_input.npy", files),
            }
        ],
        "outputs": [
            {
                "id": "pred",
                "description": _short(metadata.get("pred_classes", "")),
                "axes": _axes(pred, shapes[1], shapes[0], tiled=tiled, refer=tiled, channels=channels),
                "data": {"type": "float32", "range": _range(pred)},
                "test_tensor": _file("test_output.npy", files),
            }
        ],
        "weights": _weights(metadata, files),
        "config": {"monai": {"bundle": name, "version": metadata["version"], "licences": dict(licences)}},
    }


def _weights(metadata: Mapping[str, object], files: Mapping[str, str]) -> dict[str, dict[str, object]]:
    if "model.onnx" in files:
        return {"onnx": _file("model.onnx", files) | {"opset_version": OPSET}}
    return {"torchscript": _file("model.ts", files) | {"pytorch_version": metadata["pytorch_version"]}}


def _axes(
    entry: Mapping,
    shape: Sequence[int],
    image_shape: Sequence[int],
    *,
    tiled: bool,
    refer: bool = False,
    channels: Sequence[str] = (),
) -> list[dict[str, object]]:
    """Batch, channel and space; sizes are fixed, or those of the input's axes, and scales are in its pixels."""
    defined = dict(enumerate(channels)) or {int(i): str(name) for i, name in entry.get("channel_def", {}).items()}
    names = [defined.get(i, f"channel {i}") for i in range(shape[1])]
    axes: list[dict[str, object]] = [{"type": "batch", "size": 1}, {"type": "channel", "channel_names": names}]
    for axis, size, pixels in zip(SPACE[-len(shape[2:]) :], shape[2:], image_shape[2:], strict=True):
        space: dict[str, object] = {"type": "space", "id": axis}
        space["size"] = {"tensor_id": "image", "axis_id": axis} if refer else int(size)
        if size != pixels:
            space["scale"] = pixels / size
        if tiled and not refer:
            space["concatenable"] = True
        axes.append(space)
    return axes


def _range(entry: Mapping) -> list[float | None]:
    """Lowest and highest value, None where there is no bound."""
    low, high = entry.get("value_range") or (None, None)
    return [low, high]


def _citations(references: Sequence[str]) -> list[dict[str, str]]:
    """References that have an address; the spec takes only these; the model card lists all."""
    citations = []
    for reference in references:
        doi, url = DOI.search(reference), URL.search(reference)
        if doi:
            citations.append({"text": reference, "doi": doi[1]})
        elif url:
            citations.append({"text": reference, "url": url[0]})
    return citations


def _file(name: str, files: Mapping[str, str]) -> dict[str, str]:
    return {"source": name, "sha256": files[name]}


def _short(text: object) -> str:
    return textwrap.shorten(str(text), MAX_TENSOR_TEXT, placeholder=" ...")
