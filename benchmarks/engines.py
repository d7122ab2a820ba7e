"""Engines that could run a bundle's network on the CPU: ONNX Runtime, torch.compile and OpenVINO against PyTorch.

Without a size: from the image's file to the results, medians of the rounds that the export itself takes. With one: the
network alone, called as inference calls it first on a sample image. as served: in bfloat16 where the CPU has it.
"""

import contextlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import torch

from benchmarks.harness import Row, goal, speed, take_turns
from common.networks.onnx import OnnxNetwork
from tools.bundles import all_bundles, find_bundle
from tools.sample.formats import sample_images
from tools.segment.description import describe_bundle
from tools.segment.loaded import LoadedBundle
from tools.segment.onnx_export import MAX_MASK, MAX_PROBABILITY, export_bundle

WORTH = 1.3  # times as fast, or it is left out


def compare(folder: Path, *, bundles: str = "", rounds: int = 5) -> Iterator[list[Row]]:
    """Options: bundles, names with commas between them, all without it; rounds, of the network alone."""
    for name in bundles.split(",") if bundles else [path.name for path in all_bundles()]:
        exported = folder / f"{name}.onnx"
        rows = _onnx(name, exported) if find_spec("onnxruntime") else [_missing(name, "ONNX Runtime", "onnxruntime")]
        yield [*rows, *_network_alone(name, folder / name, exported, rounds)]


def _onnx(name: str, path: Path) -> list[Row]:
    record = export_bundle(find_bundle(name), path)
    probability, mask = float(record["probability_difference"]), float(record["mask_difference"])
    openvino = record.get("seconds_openvino")  # where it is installed and right
    return [
        speed(f"{name}: ONNX Runtime, PyTorch in float32", record["seconds_onnx"], record["seconds_torch_float32"]),
        speed(f"{name}: ONNX Runtime, PyTorch as served", record["seconds_onnx"], record["seconds_torch"], WORTH),
        *([speed(f"{name}: OpenVINO, the same", openvino, record["seconds_torch"], WORTH)] if openvino else []),
        Row(f"{name}: largest difference of a probability", f"{probability:.1e}",
            target=goal(f"<= {MAX_PROBABILITY:g}", probability <= MAX_PROBABILITY)),
        Row(f"{name}: pixels of the mask that differ", f"{mask:.3%}",
            target=goal(f"< {MAX_MASK:.1%}", mask < MAX_MASK)),
    ]  # fmt: skip


def _network_alone(name: str, folder: Path, exported: Path, rounds: int) -> list[Row]:
    found = _first_call(name, folder)
    if found is None:
        return [Row(f"{name}: torch.compile, OpenVINO", "the network is no function of one tensor")]
    network, pixels, as_served = found
    ways: dict[str, Callable[[torch.Tensor], object]] = {
        "torch.compile": as_served(torch.compile(network)),
        "PyTorch": as_served(network),
    }
    rows = []
    if find_spec("openvino") and exported.is_file():
        ways["OpenVINO"] = OnnxNetwork(exported, {}, "openvino")
    else:
        rows.append(_missing(name, "OpenVINO", "openvino"))
    with torch.inference_mode():
        seconds, _ = take_turns(ways, [pixels], rounds=rounds, desc=name)
    shape = " x ".join(map(str, pixels.shape))
    others = [way for way in ways if way != "PyTorch"]
    return [*(speed(f"{name}: {way}, {shape}", seconds[way], seconds["PyTorch"], WORTH) for way in others), *rows]


def _first_call(name: str, folder: Path) -> tuple[torch.nn.Module, torch.Tensor, Callable] | None:
    """A network, what inference shows it first, and what calls it in the precision that inference does."""
    loaded, calls = LoadedBundle(describe_bundle(find_bundle(name))), []

    def remember(network: torch.nn.Module, given: tuple) -> None:
        if not calls and len(given) == 1 and isinstance(given[0], torch.Tensor):
            calls.append((torch.as_tensor(given[0]).clone(), torch.is_autocast_enabled("cpu")))

    handle = loaded.network.register_forward_pre_hook(remember)
    (folder / "results").mkdir(parents=True)
    loaded.segment(sample_images(find_bundle(name), folder / "samples")[0], folder)
    handle.remove()
    if not calls:
        return None
    pixels, amp = calls[0]

    def as_served(network: Callable) -> Callable[[torch.Tensor], object]:
        def call(image: torch.Tensor) -> object:
            with torch.autocast("cpu", torch.bfloat16) if amp else contextlib.nullcontext():
                return network(image)

        return call

    return loaded.network, pixels, as_served


def _missing(name: str, engine: str, package: str) -> Row:
    return Row(f"{name}: {engine}", f"not installed: pip install {package}")
