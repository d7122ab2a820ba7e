"""Copies of `common` inside the bundles, which have to run without this repository."""

from __future__ import annotations

import ast
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

from common.errors import InputError
from common.files import replacing
from tools.command_line import as_verb

__all__ = ["differing_copies", "vendor"]

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[1]
COMMON = "common"


@as_verb()
def vendor(*, check: bool = False) -> dict[str, object]:
    """Renew ``bundles/<name>/<name>/common``: the files of `common` that the bundle imports, whole and unchanged.

    Parameters
    ----------
    check : bool
        Change nothing; fail, and name the copies that differ, are missing or are not needed.
    """
    expected, differing = _expected_copies(ROOT), differing_copies(ROOT)
    if check and differing:
        raise InputError(f"copies that differ from common/: {_names(differing)}; run python -m tools vendor")
    for path in differing:
        target = ROOT / path
        if path in expected:
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as partial:
                partial.write_bytes(expected[path])
        else:
            target.unlink()
        logger.info("%s %s", "renewed" if path in expected else "removed", path)
    return {"copies": len(expected), "renewed": _names(differing) or "none"}


def differing_copies(root: Path) -> list[Path]:
    """Copies that differ from their source, are missing, or are needed by nothing.

    Parameters
    ----------
    root : Path
        Repository, which holds bundles/ and common/.

    Returns
    -------
    list of Path
        Relative to ``root``, sorted.

    Raises
    ------
    InputError
        If a bundle imports something that common/ does not have.
    """
    expected = _expected_copies(root)
    found = {
        path.relative_to(root)
        for path in root.glob(f"bundles/*/*/{COMMON}/**/*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    return sorted(
        path
        for path in found | set(expected)
        if path not in found or path not in expected or (root / path).read_bytes() != expected[path]
    )


def _expected_copies(root: Path) -> dict[Path, bytes]:
    """Every copy that should be, relative to ``root`` -> what it should hold."""
    copies = {}
    for package in sorted(path.parent for path in root.glob("bundles/*/*/__init__.py")):
        for source in sorted(_closure(root, package)):
            copies[package.relative_to(root) / source] = (root / source).read_bytes()
    return copies


def _closure(root: Path, package: Path) -> set[Path]:
    """Files of common/, relative to ``root``, that a bundle's package and configs reach."""
    waiting = {file for name in _named_by_bundle(package) for file in _files(root, name, package)}
    reached: set[Path] = set()
    while waiting:
        source = waiting.pop()
        reached.add(source)
        module = _module(source)
        names = _imported(ast.parse((root / source).read_text(encoding="utf-8")), module, source.name == "__init__.py")
        needed = {file for name in names for file in _files(root, name, source)}
        waiting |= needed - reached
    return reached


def _named_by_bundle(package: Path) -> Iterator[str]:
    """Dotted names below common that the bundle's own modules import and its configs name."""
    bundle = package.parent
    prefix = f"{package.name}.{COMMON}."
    own = (path for path in package.rglob("*.py") if COMMON not in path.relative_to(package).parts)
    for path in sorted(own):
        module = ".".join((package.name, *path.relative_to(package).with_suffix("").parts))
        for name in _imported(ast.parse(path.read_text(encoding="utf-8")), module, path.name == "__init__.py"):
            if name.startswith(prefix):
                yield name.removeprefix(f"{package.name}.")
    for path in sorted(bundle.glob("configs/*.json")):
        for text in _strings(json.loads(path.read_text(encoding="utf-8"))):
            for match in re.finditer(rf"\b{re.escape(prefix)}[\w.]+", text):
                yield match[0].removeprefix(f"{package.name}.")


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _imported(tree: ast.Module, module: str, is_package: bool) -> Iterator[str]:
    """Absolute dotted names that a module imports; of ``from a import b`` both ``a.b`` and with it ``a``."""
    parents = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = parents[: len(parents) - node.level + 1] if node.level else []
            base = [*base, *(node.module or "").split(".")] if node.module else base
            yield from (".".join((*base, alias.name)) for alias in node.names)


def _files(root: Path, name: str, importer: Path) -> set[Path]:
    """Module that a dotted name lies in, and the packages above it; none for what is not below common."""
    parts = name.split(".")
    if parts[0] != COMMON:
        return set()
    files = set()
    for length in range(1, len(parts) + 1):
        folder = Path(*parts[:length])
        if (root / folder / "__init__.py").is_file():
            files.add(folder / "__init__.py")
        elif (root / folder.with_suffix(".py")).is_file():
            return files | {folder.with_suffix(".py")}
        elif length < len(parts):
            raise InputError(f"{importer}: imports {name}, which {COMMON}/ does not have; correct the name")
    return files


def _module(source: Path) -> str:
    parts = source.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _names(paths: list[Path]) -> str:
    return ", ".join(path.as_posix() for path in paths)
