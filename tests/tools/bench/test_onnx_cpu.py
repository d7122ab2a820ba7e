"""ONNX Runtime has to give PyTorch's logits before its time counts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tools.bench import onnx_cpu as module
from tools.bench.onnx_cpu import compare_onnx, export_onnx


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 1, 1))


def test_rows_of_each_batch_size(network, tmp_path):
    rows = compare_onnx(network, tmp_path, size=(6, 7), batch_sizes=(1, 3), rounds=2)
    assert [row.what for row in rows] == [
        "ONNX Runtime, 1x1x6x7: time per pass",
        "ONNX Runtime, 1x1x6x7: largest difference of logits",
        "ONNX Runtime, 3x1x6x7: time per pass",
        "ONNX Runtime, 3x1x6x7: largest difference of logits",
    ]
    assert all(float(row.ours) <= 1e-4 and row.met == "yes" for row in rows[1::2])
    assert not network.training


def test_other_logits_stop_the_benchmark(network, tmp_path, monkeypatch):
    def export_changed(network, image, path):
        changed = nn.Sequential(network, nn.Softplus()).eval()
        return export_onnx(changed, image, path)

    monkeypatch.setattr(module, "export_onnx", export_changed)
    with pytest.raises(RuntimeError, match=r"1x1x6x7: ONNX Runtime's logits differ by 0\..*, expected at most 0\.0001"):
        compare_onnx(network, tmp_path, size=(6, 7), rounds=1)
