"""What every verb of the command line shares: finding it, its help, its errors, its arguments."""

import difflib
import functools
import inspect
import itertools
import logging
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import fire
from fire.decorators import SetParseFns

from common.errors import InputError, find_input_error

__all__ = ["OrAlone", "as_table", "as_verb", "at_least", "listed", "needed", "positive", "reject", "run"]

EXPECTED_ERRORS = (FileNotFoundError, NotADirectoryError, IsADirectoryError, FileExistsError)


def reject(unknown: Mapping[str, object], command: Callable, extra: Sequence[object] = ()) -> None:
    """Refuse flags and arguments that a command does not know, before it does anything; the closest flag is named.

    Fire would run the command first and complain about a mistyped flag afterwards, so a command takes ``*extra`` and
    ``**unknown`` and hands them over in its first line.
    """
    if extra:
        raise InputError(f"too many arguments: {' '.join(map(str, extra))}; options need a name, --name VALUE")
    flags = [name for name, parameter in _parameters(command).items() if parameter.kind is parameter.KEYWORD_ONLY]
    for name in unknown:
        closest = difflib.get_close_matches(name, flags, n=1)
        hint = f"did you mean --{closest[0]}? " if closest else ""
        raise InputError(f"unknown flag --{name}; {hint}known: {' '.join(f'--{flag}' for flag in flags) or 'none'}")


def as_verb(**readers: Callable[[Any], object]) -> Callable[[Callable], Callable]:
    """Turn a typed function into a verb of the command line, where arguments are text.

    Unknown flags and superfluous arguments are refused before the function does anything, unless it takes further
    ones itself (``*names``, ``**overrides``); those are handed on. From Python it is called as it is written.

    Parameters
    ----------
    **readers
        Parameter -> function that reads its text, and raises ValueError for what it cannot read. It is called with
        None for a parameter that has no default and is not given. Parameters without one stay text; those that are
        False or True are switches.
    """

    def decorate(function: Callable) -> Callable:
        parameters, positional = _parameters(function), list(_positionals(function))
        further: dict[Any, inspect.Parameter] = {
            of.kind: of for of in parameters.values() if of.kind in (of.VAR_POSITIONAL, of.VAR_KEYWORD)
        }
        own = {name: of for name, of in parameters.items() if of.kind not in further}
        extra = inspect.Parameter("extra", inspect.Parameter.VAR_POSITIONAL)
        unknown = inspect.Parameter("unknown", inspect.Parameter.VAR_KEYWORD)

        @functools.wraps(function)
        def call(*arguments: object, **options: object) -> object:
            more, others = arguments[len(positional) :], {key: of for key, of in options.items() if key not in own}
            reject({} if unknown.kind in further else others, call, () if extra.kind in further else more)
            given = dict(zip(positional, arguments, strict=False)) | options
            values = {name: _read(of, given.get(name, of.default), readers.get(name)) for name, of in own.items()}
            return function(*(values.pop(name) for name in positional), *more, **values, **others)

        call.stand_alone = {  # type: ignore[attr-defined]
            name for name, reader in readers.items() if isinstance(reader, OrAlone)
        }
        texts = {name: _as_text(parameter) for name, parameter in own.items()}
        extra, unknown = further.get(extra.kind, extra), further.get(unknown.kind, unknown)
        options = [texts[name] for name in own if name not in positional]
        call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # what Fire and our help look at
            [*(texts[name] for name in positional), extra, *options, unknown]
        )
        return SetParseFns(**{name: str for name, text in texts.items() if not isinstance(text.default, bool)})(call)

    return decorate


def at_least(minimum: int) -> Callable[[str], int]:
    """Function that reads a whole number."""

    def read(text: str) -> int:
        number = int(text) if text.strip().lstrip("+-").isdecimal() else None
        if number is None or number < minimum:
            raise ValueError(f"expected a whole number, at least {minimum}")
        return number

    return read


