"""What a bundle's network is run by: PyTorch, or ONNX Runtime where that was measured to be faster."""

from __future__ import annotations

import logging
from pathlib import Path

from common.errors import InputError
from tools.segment.onnx_record import is_current, is_faster, read_record

__all__ = ["BACKENDS", "choose_backend"]

logger = logging.getLogger(__name__)

BACKENDS = ("auto", "torch", "onnx")


def choose_backend(root: Path, wanted: str, weights: Path | None = None) -> str:
    """``torch`` or ``onnx`` for a bundle.

    Parameters
    ----------
    root : Path
        The bundle's folder.
    wanted : {"auto", "torch", "onnx"}
        ``auto``: on a CPU onnx where models/model.onnx is there, made from the weights and measured to be faster, else
        torch.
    weights : Path, optional
        Those that are to be used; the shipped ones if not given.

    Raises
    ------
    InputError
        If another one is wanted.
    """
    if wanted not in BACKENDS:
        raise InputError(f"--backend {wanted}: choose one of {', '.join(BACKENDS)}")
    exported, weights = root / "models" / "model.onnx", weights or root / "models" / "model.pt"
    if wanted != "auto" or not exported.is_file() or not weights.is_file():
        return "torch" if wanted == "auto" else wanted
    if not is_current(exported, weights):
        logger.warning("%s: not made from the current weights; run python -m tools export onnx %s", exported, root.name)
        return "torch"
    return "onnx" if is_faster(read_record(exported)) and not Path("/dev/nvidiactl").exists() else "torch"
