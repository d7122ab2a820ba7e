"""The score map is traced by MONAI's own verb, for images of any size."""

import json

import pytest
import torch
from maskrcnn_2p5d.network import MaskRCNN2p5D
from monai.bundle import ckpt_export

KNOBS = {"fpn_channels": 8, "box_features": 8, "detections_per_slice": 5}


@pytest.mark.slow
@pytest.mark.parametrize(("fusion", "threshold"), [("late", 0.2), ("se", 1.0)])
def test_traced_torchscript_gives_the_same_scores(tmp_path, fusion, threshold):
    knobs = KNOBS | {"fusion": fusion, "score_threshold": threshold}
    network, path = MaskRCNN2p5D(**knobs).eval(), tmp_path / "model.ts"
    torch.save(network.state_dict(), tmp_path / "model.pt")
    config = {"network_def": {"_target_": "maskrcnn_2p5d.network.MaskRCNN2p5D", **knobs}}
    (tmp_path / "inference.json").write_text(json.dumps(config))
    (tmp_path / "metadata.json").write_text("{}")
    ckpt_export(
        "network_def",
        filepath=str(path),
        ckpt_file=str(tmp_path / "model.pt"),
        meta_file=str(tmp_path / "metadata.json"),
        config_file=str(tmp_path / "inference.json"),
        use_trace=True,
        input_shape=[1, 3, 32, 64],
    )
    traced = torch.jit.load(path)
    with torch.no_grad():
        for size in ((32, 64), (50, 33)):
            image = torch.rand(1, 3, *size)
            expected = network(image)
            torch.testing.assert_close(traced(image), expected, atol=1e-4, rtol=1e-4)
            assert bool(expected.any()) == (threshold < 1)
