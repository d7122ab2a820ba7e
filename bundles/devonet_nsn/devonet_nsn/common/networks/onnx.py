"""The network in ONNX Runtime or OpenVINO, which need no weights beside its file and are often faster on a CPU."""

import json
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..errors import InputError
from ..files import replacing

__all__ = ["OnnxNetwork", "differences", "export_onnx", "open_session", "write_graph"]

_BUNDLE = __package__.partition(".")[0]

OPSET = 18
SPACE = ("depth", "height", "width")
RECORD = "record"  # property of a file: JSON about how it was made
BLOB_PX = 8  # of the images that networks are compared with


class _OnnxRuntime:
    """A graph in ONNX Runtime: the shapes of its inputs, its record, and `run`."""

    def __init__(self, path: str) -> None:
        with _needing("onnxruntime"):
            import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # else threads that wait for the next call keep cores from PyTorch and other sessions: up to 1.6 times slower
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.shapes = [given.shape for given in self._session.get_inputs()]
        self.record = json.loads(self._session.get_modelmeta().custom_metadata_map.get(RECORD, "{}"))

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """Outputs for float32 inputs, both in the file's order."""
        names = [given.name for given in self._session.get_inputs()]
        return self._session.run(None, dict(zip(names, inputs, strict=True)))


class _OpenVino:
    """The same in OpenVINO."""

    def __init__(self, path: str) -> None:
        # else Google Analytics is told of every import, unasked
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        with _needing("openvino"):
            import openvino
        core = openvino.Core()
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "ENABLE_CPU_PINNING": False,  # else several workers share the same cores
        }
        try:
            model = core.read_model(path)
            self._compiled = core.compile_model(model, "CPU", options)
        except RuntimeError as error:
            raise InputError(f"{path}: OpenVINO cannot run this graph; use --backend onnx or torch") from error
        self.shapes = [[size.get_max_length() for size in given.partial_shape] for given in self._compiled.inputs]
        place = ["framework", RECORD]
        self.record = json.loads(model.get_rt_info(place).value) if model.has_rt_info(place) else {}

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """As `_OnnxRuntime.run`."""
        return [*self._compiled(inputs).values()]


SESSIONS: dict[str, type[_OnnxRuntime] | type[_OpenVino]] = {"onnxruntime": _OnnxRuntime, "openvino": _OpenVino}


def open_session(
    path: str | os.PathLike[str], settings: Mapping[str, object], engine: str = "onnxruntime"
) -> _OnnxRuntime | _OpenVino:
    """A graph in float32 on the CPU, with as many threads as PyTorch has: ``shapes`` of its inputs, and ``run``.

    Parameters
    ----------
    path : path
        ONNX file.
    settings : mapping
        Knobs of the config that shape the network, so that a graph cannot follow them.
    engine : {"onnxruntime", "openvino"}
        What runs it.

    Raises
    ------
    InputError
        If there is no such file, no such engine, or the file was recorded with other settings.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; make it with: python -m tools export onnx {_BUNDLE}")
    if engine not in SESSIONS:
        raise InputError(f"engine {engine}: choose one of {', '.join(SESSIONS)}")
    session = SESSIONS[engine](str(path))
    if engine == "openvino" and session.record and "seconds_openvino" not in session.record:
        raise InputError(
            f"{path}: was made without OpenVINO, or OpenVINO did not give PyTorch's results; make it again with: "
            f"python -m tools export onnx {_BUNDLE}"
        )
    for name, recorded in session.record.get("settings", {}).items():
        if name in settings and settings[name] != recorded:
            raise InputError(
                f"{path}: made with {name} {recorded}, asked for {settings[name]}; leave --{name} out, or make it "
                f"again with: python -m tools export onnx {_BUNDLE} --{name} {settings[name]}"
            )
    return session


class OnnxNetwork(nn.Module):
    """What `export_onnx` wrote, called as the network that it was made from.

    Parameters
    ----------
    path : path
        ONNX file from ``image`` (B, C, space) to ``pred``.
    settings, engine
        As for `open_session`.

    Raises
    ------
    InputError
        As `open_session`.
    """

    def __init__(
        self, path: str | os.PathLike[str], settings: Mapping[str, object], engine: str = "onnxruntime"
    ) -> None:
        super().__init__()
        self.session = open_session(path, settings, engine)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits (B, C, space), float32, on the image's device."""
        inputs = image.as_subclass(torch.Tensor).detach().cpu().float()
        (logits,) = self.session.run(np.ascontiguousarray(inputs.numpy()))
        return torch.from_numpy(logits).to(image.device)


