"""Which packages a bundle needs besides MONAI's own, found in its code and configs without running them."""

import ast
import json
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

__all__ = ["BASE", "imported_modules", "needed_packages", "normal_name", "package_of"]

BASE = {"monai", "torch", "numpy"}
# what code and configs do not import themselves -> the package that it takes
NAMED = {
    '"run"': "fire",  # python -m monai.bundle run
    "SupervisedTrainer|SupervisedEvaluator": "pytorch-ignite",
    "ignite.handlers.ProgressBar": "tqdm",
    "TensorBoardStatsHandler": "tensorboard",
    'LoadImaged?"|"nibabel"': "nibabel",
    r'"mode": [2-9]': "scipy",  # splines
    r"\bUNETR\b": "einops",
    "segment_anything": "torchvision",  # which its wheel does not ask for
    "import tifffile": "imagecodecs",  # for compressed files, which tifffile does not ask for either
}
IMPORT = re.compile(r"^\$\s*(?:import|from)\s+(\w+)")


def needed_packages(bundle: Path) -> dict[str, str]:
    """Packages that a bundle's code imports and its configs name, but those of MONAI itself, and where each is needed.

    Names are as pip normalizes them; a module of no installed package stands for itself. SyntaxError if a module is not
    valid Python.
    """
    own = {path.stem if path.is_file() else path.name for path in bundle.iterdir()} | {bundle.resolve().name}
    needed: dict[str, str] = {}
    for path in sorted([*bundle.rglob("*.py"), *(bundle / "configs").glob("*.json")]):
        text = path.read_text(encoding="utf-8")
        modules = set(imported_modules(ast.parse(text)) if path.suffix == ".py" else _named(json.loads(text)))
        found = {package_of(module) for module in modules - own - sys.stdlib_module_names}
        if path.name != "metadata.json":
            found |= {package for pattern, package in NAMED.items() if re.search(pattern, text)}
        for package in found - BASE:
            needed.setdefault(package, str(path.relative_to(bundle)))
    return dict(sorted(needed.items()))


@cache
def _installed() -> Mapping[str, list[str]]:
    """Module -> packages that bring it; all that is installed is read for it, which takes a second."""
    return packages_distributions()


def package_of(module: str) -> str:
    """The package that brings a top-level module, as pip normalizes it; the module's name where none is installed."""
    return normal_name(_installed().get(module, [module])[0])


def normal_name(name: str) -> str:
    """The name of a package as pip compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imported_modules(tree: ast.AST) -> Iterator[str]:
    """First names of absolute imports, wherever they stand in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _named(config: object) -> Iterator[str]:
    """First names of modules in ``_target_`` and in imports of a config."""
    if isinstance(config, dict):
        target = config.get("_target_")
        if isinstance(target, str) and "." in target and target[0].isalpha():
            yield target.partition(".")[0]
    elif isinstance(config, str) and (found := IMPORT.match(config)):
        yield found[1]
    values = config.values() if isinstance(config, dict) else config if isinstance(config, list) else ()
    for value in values:
        yield from _named(value)
