"""Refuses mistyped overrides and impossible values, which MONAI would silently accept or fail on later."""

import difflib
import inspect
import json
import math
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError

__all__ = ["check_overrides", "find_misread_paths", "find_mistakes", "find_wrong_values"]

# what programs that drive bundles add of their own: experiment tracking and federated learning, MONAI Label
_DRIVERS_NAMES = {"experiment_name", "run_name", "tracking", "tracking_uri", "workflow_type"}
_STRING_CONSTANTS = {"true": "True", "false": "False", "null": "none", "None": "none"}


def _is_number(value: Any, kinds: type[int] | tuple[type[int], type[float]] = (int, float)) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return _is_number(value, int) and value > 0


def _are_three(value: Any, is_right: Callable[[Any], bool]) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 3 and all(map(is_right, value))


def _is_range(value: Any) -> bool:
    is_pair = isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_is_number, value))
    return is_pair and 0 < value[0] <= value[1]


_COUNT = (_is_count, "a positive whole number")
_WHOLE = (lambda value: _is_number(value, int) and value >= 0, "a whole number from 0")
_POSITIVE = (lambda value: _is_number(value) and value > 0, "a positive number")
_NOT_NEGATIVE = (lambda value: _is_number(value) and value >= 0, "a number from 0")
_UNIT = (lambda value: value in ("um", "voxel"), "um or voxel")
_FRACTION = (lambda value: _is_number(value) and 0 < value < 1, "a number between 0 and 1")
_SHARE = (lambda value: _is_number(value) and 0 <= value < 1, "a number from 0 to below 1")
_FROM_0_TO_1 = (lambda value: _is_number(value) and 0 <= value <= 1, "a number from 0 to 1")
# knob -> what makes a value right, and how to say so
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "spacing": (
        lambda value: value == "none" or _are_three(value, lambda step: _is_number(step) and step > 0),
        "three positive numbers as [Z,Y,X] in micrometres, or none",
    ),
    "batch_size": _COUNT,
    "patches_per_volume": _COUNT,
    "init_channels": _COUNT,
    "max_epochs": _COUNT,
    "val_interval": _COUNT,
    "fold": (
        lambda value: value == "none" or (_is_number(value, int) and value >= 0),
        "a whole number from 0, or none",
    ),
    "learning_rate": _POSITIVE,
    "threshold": _FRACTION,
    "foreground_threshold": _FRACTION,
    "ball_radius": _POSITIVE,
    "match_radius": _POSITIVE,
    "min_distance": _POSITIVE,
    "min_volume": _NOT_NEGATIVE,
    "min_nucleus_volume": _NOT_NEGATIVE,
    "downsample": _COUNT,
    "sw_batch_size": _COUNT,
    "overlap": _SHARE,
    "min_crypt_area": _NOT_NEGATIVE,
    "min_area": _NOT_NEGATIVE,
    "mode": (lambda value: value in ("crop", "resize"), "crop or resize"),
    "patience": _WHOLE,
    "ema_decay": _SHARE,
    "warmup_epochs": _WHOLE,
    "encoder_learning_rate": _NOT_NEGATIVE,
    "foreground_share": _FROM_0_TO_1,
    "core_depth": _NOT_NEGATIVE,
    "core_threshold": _FRACTION,
    "slide_um": _POSITIVE,
    "cell_diameter": (lambda value: value == "none" or (_is_number(value) and value > 0), "a number above 0, or none"),
    "trained_cell_diameter": _POSITIVE,
    "rotation": _NOT_NEGATIVE,
    "zoom": (_is_range, "two positive numbers as [smallest,largest]"),
    "score_threshold": _SHARE,
    "nms_threshold": _FRACTION,
    "mask_threshold": _FRACTION,
    "max_valley": _FROM_0_TO_1,
    "min_tail": _FROM_0_TO_1,
    "detections_per_slice": _COUNT,
    "slices_per_volume": _COUNT,
    "empty_ratio": _NOT_NEGATIVE,
    "clip_norm": _POSITIVE,
    "accumulation_steps": _COUNT,
    "halo": (lambda value: _is_number(value) and 0 <= value < 0.5, "a number from 0 to below 0.5"),
    "max_jitter": _NOT_NEGATIVE,
    "min_axon_px": _NOT_NEGATIVE,
    "min_visible": _SHARE,
    "patches_per_epoch": _COUNT,
    "point_share": _FROM_0_TO_1,
    "prompts_per_batch": _COUNT,
    "prompts_per_image": _WHOLE,
    "test_time_views": _COUNT,
    "views": _COUNT,
    "weight_decay": _NOT_NEGATIVE,
    "ball_radius_unit": _UNIT,
    "distance_unit": _UNIT,
}


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
        if key not in known and key not in references and key not in _DRIVERS_NAMES and not key.startswith("_"):
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean --{close[0]}?" if close else f"known keys are: {', '.join(sorted(known))}"
            mistakes.append(f"unknown override --{key}; {hint}")
        elif isinstance(value, str) and value in _STRING_CONSTANTS and known.get(key) != value:
            mistakes.append(f"--{key} {value} is read as a word; write --{key} {_STRING_CONSTANTS[value]}")
    return mistakes