def positive(text: str) -> float:
    """A finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError("expected a number above 0")
    return number


def needed(advice: str) -> Callable[[str | None], Path]:
    """Function that reads a path that has to be given by name; ``advice`` says what to give."""

    def read(text: str | None) -> Path:
        if not text:
            raise ValueError(f"missing; {advice}")
        return Path(text)

    return read


class OrAlone:
    """Reads an option that may also stand without a value, and then means ``alone``; else ``read`` reads it."""

    def __init__(self, alone: object, read: Callable[[str], object]) -> None:
        self.alone, self.read = alone, read

    def __call__(self, text: str) -> object:
        return self.alone if text == "True" else self.read(text)  # which Fire makes of it


def listed(text: str) -> list[str]:
    """Words that are separated by commas."""
    return [word for word in (part.strip() for part in text.split(",")) if word]


def as_table(result: object) -> str:
    """Lines to print: a mapping as two aligned columns, anything else as it is, None as nothing."""
    if not isinstance(result, Mapping):
        return "" if result is None else str(result)
    width = max(map(len, result), default=0)
    return "\n".join(f"{key:<{width}}  {value}" for key, value in result.items())


def run(verbs: Mapping[str, tuple[str, str]], arguments: Sequence[str]) -> int:
    """Run the verb that a command line after ``python -m tools`` names; only then is its module imported.

    ``verbs`` maps a verb, such as ``"convert ctc"``, to where its function is, ``"package.module:function"``, and one
    line about it. The exit code is 0; 1 for bad input, with one line on stderr; 130 if interrupted.
    """
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.INFO, stream=sys.stderr)
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # tools/convert/tiff.py refuses what it would warn of
    wants_help = any(argument in ("-h", "--help") for argument in arguments)
    words = [argument for argument in arguments if argument not in ("-h", "--help", "--")] if wants_help else arguments
    try:
        verb = _find_verb(verbs, words)
        if verb is None:
            print(_list_verbs(verbs, " ".join(words)))
        elif wants_help:
            print(_help(verb, _load(verbs[verb][0]), words[len(verb.split()) :]), flush=True)
        else:
            command, rest = _load(verbs[verb][0]), list(words[len(verb.split()) :])
            _check_given(verb, command, rest)
            fire.Fire(command, command=rest, name=f"python -m tools {verb}", serialize=as_table)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        known = find_input_error(error)
        if known is None and not isinstance(error, EXPECTED_ERRORS):
            raise
        print("error:", " ".join(str(known or _plain(error)).split()), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def _find_verb(verbs: Mapping[str, tuple[str, str]], words: Sequence[str]) -> str | None:
    """The verb that the words start with; None where they are the beginning of several."""
    groups = {verb.split()[0] for verb in verbs if " " in verb}
    if not words or (len(words) == 1 and words[0] in groups):
        return None
    for length in (2, 1):
        if " ".join(words[:length]) in verbs:
            return " ".join(words[:length])
    candidate = " ".join(words[: 2 if words[0] in groups else 1])
    closest = difflib.get_close_matches(candidate, verbs, n=1)
    hint = f"did you mean {closest[0]!r}? " if closest else ""
    raise InputError(f"unknown verb {candidate!r}; {hint}python -m tools lists all verbs")


def _plain(error: Exception) -> str:
    """What is wrong with which file, without the number that the operating system gives it."""
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    return f"{error.filename2 or error.filename}: {error.strerror}; check the path, or give another"


def _check_given(verb: str, command: Callable, words: Sequence[str]) -> None:
    """Refuse a command line that lacks a positional argument or the value of an option, or gives an option twice.

    Fire would answer the first with a page about its own insides, take the second for True, and the last of the third.
    """
    named, num_given, after_flag = set(), 0, False
    valued = {name for name, parameter in _parameters(command).items() if not isinstance(parameter.default, bool)}
    valued -= getattr(command, "stand_alone", set())
    for word, following in itertools.pairwise([*words, "--"]):
        is_flag = word.startswith("--")
        if word.startswith("-") and os.path.lexists(word):
            raise InputError(f"{word}: begins as an option does; give this file as ./{word}")
        if is_flag:
            name = word[2:].split("=")[0].replace("-", "_")
            if name in valued and "=" not in word and following.startswith("--"):
                raise InputError(f"--{name}: no value; give --{name} VALUE")
            if name in named:
                raise InputError(f"--{name}: given twice; give it once")
            named.add(name)
        elif not after_flag:
            num_given += 1
        after_flag = is_flag and "=" not in word
    required = [name for name, parameter in _positionals(command).items() if parameter.default is parameter.empty]
    missing = [name for name in required if name not in named][num_given:]
    if missing:
        raise InputError(f"{' and '.join(missing).upper()} missing; {_usage(verb, command)}")


def _list_verbs(verbs: Mapping[str, tuple[str, str]], group: str) -> str:
    """One line per verb of the group, of all verbs if it is empty."""
    lines = {verb: line for verb, (_, line) in verbs.items() if f"{verb} ".startswith(f"{group} " if group else "")}
    return f"usage: python -m tools VERB ...   (--help after a verb says more)\n\n{as_table(lines)}"


def _help(verb: str, command: Callable, words: Sequence[str]) -> str:
    """Usage line and docstring of a verb, and what it says itself about the words that stand after it."""
    about = getattr(command, "help_of", lambda words: "")(words)
    return "\n\n".join([_usage(verb, command), inspect.getdoc(command) or "", *([about] if about else [])])


def _usage(verb: str, command: Callable) -> str:
    """One line: the verb, its arguments, its options with their defaults."""
    options = [
        f"[--{name} {parameter.default!r}]" if parameter.default is not None else f"--{name} VALUE"
        for name, parameter in _parameters(command).items()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]
    further = [
        f"[{name.upper()} ...]"
        for name, parameter in _parameters(command).items()
        if parameter.kind is parameter.VAR_POSITIONAL and name != "extra"
    ]
    return f"usage: python -m tools {' '.join([verb, *map(str.upper, _positionals(command)), *further, *options])}"


def _read(parameter: inspect.Parameter, value: Any, reader: Callable[[Any], object] | None) -> object:
    """A value as the function takes it."""
    default = parameter.default
    if isinstance(default, bool) and not isinstance(value, bool):
        raise InputError(f"--{parameter.name} {value}: expected no value, True or False")
    if default is parameter.empty and value in (None, default):
        value = None
    elif value == "" and default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
        raise InputError(f"{parameter.name.upper()} is empty; give one, and check the variable that it is written with")
    elif not isinstance(value, str):
        return value
    elif not value and not isinstance(default, str) and default is not parameter.empty:
        return default
    return _told(parameter.name, reader, value) if reader else value


def _told(flag: str, reader: Callable[[Any], Any], value: Any) -> Any:
    """What a reader makes of a flag's value; its ValueError as one that names the flag."""
    try:
        return reader(value)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"--{flag} {f'{value}: ' if value else ''}{error}") from error


def _as_text(parameter: inspect.Parameter) -> inspect.Parameter:
    """A parameter as it is on the command line, where nothing is required by name, and what is no number is text."""
    if parameter.default is parameter.empty:
        return parameter.replace(default=None) if parameter.kind is parameter.KEYWORD_ONLY else parameter
    if isinstance(parameter.default, (str, bool, int, float)):
        return parameter
    return parameter.replace(default=str(parameter.default) if isinstance(parameter.default, Path) else "")


def _load(target: str) -> Callable:
    """The function behind ``"package.module:function"``."""
    module, function = target.split(":")
    return getattr(import_module(module), function)


def _positionals(command: Callable) -> dict[str, inspect.Parameter]:
    return {name: p for name, p in _parameters(command).items() if p.kind is p.POSITIONAL_OR_KEYWORD}


def _parameters(command: Callable) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(command).parameters
