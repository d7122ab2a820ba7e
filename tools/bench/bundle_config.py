"""A bundle's config and weights, opened as a run of the bundle opens them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ignite.engine import Engine
from monai.bundle import ConfigParser, ConfigWorkflow
from torch import nn

from tools.errors import InputError

__all__ = ["find_weights", "network_with_weights", "parse_config"]


def parse_config(config: Path, overrides: Mapping[str, object]) -> ConfigParser:
    """A config after its ``initialize``."""
    workflow = ConfigWorkflow(str(config), workflow_type=None, logging_file=False, **overrides)
    workflow.initialize()
    return workflow.parser


def network_with_weights(parser: ConfigParser) -> nn.Module:
    """The network, after what the config's loader does when an engine starts."""
    engine = Engine(lambda engine, batch: None)
    parser.get_parsed_content("checkpoint_loader").attach(engine)
    engine.run([None])
    return parser.get_parsed_content("network").eval()


def find_weights(bundle: Path, ckpt_path: str) -> str:
    """Absolute path of the weights, the shipped ones if none are named; or the word none.

    Parameters
    ----------
    bundle : Path
        The bundle's folder.
    ckpt_path : str
        As given on the command line.

    Returns
    -------
    str

    Raises
    ------
    InputError
        If there is no such file.
    """
    if ckpt_path == "none":
        return ckpt_path
    path = Path(ckpt_path) if ckpt_path else bundle / "models" / "model.pt"
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; train first, or give --ckpt_path")
    return str(path.resolve())
