"""Which keys of train.json a run may override, and suggestions for unknown ones."""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from fire.parser import DefaultParseValue  # as MONAI reads its command line

from common.errors import InputError
from common.json_file import read_json
from common.training.overrides import find_wrong_values
from tools.runs.words import normal_key, top_key

__all__ = ["OWN_KEYS", "check_overrides", "choose", "hint", "refuse_wrong_values", "unknown_override"]

# keys that are set for each run -> what to do instead
OWN_KEYS = {"fold": "choose with --folds", "ckpt_dir": "", "ckpt_path": "", "bundle_root": "", "config_file": ""}


def hint(word: str, known: Iterable[str], *, dashes: str = "") -> str:
    """Known words close to an unknown one, or else all of them."""
    known = list(known)
    closest = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {dashes}{closest[0]}?" if closest else f"there are {', '.join(known) or 'no keys'}"


def choose(given: str, text: str, known: Sequence[object]) -> tuple:
    """Those of the known that a comma-separated list names, each once; all of them if it is empty.

    ``given`` is the option as it was given, such as ``folds 0,1``, for the message about something unknown.
    """
    by_name = {str(value): value for value in known}
    words = [word for word in (part.strip() for part in text.strip("[]()").split(",")) if word]
    for word in words:
        if word not in by_name:
            raise InputError(f"--{given}: {word} is unknown; there are {', '.join(by_name)}")
    return tuple(dict.fromkeys(by_name[word] for word in words)) or tuple(known)


def unknown_override(key: str, known: Iterable[str], command: Callable) -> InputError:
    """The error of an override that is not among the known keys; options of ``command`` may have been mistyped, too."""
    flags = [name for name, of in inspect.signature(command).parameters.items() if of.kind is of.KEYWORD_ONLY]
    return InputError(f"unknown override --{key}; {hint(top_key(key), [*sorted(known), *flags], dashes='--')}")


def check_overrides(
    overrides: Mapping[str, object], bundle: Path, command: Callable, own: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Refuse overrides that a bundle's train.json does not know, that a verb sets itself, or whose values cannot work.

    The closest key is named. An object's arguments may be new, since train.json lists only some of those that its class
    takes. Keys are such as ``max_epochs`` or ``train#trainer#max_epochs``; options of ``command``, the verb, may have
    been mistyped, too. ``own`` are further keys that the verb sets for each run -> what to do instead, if anything.
    """
    train, own = read_json(bundle / "configs/train.json"), {**OWN_KEYS, **own}
    for key in overrides:
        top = top_key(key)
        if top in own:
            raise InputError(f"--{key}: {command.__name__} sets it for each run; {own[top] or 'leave it out'}")
        if top not in train:
            raise unknown_override(key, train, command)
        _check_inside(key, train)
    refuse_wrong_values(overrides, train)


def refuse_wrong_values(overrides: Mapping[str, object], settings: Mapping[str, object]) -> None:
    """InputError if a value cannot work in the place of what the settings of a config have there."""
    read = {
        key: int(text) if (text := str(of)).isdecimal() else DefaultParseValue(text) for key, of in overrides.items()
    }
    mistakes = find_wrong_values(read, settings)
    if mistakes:
        raise InputError("; ".join(mistakes))


def _check_inside(key: str, train: Mapping[str, object]) -> None:
    """Refuse a key whose part after some # or :: is not in what the part before it names."""
    first, *parts = normal_key(key).split("#")
    value, path = train[first], first
    for place, part in enumerate(parts, start=1):
        inside = dict(enumerate(value)) if isinstance(value, list) else value if isinstance(value, dict) else {}
        known = {str(name): of for name, of in inside.items()}
        if part not in known:
            if "_target_" in known and place == len(parts):
                return
            raise InputError(f"unknown override --{key}: train.json has no {part} in {path}; {hint(part, known)}")
        value, path = known[part], f"{path}#{part}"
