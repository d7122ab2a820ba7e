"""The search space: which keys of a bundle's train.json are varied, and between which values."""

import difflib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, Trial

from common.errors import InputError
from common.json_file import read_json
from tools.runs.overrides import OWN_KEYS
from tools.runs.words import normal_key, top_key

__all__ = ["Space", "all_keys", "check_fixed", "read_space", "suggest", "values_of"]

Space = dict[str, FloatDistribution | IntDistribution | CategoricalDistribution]
FIELDS = {"float": ("low", "high", "step", "log"), "int": ("low", "high", "step", "log"), "categorical": ("choices",)}
SET_BY_TRIAL = {*OWN_KEYS, "dataset_dir", "output_dir"}
OPEN_WORDS = ("none", "auto")  # defaults in whose place a number may stand
EXPRESSIONS = ("$", "@", "%")


def read_space(path: Path, train: Mapping[str, Any]) -> Space:
    """The search space in a JSON file, every key of it checked against train.json.

    ``{"learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": true}, ...}``; ``type`` is ``float`` or
    ``int`` with ``low``, ``high`` and perhaps ``step`` or ``log``, or ``categorical`` with ``choices``. A key inside
    another is reached by ``#`` or ``::``; the result has ``#``. The choices of a categorical one are JSON texts, since
    a storage keeps no lists. InputError if the file is no such space, a key is unknown, or its values cannot be of that
    type.
    """
    content = _read(path)
    known = all_keys(train)
    space: Space = {}
    for given, wanted in content.items():
        key = normal_key(given)
        where = f"{path}: {given}"
        _check_key(key, known, where)
        if key in space:
            raise InputError(f"{where}: given twice, with # and with ::; keep one of them")
        space[key] = _distribution(wanted, where)
        _check_type(space[key], known[key], where)
    for key in space:
        inner = _inside(key, space)
        if inner:
            raise InputError(f"{path}: {inner[0]} lies inside {key}; vary one of them")
    return space


def all_keys(config: Any, parent: str = "") -> dict[str, Any]:
    """Every key of a config, those inside others too, as ``train#dataloader#batch_size`` -> value."""
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(config, Mapping):
        items = config.items()
    elif isinstance(config, list):
        items = enumerate(config)
    found: dict[str, Any] = {}
    for name, value in items:
        key = f"{parent}#{name}" if parent else str(name)
        found |= {key: value, **all_keys(value, key)}
    return found


def check_fixed(space: Iterable[str], overrides: Iterable[str]) -> None:
    """Refuse an override that is, contains, or lies inside a key of the space."""
    keys = list(space)
    for given in overrides:
        override = normal_key(given)
        touched = [key for key in keys if key == override or _inside(override, [key]) or _inside(key, [override])]
        if touched:
            raise InputError(f"--{given}: the search space varies {touched[0]}; take it out of one of them")


def suggest(trial: Trial, space: Space) -> dict[str, Any]:
    """Values for a new trial, as they stand in a config file."""
    for key, of in space.items():
        if isinstance(of, CategoricalDistribution):
            trial.suggest_categorical(key, of.choices)
        elif isinstance(of, IntDistribution):
            trial.suggest_int(key, of.low, of.high, step=of.step, log=of.log)
        else:
            trial.suggest_float(key, of.low, of.high, step=of.step, log=of.log)
    return values_of(trial)


def values_of(trial: Trial | FrozenTrial) -> dict[str, Any]:
    """Values of a trial, as they stand in a config file."""
    return {
        key: json.loads(value) if isinstance(trial.distributions[key], CategoricalDistribution) else value
        for key, value in trial.params.items()
    }


def _read(path: Path) -> dict[str, Any]:
    content = read_json(path, "write the search space into it, as the help of tune shows")
    if not content:
        raise InputError(f'{path}: expected {{"KEY OF train.json": {{"type": ...}}, ...}} with one key at least')
    return content


