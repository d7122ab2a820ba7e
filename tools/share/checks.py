"""Checks of a bundle before it is given to others."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import jsonschema
import yaml

from common.errors import InputError
from tools.bundles import WEIGHTS, read_metadata
from tools.card.files import card_disagreements
from tools.lifeline import end_with_parent
from tools.share.packages import needed_packages
from tools.toolbox import KEY, parse_toolbox

__all__ = ["CHECKS", "Check", "check_bundle", "copy_shared", "is_shared", "run_module", "shared_files"]

LARGE_FILES = "large_files.yml"
MAX_FILE_BYTES = 25 * 2**20
LEFT_OUT = {"data", "output", "eval"}
EXPORTED = re.compile(r"\.onnx(\.data)?$")
REQUIRED = (
    *("schema", "version", "changelog", "monai_version", "pytorch_version", "numpy_version"),
    *("required_packages_version", "task", "description", "authors", "copyright", "network_data_format"),
)
DEPRECATED = "optional_packages_version"
LICENCES, UPSTREAM = ("code", "weights", "data"), "upstream"
SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*(?: (?:AND|OR|WITH) [A-Za-z0-9][A-Za-z0-9.+-]*)*")
ABSOLUTE_PATH = re.compile(
    r"(?<![\w.:/~@}])/(?:home|Users|root|mnt|media|data|scratch|workspace|tmp)/\S*|\b[A-Z]:\\\S*"
)
SCHEMA_TIMEOUT_S, SCHEMA_PLACE = 5, "https://github.com/Project-MONAI/"
MAX_REASON = 200  # characters of what a check raises


@dataclass(frozen=True)
class Check:
    """A name, and what is wrong: nothing, or one message each."""

    name: str
    problems: list[str]


def check_bundle(bundle: Path) -> list[Check]:
    """Check the folder of any bundle, by each of `CHECKS` in order; its network is built, so its code runs.

    Where the metadata cannot be read, there is no more than that one.
    """
    checks = []
    for name, find_problems in CHECKS.items():
        try:
            problems = find_problems(bundle)
        except Exception as error:  # a stranger's files may hold anything instead of anything
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:MAX_REASON]
            problems = [f"cannot be checked ({reason}); write the bundle's files as its neighbours'"]
        checks.append(Check(name, problems))
        if name == "metadata" and checks[-1].problems:
            break
    return checks


def is_shared(path: Path, bundle: Path) -> bool:
    """Whether a file belongs into an archive: not hidden, not a cache, not what runs or exports leave in the bundle.

    Graphs are left out, since ``export onnx`` makes them from the weights and times them where they will run.
    """
    parts = path.relative_to(bundle).parts
    return (
        path.is_file()
        and not any(part.startswith(".") or part == "__pycache__" for part in parts)
        and (parts[0] not in LEFT_OUT)
        and not (parts[0] == "models" and EXPORTED.search(path.name))
    )


def shared_files(bundle: Path) -> list[Path]:
    """All files of a bundle that `is_shared`, in order."""
    return sorted(path for path in bundle.rglob("*") if is_shared(path, bundle))


def copy_shared(bundle: Path, target: Path, *, without: Path | None = None) -> None:
    """Copy the `shared_files` of a bundle, perhaps without one, to another folder."""
    for file in shared_files(bundle):
        if file != without:
            copy = target / file.relative_to(bundle)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)


def run_module(module: str, *words: str) -> str:
    """What a module of ours fails of, in a process of its own, since bundles have packages of the same names."""
    done = subprocess.run(
        [sys.executable, "-m", module, *words],
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
        preexec_fn=end_with_parent if sys.platform == "linux" else None,
    )
    last = (done.stderr.strip().splitlines() or ["the process ended without a word"])[-1]
    return " ".join(last.split()) if done.returncode else ""


def _metadata_problems(bundle: Path) -> list[str]:
    try:
        metadata = read_metadata(bundle)
        _optional_packages(metadata)
    except InputError as error:
        return [str(error)]
    if DEPRECATED in metadata:
        return [f"{DEPRECATED}: MONAI reads it in the place of required_packages_version; see {KEY}: optional_packages"]
    missing = [key for key in REQUIRED if key not in metadata]
    return [f"lacks {', '.join(missing)}"] if missing else _schema_problems(metadata)


def _schema_problems(metadata: dict[str, Any]) -> list[str]:
    """What the schema objects to; without a network the required keys have to do."""
    if not str(metadata["schema"]).startswith(SCHEMA_PLACE):  # no address of a stranger's is asked, nor file opened
        return [f"schema is {str(metadata['schema'])[:100]!r}, expected MONAI's, below {SCHEMA_PLACE}"]
    try:
        with urlopen(str(metadata["schema"]), timeout=SCHEMA_TIMEOUT_S) as answer:
            schema = json.load(answer)
    except (URLError, ValueError, OSError):
        return []
    errors = jsonschema.validators.validator_for(schema)(schema).iter_errors(metadata)
    return [f"{'/'.join(map(str, error.absolute_path)) or 'top level'}: {error.message}" for error in errors]


def _version_problems(bundle: Path) -> list[str]:
    metadata = read_metadata(bundle)
    version, changelog = metadata["version"], metadata["changelog"]
    return (
        [] if version in changelog else [f"version {version} is not in the changelog, which has {', '.join(changelog)}"]
    )


def _config_problems(bundle: Path) -> list[str]:
    problems = []
    for path in sorted((bundle / "configs").glob("*.json")):
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            problems.append(f"{path.name}: {error}")
    if not any(
        (bundle / "configs" / f"{name}.{ending}").is_file()
        for name in ("train", "inference")
        for ending in ("json", "yaml", "yml")
    ):
        problems.append("neither train nor inference config in configs/")
    return problems


def _weights_problems(bundle: Path) -> list[str]:
    if not (bundle / WEIGHTS).is_file():
        return [] if WEIGHTS in _large_files(bundle) else [f"no {WEIGHTS}, and {LARGE_FILES} does not name it"]
    failed = run_module("tools.share.export", str(bundle))
    return [failed] if failed else []


def _large_files(bundle: Path) -> list[str]:
    path = bundle / LARGE_FILES
    if not path.is_file():
        return []
    return [
        entry.get("path", "")
        for entry in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("large_files", [])
    ]


def _licence_problems(bundle: Path) -> list[str]:
    problems = [f"no {name}" for name in ("LICENSE", "docs/data_license.txt") if not (bundle / name).is_file()]
    return problems + [f"metadata: licences {problem}" for problem in _told(read_metadata(bundle).get("licences"))]


def _told(licences: object) -> list[str]:
    """What keeps a program from finding the licences of code, weights, data and upstream models, if any."""
    licences = licences if isinstance(licences, dict) else {}
    missing = [kind for kind in LICENCES if not licences.get(kind)]
    problems = [f"lacks {', '.join(missing)}"] if missing else []
    unknown = [kind for kind in licences if kind not in (*LICENCES, UPSTREAM)]
    if unknown:
        problems.append(f"has {', '.join(unknown)}; known: {', '.join((*LICENCES, UPSTREAM))}")
    upstream = licences.get(UPSTREAM, {})
    if not isinstance(upstream, dict) or (UPSTREAM in licences and not upstream):
        problems.append(f"{UPSTREAM} is {upstream!r}, expected model -> licence; leave it out where there is no model")
        upstream = {}
    words = {kind: licences[kind] for kind in LICENCES if licences.get(kind)}
    words |= {f"{UPSTREAM} {model}": word for model, word in upstream.items()}
    for kind, word in words.items():
        if not (isinstance(word, str) and SPDX.fullmatch(word)):
            problems.append(f"{kind}: {word!r} is no SPDX identifier, such as CC-BY-4.0")
    return problems


def _package_problems(bundle: Path) -> list[str]:
    """What a lone copy would miss, where nothing is installed but MONAI and what the metadata list."""
    metadata = read_metadata(bundle)
    named = {**metadata["required_packages_version"], **_optional_packages(metadata)}
    listed = {name.lower().replace("_", "-") for name in named}
    try:
        needed = needed_packages(bundle)
    except (SyntaxError, ValueError) as error:
        return [f"code or configs cannot be read: {error}"]
    return [
        f"{where} needs {package}, which required_packages_version lacks"
        for package, where in needed.items()
        if package not in listed
    ]


def _optional_packages(metadata: Mapping[str, object]) -> Mapping[str, str]:
    """Those of the section toolbox, which bundles of others may lack."""
    return parse_toolbox(metadata[KEY]).optional_packages if KEY in metadata else {}


def _card_problems(bundle: Path) -> list[str]:
    if not (bundle / "docs/README.md").is_file():
        return ["no docs/README.md"]
    return card_disagreements(bundle) if "eval_metrics" in read_metadata(bundle) else ["metadata: no eval_metrics"]


def _path_problems(bundle: Path) -> list[str]:
    problems = []
    for path in shared_files(bundle):
        if path.suffix in (".json", ".yaml", ".yml", ".md", ".txt", ".py", ".conf"):
            found = ABSOLUTE_PATH.search(path.read_text(encoding="utf-8", errors="replace"))
            if found:
                problems.append(f"{path.relative_to(bundle)}: {found[0]} exists on one machine only")
    return problems


def _size_problems(bundle: Path) -> list[str]:
    large = [path for path in shared_files(bundle) if path.stat().st_size > MAX_FILE_BYTES]
    return [f"{path.relative_to(bundle)} has {path.stat().st_size} bytes; move it to {LARGE_FILES}" for path in large]


CHECKS: dict[str, Callable[[Path], list[str]]] = {
    "metadata": _metadata_problems,
    "version": _version_problems,
    "configs": _config_problems,
    "weights": _weights_problems,
    "packages": _package_problems,
    "licences": _licence_problems,
    "model card": _card_problems,
    "paths": _path_problems,
    "file sizes": _size_problems,
}
