"""Keeps gradients from exploding while a detector starts from random weights."""

import torch
from ignite.engine import Engine
from monai.engines.utils import IterationEvents

from ..errors import InputError

__all__ = ["GradientClipper"]


class GradientClipper:
    """Scales the gradients of every step down to a largest norm, between backward pass and optimizer step.

    With mixed precision the gradients are unscaled before, as the scaler expects it.

    Parameters
    ----------
    optimizer : Optimizer
        The trainer's own.
    max_norm : float
        Largest 2-norm of all gradients together.

    Raises
    ------
    InputError
        If the norm is not positive.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, max_norm: float) -> None:
        if max_norm <= 0:
            raise InputError(f"--clip_norm {max_norm}: expected a positive number, the largest norm of the gradients")
        self.optimizer, self.max_norm = optimizer, max_norm

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        scaler = getattr(engine, "scaler", None)
        if getattr(engine, "amp", False) and scaler is not None:
            scaler.unscale_(self.optimizer)
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, self.max_norm)
