"""JSON objects as arguments of dataclasses, checked by name and kind."""

import difflib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, get_origin, get_type_hints

from common.errors import InputError

__all__ = ["read_fields", "read_mapping"]


def read_fields(content: object, kind: type, place: str) -> dict[str, Any]:
    """Arguments of a dataclass, out of a JSON object that lies at ``place``.

    Fields of ``str``, ``bool``, ``tuple[str, ...]`` and ``Mapping`` are checked, others taken as they are. InputError
    if a key is unknown, missing or of another kind.
    """
    values, known = read_mapping(content, place), {item.name: item for item in fields(kind)}
    for name in values:
        if name not in known:
            closest = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {closest[0]!r}?" if closest else f"known are {', '.join(known)}"
            raise InputError(f"{place}: unknown key {name!r}; {hint}")
    required = [name for name, item in known.items() if item.default is MISSING and item.default_factory is MISSING]
    missing = [name for name in required if name not in values]
    if missing:
        raise InputError(f"{place}: lacks {', '.join(missing)}")
    kinds = get_type_hints(kind)
    return {name: _checked(value, kinds[name], f"{place}: {name}") for name, value in values.items()}


def _checked(value: object, kind: object, place: str) -> object:
    """A value of one of the kinds that the dataclasses are made of."""
    if kind is str and not (isinstance(value, str) and value):
        raise InputError(f"{place} is {value!r}, expected text")
    if kind is bool and not isinstance(value, bool):
        raise InputError(f"{place} is {value!r}, expected true or false")
    if get_origin(kind) is Mapping:
        return read_mapping(value, place)
    if kind == tuple[str, ...]:
        if not (isinstance(value, list) and all(isinstance(word, str) for word in value)):
            raise InputError(f"{place} is {value!r}, expected a list of words")
        return tuple(value)
    return value


def read_mapping(value: object, place: str) -> dict[str, Any]:
    """A value that has to be a JSON object; InputError, which begins with its place, if it is none."""
    if not isinstance(value, dict):
        raise InputError(f"{place} is {value!r}, expected an object")
    return value
