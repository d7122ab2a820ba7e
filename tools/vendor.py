"""Copies of `common` inside the bundles, which have to run without this repository."""

import ast
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

from common.errors import InputError
from common.files import replacing
from tools.command_line import as_verb
from tools.imports import find_modules, imported_names, module_files

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
    """Copies that differ from their source, are missing, or are needed by nothing, relative to the repository; sorted.

    InputError if a bundle imports something that common/ does not have.
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
    named = {file for name in _named_by_bundle(package) for file in _files(root, name, package)}
    return {path.relative_to(root) for path in find_modules(named, root)}


def _named_by_bundle(package: Path) -> Iterator[str]:
    """Dotted names below common that the bundle's own modules import and its configs name."""
    bundle = package.parent
    prefix = f"{package.name}.{COMMON}."
    own = (path for path in package.rglob("*.py") if COMMON not in path.relative_to(package).parts)
    for path in sorted(own):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for name in imported_names(tree, path.relative_to(bundle).parts[:-1]):
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


def _files(root: Path, name: str, importer: Path) -> list[Path]:
    """Module that a dotted name lies in, and the packages above it."""
    parts = name.split(".")
    files: list[Path] = []
    for length in range(1, len(parts) + 1):
        found = module_files(".".join(parts[:length]), root)
        if not found and length < len(parts):
            raise InputError(f"{importer}: imports {name}, which {COMMON}/ does not have; correct the name")
        files += found
        if not found or found[0].name != "__init__.py":
            break
    return files


def _names(paths: list[Path]) -> str:
    return ", ".join(path.as_posix() for path in paths)
