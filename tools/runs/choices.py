"""What can be chosen: the folds of a dataset, some of a list, the keys of train.json that a run may override."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import InputError

__all__ = ["Folds", "check_overrides", "choose", "read_folds", "read_json"]

METADATA = "configs/metadata.json"
OWN_FLAGS = {"fold": "choose with --folds", "ckpt_dir": "", "ckpt_path": "", "bundle_root": "", "config_file": ""}


@dataclass(frozen=True)
class Folds:
    """Folds with labelled images, ascending, and whether there are labelled images under ``testing``."""

    folds: tuple[int, ...]
    has_testing: bool


def read_folds(dataset_dir: Path) -> Folds:
    """Folds and testing images of a dataset that are completely labelled.

    Parameters
    ----------
    dataset_dir : Path
        Folder with dataset.json.

    Returns
    -------
    Folds

    Raises
    ------
    InputError
        If there is no such file, it is malformed, or has no fold.
    """
    path = dataset_dir / "dataset.json"
    try:
        content = read_json(path)
        training, testing = (
            [item for item in content.get(section, []) if "label" in item and "annotated_slices" not in item]
            for section in ("training", "testing")
        )
        folds = tuple(sorted({int(item["fold"]) for item in training}))
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a MONAI datalist with folds ({error!r}); convert the data again") from error
    if len(folds) < 2:
        raise InputError(
            f"{path}: labelled images of {len(folds)} folds under training, expected two at least, one of them to "
            "validate on; convert again with --folds"
        )
    return Folds(folds, bool(testing))


def choose(given: str, text: str, known: Sequence[object]) -> tuple:
    """Those of the known that a comma-separated list names; all of them if it is empty.

    Parameters
    ----------
    given : str
        The option as it was given, such as ``folds 0,1``, for the message.
    text : str
        The list.
    known : sequence
        What may be named.

    Returns
    -------
    tuple
        In the order of the list, each once.

    Raises
    ------
    InputError
        If something unknown is named.
    """
    by_name = {str(value): value for value in known}
    words = [word for word in (part.strip() for part in text.strip("[]()").split(",")) if word]
    for word in words:
        if word not in by_name:
            raise InputError(f"--{given}: {word} is unknown; there are {', '.join(by_name)}")
    return tuple(dict.fromkeys(by_name[word] for word in words)) or tuple(known)


def check_overrides(
    overrides: Mapping[str, str],
    train: Mapping[str, object],
    own: Mapping[str, str],
    flags: Sequence[str],
    verb: str = "compare",
) -> None:
    """Refuse overrides that train.json does not know, or that a verb sets itself.

    Parameters
    ----------
    overrides : mapping of str to str
        Key, such as ``max_epochs`` or ``train#trainer#max_epochs``, -> value.
    train : mapping
        Content of train.json.
    own : mapping of str to str
        Keys that the verb sets for each run -> what to do instead, if anything.
    flags : sequence of str
        The verb's own options, which may have been mistyped.
    verb : str

    Raises
    ------
    InputError
        If there is such an override; it names the closest key. An object's arguments may be new, since train.json
        lists only some of those that its class takes.
    """
    own = {**OWN_FLAGS, **own}
    for key in overrides:
        top = re.split("#|::", key)[0]
        if top in own:
            raise InputError(f"--{key}: {verb} sets it for each run; {own[top] or 'leave it out'}")
        if top not in train:
            closest = difflib.get_close_matches(top, [*train, *flags], n=1)
            hint = f"did you mean --{closest[0]}?" if closest else f"there are {', '.join(sorted(train))}"
            raise InputError(f"unknown override --{key}; {hint}")
        _check_inside(key, train)


def _check_inside(key: str, train: Mapping[str, object]) -> None:
    """Refuse a key whose part after some # or :: is not in what the part before it names."""
    first, *parts = re.split("#|::", key)
    value, path = train[first], first
    for place, part in enumerate(parts, start=1):
        inside = dict(enumerate(value)) if isinstance(value, list) else value if isinstance(value, dict) else {}
        known = {str(name): of for name, of in inside.items()}
        if part not in known:
            if "_target_" in known and place == len(parts):
                return
            closest = difflib.get_close_matches(part, known, n=1)
            hint = f"did you mean {closest[0]}?" if closest else f"there are {', '.join(known) or 'no keys'}"
            raise InputError(f"unknown override --{key}: train.json has no {part} in {path}; {hint}")
        value, path = known[part], f"{path}#{part}"


def read_json(path: Path) -> dict:
    """Content of a JSON file; InputError if it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; give a bundle, or a converted dataset") from error
    except ValueError as error:
        raise InputError(f"{path}: not a JSON file ({error}); correct it, or convert the data again") from error
