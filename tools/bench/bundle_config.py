"""A bundle's config and weights, opened as a run of the bundle opens them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ignite.engine import Engine
from monai.bundle import ConfigParser, ConfigWorkflow
from torch import nn

from common.errors import InputError

__all__ = ["existing_weights", "find_weights", "network_with_weights", "parse_config"]


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


def existing_weights(bundle: Path, ckpt_path: str) -> Path:
    """Absolute path of the weights, the shipped ones if none are named.

    Parameters
    ----------
    bundle : Path
        The bundle's folder.
    ckpt_path : str
        As given on the command line.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If there is no such file.
    """
    path = Path(ckpt_path) if ckpt_path else bundle / "models" / "model.pt"
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; train first, or give --ckpt_path")
    return path.resolve()


def find_weights(bundle: Path, ckpt_path: str) -> str:
    """As `existing_weights`, as a config takes it; the word none, for random weights, stays as it is."""
    return ckpt_path if ckpt_path == "none" else str(existing_weights(bundle, ckpt_path))
