"""No step is taken with more than the largest norm."""

import pytest
import torch
from ignite.engine import Engine
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents

from common.errors import InputError
from common.training.clipping import GradientClipper


def step_length(max_norm: float, target: float) -> float:
    """How far one step of plain gradient descent with learning rate 1 moves a weight."""
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=[{"image": torch.ones(1, 1), "label": torch.full((1, 1), target)}],
        network=network,
        optimizer=optimizer,
        loss_function=torch.nn.MSELoss(),
        train_handlers=[GradientClipper(optimizer, max_norm)],
    ).run()
    return network.weight.item()


def test_large_gradients_are_scaled_down_and_small_ones_left():
    assert step_length(3.0, target=100.0) == pytest.approx(3.0)
    assert step_length(3.0, target=1.0) == pytest.approx(2.0)


def test_scaled_gradients_are_unscaled_before():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    unscaled = []
    engine = Engine(lambda engine, batch: engine.fire_event(IterationEvents.BACKWARD_COMPLETED))
    engine.register_events(*IterationEvents)
    engine.amp = True
    engine.scaler = type("Scaler", (), {"unscale_": lambda self, optimizer: unscaled.append(optimizer)})()
    GradientClipper(optimizer, 1.0).attach(engine)
    engine.run([0])
    assert unscaled == [optimizer]


def test_a_norm_is_positive():
    with pytest.raises(InputError, match="--clip_norm 0: expected a positive number"):
        GradientClipper(torch.optim.SGD([torch.zeros(1)], lr=1.0), 0)