def export_onnx(network: nn.Module, path: str | os.PathLike[str], shape: Sequence[int]) -> list[Path]:
    """Write the network as ONNX for batches and images of any size; whole or not at all.

    Parameters
    ----------
    network : Module
        From an image to logits.
    path : path
        File to write or replace; its folder exists.
    shape : sequence of int
        (B, C, space) of the image that it is traced with.

    Returns
    -------
    list of Path
        The files.
    """
    num_axes = len(shape) - 2
    free = {0: "batch", **dict(enumerate(SPACE[-num_axes:], start=2))}
    write_graph(network, {"image": torch.rand(tuple(shape))}, {"pred": free}, Path(path), {"image": free})
    return [Path(path)]


def differences(
    network: nn.Module, other: nn.Module, shapes: Sequence[Sequence[int]], values: Sequence[float]
) -> dict[str, float]:
    """Largest difference of probabilities that two networks give for blurred noise.

    Parameters
    ----------
    network, other : Module
    shapes : sequence of (B, C, space)
        Images to compare them with.
    values : sequence of float
        Lowest and highest value of the images.

    Returns
    -------
    dict of str to float
        Shape -> difference.
    """
    found = {}
    for shape in shapes:
        image = _draw(shape, *values)
        with torch.inference_mode():
            ours, theirs = (_probability(way(image).float()) for way in (network, other))
        found["x".join(map(str, shape))] = float((ours - theirs).abs().max())
    return found


def write_graph(
    network: nn.Module,
    inputs: Mapping[str, torch.Tensor],
    outputs: Mapping[str, Mapping[int, str]],
    path: Path,
    axes: Mapping[str, Mapping[int, str]],
) -> None:
    """Write a module as ONNX; whole or not at all.

    Parameters
    ----------
    network : Module
        In evaluation mode, on the CPU.
    inputs : mapping of str to Tensor
        What it is traced with, by name.
    outputs : mapping of str to mapping
        Name -> axes of any length, as ``axes`` has them for the inputs.
    path : Path
        File to write or replace.
    axes : mapping of str to mapping
        Input -> axis -> name.
    """
    with _needing("onnxruntime"):
        import onnxruntime  # noqa: F401
    with replacing(path) as partial, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's advice to those who write it
        torch.onnx.export(  # without dynamo, which fixes sizes that these networks compute
            network,
            tuple(inputs.values()),
            str(partial),
            input_names=[*inputs],
            output_names=[*outputs],
            dynamic_axes={**axes, **outputs},
            opset_version=OPSET,
            dynamo=False,
        )


def _draw(shape: Sequence[int], low: float, high: float) -> torch.Tensor:
    """Blobs of random brightness, the same every time."""
    coarse = [max(1, size // BLOB_PX) for size in shape[2:]]
    blobs = torch.rand((*shape[:2], *coarse), generator=torch.Generator().manual_seed(0))
    mode = "trilinear" if len(coarse) == 3 else "bilinear"
    return low + (high - low) * F.interpolate(blobs, size=tuple(shape[2:]), mode=mode)


def _probability(logits: torch.Tensor) -> torch.Tensor:
    return logits.softmax(dim=1) if logits.shape[1] > 1 else logits.sigmoid()


@contextmanager
def _needing(package: str) -> Iterator[None]:
    """Around the import of an engine, which only its users need."""
    try:
        yield
    except ImportError as error:
        raise InputError(f"{package} is missing: pip install onnx {package}") from error
