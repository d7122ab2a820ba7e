"""Which key of a bundle's train.json is compared, and which values of it."""

from dataclasses import dataclass
from pathlib import Path

from common.errors import InputError
from common.json_file import read_json
from tools.bundles import METADATA, all_bundles, read_metadata
from tools.runs.overrides import OWN_KEYS, choose, hint
from tools.toolbox import KEY, read_toolbox

__all__ = ["Knob", "choose_knob", "split_values"]

BRACKETS = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True)
class Knob:
    """A key of train.json and the values to compare, as they are typed after ``--name``.

    ``of_metadata`` says whether it is the one that the metadata name under ``networks``.
    """

    name: str
    values: tuple[str, ...]
    of_metadata: bool


def choose_knob(bundle: Path, *, networks: str = "", knob: str = "") -> Knob:
    """What the options --networks and --knob ask for.

    ``networks`` are some of the metadata's choices, separated by commas, all of them if it is empty; ``knob`` is
    ``KEY=a,b,c`` with any top-level key of train.json, or only the key that the metadata name, for all its choices.
    InputError if both are given, the key cannot be compared, or a value is missing or not among the metadata's choices.
    """
    if knob and networks:
        raise InputError(f"--knob {knob} and --networks {networks} exclude each other; give one of them")
    offered = _read_networks(bundle)
    if not knob:
        if offered is None:
            raise InputError(_no_networks(bundle))
        return Knob(offered[0], choose(f"networks {networks}", networks, offered[1]), True)
    name, has_values, text = (part.strip() for part in knob.partition("="))
    _check_key(name, bundle)
    if offered is None or name != offered[0]:
        values = split_values(f"--knob {knob}", text)
        if not values:
            which = f"only {offered[0]}, which {METADATA} names," if offered else "only a key that the metadata name"
            raise InputError(f"--knob {knob}: no values; give --knob {name}=A,B ({which} has values of its own)")
        return Knob(name, values, False)
    if has_values and not text:
        raise InputError(f"--knob {knob}: no values; there are {', '.join(offered[1])}")
    return Knob(name, choose(f"knob {knob}", text, offered[1]), True)


def split_values(given: str, text: str) -> tuple[str, ...]:
    """Values between commas, each once, except commas within brackets: ``[1,2],none`` are two.

    ``given`` is the option as it was given, for the message about brackets that do not match.
    """
    parts, opened = [""], []
    for character in text:
        if character in BRACKETS.values():
            opened.append(character)
        elif character in BRACKETS and (not opened or opened.pop() != BRACKETS[character]):
            raise InputError(f"{given}: {character} closes nothing; separate values by commas, lists in brackets")
        if character == "," and not opened:
            parts.append("")
        else:
            parts[-1] += character
    if opened:
        raise InputError(f"{given}: {opened[-1]} is not closed; separate values by commas, lists in brackets")
    return tuple(dict.fromkeys(word for word in (part.strip() for part in parts) if word))


def _read_networks(bundle: Path) -> tuple[str, tuple[str, ...]] | None:
    """The key of train.json that chooses the network, and its choices; None if the metadata name no networks."""
    networks = read_toolbox(bundle).networks
    if networks is None:
        return None
    if networks.knob not in read_json(bundle / "configs/train.json"):
        raise InputError(
            f"{bundle / METADATA}: networks has the knob {networks.knob!r}, which is no key of train.json; correct one "
            "of them"
        )
    return networks.knob, networks.choices


def _check_key(name: str, bundle: Path) -> None:
    """Refuse a key that train.json does not have, or that is set for each run."""
    path = bundle / "configs/train.json"
    if name in OWN_KEYS or name in ("dataset_dir", "output_dir"):
        raise InputError(f"--knob {name}: compare sets it for each run; {OWN_KEYS.get(name) or 'give another key'}")
    train = read_json(path)
    if name not in train:
        raise InputError(f"--knob {name}: no key at the top of {path}; {hint(name, sorted(train))}")


def _no_networks(bundle: Path) -> str:
    others = [other.name for other in all_bundles() if "networks" in read_metadata(other).get(KEY, {})]
    return (
        f"{bundle / METADATA}: no key 'networks' under {KEY}, so {bundle.name} has one network only; bundles that "
        f"offer several: {', '.join(others) or 'none'}; to compare another key of train.json, give --knob KEY=A,B"
    )