def find_wrong_values(config: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    """Describe every knob whose value cannot work; expressions and references are trusted.

    Parameters
    ----------
    config, known : mapping
        As for `find_mistakes`; what is a boolean or a number in ``known`` has to be one.

    Returns
    -------
    list of str
        One message for each.
    """
    switches = {
        key: (lambda value: isinstance(value, bool), "True or False")
        for key, default in known.items()
        if isinstance(default, bool)
    }
    numbers = {
        key: (_is_number, "a number")
        for key, default in known.items()
        if isinstance(default, (int, float)) and key not in switches
    }
    default = known.get("patch_size")
    sizes = {key: _size_rule(default) for key in ("patch_size", "roi_size", "image_size") if isinstance(default, list)}
    unknown = known.get("pixel_size_um")  # 0 or none, as the bundle calls it
    sizes["pixel_size_um"] = (
        lambda value: value == unknown or (_is_number(value) and value > 0),
        f"a number above 0, or {unknown}",
    )
    return [
        f"--{key} {config[key]}: expected {expected}"
        for key, (is_right, expected) in {**numbers, **_RULES, **switches, **sizes}.items()
        if config.get(key) is not None and not str(config[key]).startswith(("$", "@")) and not is_right(config[key])
    ]


def find_misread_paths(config: Mapping[str, Any], arguments: Sequence[str] = ()) -> list[str]:
    """Describe every path that the command line, or MONAI, would read as something else.

    Fire, by which MONAI reads its command line, takes text for Python where it can: ``1e3`` is a number, ``a,b`` a
    tuple, and of ``run#3`` the end is a comment. MONAI takes ``@a`` for the value of ``a``, and ``$a`` for an
    expression. With ``./`` before, these are plain names; but ``#`` becomes ``::`` wherever it stands.

    Parameters
    ----------
    config : mapping
        The config that is about to run, overrides included.
    arguments : sequence of str
        The command line, where there is one.

    Returns
    -------
    list of str
        One message for each.
    """
    typed = _typed(arguments)
    mistakes = []
    for key, value in config.items():
        if not key.endswith(("_dir", "_path")) or value is None:
            continue
        text = typed.get(key, str(value))
        if "#" in text and text != str(value):
            mistakes.append(f"--{key} {text}: MONAI takes no # in a name; give a link without it, ln -s '{text}' NAME")
        elif not isinstance(value, (str, os.PathLike)) or text != str(value):
            mistakes.append(f"--{key} {text} is read as {value!r}, not as a name; write --{key} ./{text}")
        elif text.startswith("@") and text[1:] not in config and re.fullmatch(r"@[^+()'\"#:]+", text):
            mistakes.append(f"--{key} {text} is read as a reference; write --{key} ./{text} for a folder of that name")
        elif re.fullmatch(r"\$[^@+()'\"\[]+", text) and "." not in text:
            mistakes.append(
                f"--{key} {text} is read as an expression; write --{key} ./{text} for a folder of that name"
            )
    return mistakes


def _typed(arguments: Sequence[str]) -> dict[str, str]:
    """Options of a command line as they were typed."""
    typed = {}
    for word, following in zip(arguments, [*arguments[1:], ""], strict=False):
        if word.startswith("--"):
            key, equals, value = word[2:].partition("=")
            typed[key.replace("-", "_")] = value if equals else following
    return typed


def _size_rule(default: list[int]) -> tuple[Callable[[Any], bool], str]:
    """Rule of a size in pixels or voxels, which needs as many numbers as its default has."""
    axes = ["Z", "Y", "X"][-len(default) :]
    numeral = {2: "two", 3: "three"}[len(default)]

    def is_size(value: Any) -> bool:
        return isinstance(value, (list, tuple)) and len(value) == len(axes) and all(map(_is_count, value))

    return is_size, f"{numeral} positive whole numbers as [{','.join(axes)}]"


def check_overrides(bundle_root: str | os.PathLike[str]) -> None:
    """Check the config that is being run against the files in ``bundle_root/configs``.

    InputError if an override names no key of the bundle, or has a value that cannot work.
    """
    config = _running_config()
    if config is None:
        return
    known: dict[str, Any] = {}
    for path in sorted(Path(bundle_root, "configs").glob("*.json")):
        if path.name != "metadata.json":
            known.update({key.removeprefix("+"): value for key, value in json.loads(path.read_text()).items()})
    if not known:  # monai.bundle.load() leaves bundle_root at "." wherever it is called, and overrides nothing
        return
    arguments = sys.argv[1:] if Path(sys.argv[0]).match("monai/bundle/__main__.py") else []
    mistakes = find_misread_paths(config, arguments)
    mistakes = mistakes or find_mistakes(config, known) or find_wrong_values(config, known)
    if mistakes:
        raise InputError("; ".join(mistakes))


def _running_config() -> dict[str, Any] | None:
    """Config of the parser that is evaluating the present expression.

    MONAI hands a config expression neither the parser nor the overrides, and ``sys.argv`` knows nothing of overrides
    given from Python; the calling frames do.
    """
    from monai.bundle import ConfigParser  # here, since what a value has to be is asked without MONAI, too

    frame = inspect.currentframe()
    while frame is not None:
        candidate = frame.f_locals.get("self")
        if isinstance(candidate, ConfigParser):
            config: Any = candidate.config  # a dict, which MONAI declares to be a ConfigItem
            return config
        frame = frame.f_back
    return None
