"""Refuses mistyped overrides, which MONAI would take in silence."""

from __future__ import annotations

import difflib
import inspect
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from .errors import InputError

__all__ = ["check_overrides", "find_mistakes"]

_STRING_CONSTANTS = {"true": "True", "false": "False", "null": "none", "None": "none"}


def find_mistakes(config: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    """Describe every override that cannot have the effect its author wanted.

    Parameters
    ----------
    config : mapping
        The config that is about to run, overrides included.
    known : mapping
        Every top-level key of the bundle's config files, with the value it has there.

    Returns
    -------
    list of str
        One message for each unknown key that nothing refers to, and for each switch or number that was given as the
        word ``true``, ``false`` or ``null``, which reaches the config as a string.
    """
    references = set(re.findall(r"[@%](\w+)", json.dumps(config, default=str)))
    mistakes = []
    for key, value in config.items():
        if key not in known and key not in references and not key.startswith("_"):
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean --{close[0]}?" if close else f"known keys are: {', '.join(sorted(known))}"
            mistakes.append(f"unknown override --{key}; {hint}")
        elif isinstance(value, str) and value in _STRING_CONSTANTS and known.get(key) != value:
            mistakes.append(f"--{key} {value} is read as a word; write --{key} {_STRING_CONSTANTS[value]}")
    return mistakes


def check_overrides(bundle_root: str | os.PathLike) -> None:
    """Check the config that is being run against the files in ``bundle_root/configs``.

    Raises
    ------
    InputError
        If an override names no key of the bundle, or gives a switch as the word ``true`` or ``false``.
    """
    config = _running_config()
    if config is None:
        return
    known: dict[str, Any] = {}
    for path in sorted(Path(bundle_root, "configs").glob("*.json")):
        if path.name != "metadata.json":
            known.update({key.removeprefix("+"): value for key, value in json.loads(path.read_text()).items()})
    mistakes = find_mistakes(config, known)
    if mistakes:
        raise InputError("; ".join(mistakes))


def _running_config() -> dict[str, Any] | None:
    """Config of the parser that is evaluating the present expression.

    MONAI hands a config expression neither the parser nor the overrides, and ``sys.argv`` knows nothing of overrides
    given from Python; the calling frames do.
    """
    frame = inspect.currentframe()
    while frame is not None:
        candidate = frame.f_locals.get("self")
        if isinstance(candidate, ConfigParser):
            return candidate.config
        frame = frame.f_back
    return None
