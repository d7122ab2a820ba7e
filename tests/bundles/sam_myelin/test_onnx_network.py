"""Three graphs in place of the network: the same fibres from boxes, from points and without prompts."""

import io
from pathlib import Path

import numpy as np
import onnx
import pytest
import sam_myelin
import torch
from PIL import Image
from sam_myelin.common.errors import InputError
from sam_myelin.common.networks.onnx import SESSIONS
from sam_myelin.inferers import FibreInferer
from sam_myelin.network import SamMyelin
from sam_myelin.onnx_network import OnnxNetwork

from tools.sample.myelin import draw_files

pytestmark = pytest.mark.thorough

WEIGHTS = Path(sam_myelin.__file__).parents[1] / "models/model.pt"
SIZE = 672


@pytest.fixture(scope="module")
def network():
    built = SamMyelin("efficient", SIZE)
    built.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    return built.eval()


@pytest.fixture(scope="module")
def path(shipped_graph):
    path = shipped_graph(WEIGHTS.parents[1])
    assert {"model.onnx", "model_segmenter.onnx", "model_decoder.onnx"} <= {file.name for file in path.parent.iterdir()}
    return path


@pytest.fixture(scope="module", params=SESSIONS)
def graphs(request, path):
    return OnnxNetwork(path, {}, request.param)


@pytest.fixture(scope="module")
def image():
    content = next(
        content for name, content in draw_files(num_subjects=1, size=256) if name.endswith(".png") and "/micr/" in name
    )
    gray = torch.from_numpy(np.array(Image.open(io.BytesIO(content)).convert("L"))).float()
    return gray.expand(1, 3, -1, -1)


def test_fibres_without_prompts_are_the_networks(network, graphs, image):
    inferer = FibreInferer(automatic=True, tile_px=200, refine=True)
    expected, found = inferer(image, network), inferer(image, graphs)
    assert expected[:, 0].max() > 1
    assert (expected != found).float().mean() < 1e-3


def test_fibres_of_boxes_and_points_are_the_networks(network, graphs, image):
    nan = float("nan")
    prompts = torch.tensor([[[3, nan, nan, 40, 40, 110, 120], [8, 150.0, 140, nan, nan, nan, nan]]])
    inferer = FibreInferer(tile_px=256)
    expected, found = inferer(image, network, prompts), inferer(image, graphs, prompts)
    assert expected[:, 0].max() > 0
    assert (expected != found).float().mean() < 1e-3


def test_size_is_the_files_and_another_one_is_refused(path, tmp_path):
    with pytest.raises(InputError, match="made with image_size 672, asked for 32"):
        OnnxNetwork(path, {"image_size": 32})
    for part in ("_segmenter", "_decoder"):
        (tmp_path / f"model{part}.onnx").symlink_to(path.with_name(f"model{part}.onnx"))
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {})
    onnx.save(model, tmp_path / "model.onnx")
    assert OnnxNetwork(tmp_path / "model.onnx", {"image_size": 32}).image_size == SIZE  # without a record


def test_a_file_that_is_missing_beside_is_told(path, tmp_path):
    (tmp_path / "model.onnx").write_bytes(path.read_bytes())
    with pytest.raises(InputError, match="model_segmenter.onnx: no such file"):
        OnnxNetwork(tmp_path / "model.onnx", {})
