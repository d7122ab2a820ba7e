"""The detector trains with MONAI's own trainer."""

import numpy as np
import pytest
import torch
from ignite.engine import Events
from maskrcnn_2p5d.common.errors import InputError
from maskrcnn_2p5d.losses import LOSSES, DetectionLoss, LossInferer, TargetsFromLabels
from maskrcnn_2p5d.network import MaskRCNN2p5D
from maskrcnn_2p5d.targets import slice_targets
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from monai.handlers import from_engine


@pytest.fixture
def items() -> list[dict[str, torch.Tensor]]:
    """Two stacks with bright squares, and one with none."""
    labels = torch.zeros(3, 1, 32, 32, dtype=torch.int32)
    labels[0, 0, 2:16, 3:15], labels[0, 0, 20:30, 18:30], labels[1, 0, 8:24, 10:26] = 70_000, 2, 1
    images = (labels > 0) + 0.1 * torch.rand(3, 3, 32, 32)
    return [{"image": image, "label": label} for image, label in zip(images, labels, strict=True)]


def test_sum_is_weighted():
    given = {name: torch.tensor(float(number)) for number, name in enumerate(LOSSES)}
    losses = LossInferer()(torch.zeros(2, 3, 8, 8), lambda image: given)
    assert losses.shape == (2, 5)
    assert DetectionLoss()(losses, None) == 0 + 1 + 2 + 3 + 4
    assert DetectionLoss({"loss_mask": 10, "loss_box_reg": 0.5})(losses, None) == 0 + 0.5 + 20 + 3 + 4


def test_unknown_weights():
    with pytest.raises(InputError, match="loss weights of mask: unknown; the losses are loss_classifier"):
        DetectionLoss({"mask": 2})


def test_labels_become_targets(items):
    batch = next(iter(DataLoader(Dataset(items), batch_size=3)))
    image, labels, (targets,), kwargs = TargetsFromLabels(min_area_px=121)(batch, "cpu", False)
    assert torch.equal(image, batch["image"]) and torch.equal(labels, batch["label"]) and kwargs == {}
    assert [len(target["boxes"]) for target in targets] == [1, 1, 0]  # 10 x 12 pixels are too few
    for target, item in zip(targets, items, strict=True):
        expected = slice_targets(np.asarray(item["label"][0]), min_area_px=121)
        torch.testing.assert_close(target, expected)


@pytest.mark.parametrize("fusion", ["se", "late"])
def test_loss_falls_in_monai_trainer(items, fusion):
    network = MaskRCNN2p5D(fusion=fusion, fpn_channels=8, box_features=8)
    before = network.fusion.gates["all"].prior.clone() if fusion == "se" else None
    losses = []
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=4,
        train_data_loader=DataLoader(Dataset(items), batch_size=3),
        network=network,
        optimizer=torch.optim.AdamW(network.parameters(), lr=1e-3),
        loss_function=DetectionLoss(),
        prepare_batch=TargetsFromLabels(),
        inferer=LossInferer(),
    )
    loss_of = from_engine(["loss"], first=True)  # as MONAI's handlers and trackers read it
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: losses.append(loss_of(engine.state.output)))
    trainer.run()
    assert len(losses) == 4 and losses[-1] < losses[0]
    assert before is None or not torch.equal(network.fusion.gates["all"].prior, before)