def _check_key(key: str, known: Mapping[str, Any], where: str) -> None:
    if top_key(key) in SET_BY_TRIAL:
        raise InputError(f"{where}: tune sets it for each trial; take it out")
    if key not in known:
        close = difflib.get_close_matches(key, known, n=3)
        close += [name for name in known if name.rpartition("#")[2] == key.rpartition("#")[2]][: 3 - len(close)]
        hint = f"did you mean {' or '.join(dict.fromkeys(close))}?" if close else f"at its top are {_top(known)}"
        raise InputError(f"{where}: no key of train.json; {hint}")


def _top(known: Iterable[str]) -> str:
    return ", ".join(sorted(key for key in known if "#" not in key))


def _inside(key: str, others: Iterable[str]) -> list[str]:
    return [other for other in others if other.startswith(f"{key}#")]


def _distribution(wanted: Any, where: str) -> FloatDistribution | IntDistribution | CategoricalDistribution:
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind not in FIELDS:
        raise InputError(f'{where}: {json.dumps(wanted)}, expected {{"type": one of {", ".join(FIELDS)}, ...}}')
    unknown = [field for field in wanted if field not in ("type", *FIELDS[kind])]
    if unknown:
        raise InputError(f"{where}: unknown field {unknown[0]!r}; {kind} takes {', '.join(FIELDS[kind])}")
    if kind == "categorical":
        return CategoricalDistribution(_choices(wanted.get("choices"), where))
    low, high = (_number(wanted.get(field), field, kind, where) for field in ("low", "high"))
    step = None if wanted.get("step") is None else _number(wanted["step"], "step", kind, where)
    log = wanted.get("log", False)
    if not isinstance(log, bool):
        raise InputError(f"{where}: log is {json.dumps(log)}, expected true or false")
    if not low < high:
        raise InputError(f"{where}: low is {low} and high {high}; low has to be smaller")
    if log and low <= 0:
        raise InputError(f"{where}: low is {low}, but a logarithm needs it above 0")
    if log and step is not None:
        raise InputError(f"{where}: log and step exclude each other; keep one of them")
    if step is not None and not 0 < step <= high - low:
        raise InputError(f"{where}: step is {step}, expected more than 0 and at most high - low, {high - low}")
    if kind == "int":
        return IntDistribution(low, high, log=log, step=step or 1)
    return FloatDistribution(low, high, log=log, step=step)


def _number(value: Any, field: str, kind: str, where: str) -> Any:
    allowed, name = ((int,), "a whole number") if kind == "int" else ((int, float), "a number")
    if not isinstance(value, allowed) or isinstance(value, bool) or not math.isfinite(value):
        found = "missing" if value is None else json.dumps(value)
        raise InputError(f"{where}: {field} is {found}, expected {name}")
    return value


def _choices(choices: Any, where: str) -> list[str]:
    if not isinstance(choices, list) or len(choices) < 2:
        raise InputError(f"{where}: choices is {json.dumps(choices)}, expected a list of two values or more")
    texts = [json.dumps(choice) for choice in choices]
    if len(set(texts)) < len(texts):
        raise InputError(f"{where}: choices holds {max(texts, key=texts.count)} twice; keep one of them")
    return texts


def _check_type(distribution: object, default: Any, where: str) -> None:
    """Refuse values that cannot stand instead of train.json's own; expressions and null may become anything."""
    now = f"{where}: train.json has {json.dumps(default)}"
    choices = [json.loads(text) for text in getattr(distribution, "choices", ())]
    if choices:
        wrong = [c for c in choices if not isinstance(c, bool) and not str(c).startswith(EXPRESSIONS)]
        if isinstance(default, bool) and wrong:
            raise InputError(f"{now}, the choice {json.dumps(wrong[0])} is no switch; give true and false")
    elif isinstance(default, (bool, list, dict)) or _is_word(default):
        raise InputError(f"{now}, a number cannot replace that; give type categorical and choices")
    elif isinstance(default, int) and isinstance(distribution, FloatDistribution):
        raise InputError(f"{now}, a whole number; give type int, or categorical and choices")


def _is_word(default: Any) -> bool:
    return isinstance(default, str) and not default.startswith(EXPRESSIONS) and default not in OPEN_WORDS
