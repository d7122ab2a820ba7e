"""A bundle's network with its shipped weights, and the same as TorchScript or ONNX, by a process of its own.

``python -m tools.share.export BUNDLE`` loads it, ``BUNDLE FOLDER NETWORK_ID FILE`` exports it.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.networks import convert_to_torchscript

from common.training.checkpoints import read_checkpoint
from tools.bundles import WEIGHTS
from tools.share.rdf import OPSET

__all__ = ["export", "load_network"]

MAX_MESSAGE = 300  # characters
NETWORK_IDS = ("network_def", "network")
CONFIGS = ("inference", "train")
TOLERANCE = 1e-3  # of the largest value that the network gives


def load_network(bundle: Path, network_id: str = "") -> torch.nn.Module:
    """The bundle's network, whose code runs, with its shipped weights; raises if they do not fit it.

    ``network_id`` is another network that ``configs/<network_id>.json``, read on top of the bundle's config, makes of
    the parts of the first one; empty for the first one.
    """
    bundle = bundle.resolve()
    weights = read_checkpoint(bundle / WEIGHTS)
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise TypeError("models/model.pt is not a plain state_dict; monai.bundle.load would keep the random weights")
    files = [next(path for name in CONFIGS for path in sorted((bundle / "configs").glob(f"{name}.*")))]
    if network_id:
        files.append(bundle / "configs" / f"{network_id}.json")
    sys.path.insert(0, str(bundle))
    parser = ConfigParser()
    parser.read_config([str(file) for file in files])
    parser["bundle_root"] = str(bundle)
    network = parser.get_parsed_content(next(name for name in NETWORK_IDS if name in parser))
    network.load_state_dict(weights)
    return parser.get_parsed_content(network_id) if network_id else network


def export(bundle: Path, folder: Path, network_id: str, file: str) -> None:
    """Write the network, and ``test_output.npy``: what it made of ``test_input.npy`` before it was exported.

    The folder holds test_input.npy, float32, (1, channel, space), and takes the two files; ``file`` is model.ts,
    TorchScript, or model.onnx. ``network_id`` is that of the network in the config; empty for the bundle's own.
    TypeError if the network does not give one tensor. ValueError if the exported network gives something else for an
    image that it was not traced with, needs operators that PyTorch alone does not have, or the test would hold for a
    network that gives one value everywhere.
    """
    network = load_network(bundle, network_id).float().eval()
    image = torch.from_numpy(np.load(folder / "test_input.npy"))
    other = image.flip(-1) * 0.9
    with torch.inference_mode():
        output, expected = network(image), network(other)
    if not isinstance(output, torch.Tensor):
        raise TypeError(f"the network gives {type(output).__name__}, expected one tensor")
    if output.min() == output.max():
        raise ValueError(f"the network gives {output.min():g} everywhere for the test image, so nothing is tested")
    found = (_onnx if file.endswith(".onnx") else _torchscript)(network, image, other, folder / file)
    difference = np.abs(found - expected.numpy()).max() if found.shape == expected.shape else np.inf
    if difference > TOLERANCE * expected.abs().max():
        (folder / file).unlink()
        raise ValueError(f"the exported network is off by {difference:g} for an image that it was not traced with")
    np.save(folder / "test_output.npy", output.float().numpy())


def _torchscript(network: torch.nn.Module, image: torch.Tensor, other: torch.Tensor, path: Path) -> np.ndarray:
    """Write the network, traced with one image; what it makes of another one."""
    traced = convert_to_torchscript(network, inputs=[image], use_trace=True)
    if "torchvision::" in str(traced.inlined_graph):
        raise ValueError('it needs operators of torchvision, which readers do not load; ask for "weights": "onnx"')
    torch.jit.save(traced, path)
    with torch.inference_mode():
        return traced(other).numpy()


def _onnx(network: torch.nn.Module, image: torch.Tensor, other: torch.Tensor, path: Path) -> np.ndarray:
    """Write the network, traced with one image; what it makes of another one."""
    import onnxruntime  # here, since few networks need it

    # without dynamo: torchvision's detectors branch on how many objects there are
    torch.onnx.export(
        network, (image,), str(path), dynamo=False, opset_version=OPSET, input_names=["image"], output_names=["pred"]
    )
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"image": other.numpy()})[0]


if __name__ == "__main__":
    try:
        bundle, *words = sys.argv[1:]
        if words:
            export(Path(bundle), Path(words[0]), *words[1:])
        else:
            load_network(Path(bundle))
    except Exception as error:  # whatever a stranger's bundle raises, it is reported in one line
        sys.exit(" ".join(f"{type(error).__name__}: {error}".split())[:MAX_MESSAGE])
