"""The modules of ours that some modules need, found by their imports without running them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tools.share.packages import imported_modules, package_of

__all__ = ["find_modules", "find_packages"]


def find_modules(roots: Iterable[Path], base: Path) -> list[Path]:
    """Modules, and whatever they import from the same folder, directly or not, wherever the import stands.

    Parameters
    ----------
    roots : iterable of Path
        Python files below ``base`` to start from.
    base : Path
        The folder that absolute names of modules start from.

    Returns
    -------
    list of Path
        Sorted; the ``__init__.py`` of every package on the way among them.
    """
    found: set[Path] = set()
    waiting = list(roots)
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        waiting += [folder / "__init__.py" for folder in path.parents if base in folder.parents]
        package = path.relative_to(base).parts[:-1]
        for name in _imported_names(ast.parse(path.read_text(encoding="utf-8")), package):
            waiting += _files(name, base)
    return sorted(path for path in found if path.is_file())


def find_packages(modules: Iterable[Path], base: Path) -> set[str]:
    """Packages of others that modules import, as pip normalizes their names."""
    own = {path.stem for path in base.iterdir()}
    names = {name for path in modules for name in imported_modules(ast.parse(path.read_text(encoding="utf-8")))}
    return {package_of(name) for name in names - own - sys.stdlib_module_names}


def _imported_names(tree: ast.AST, package: Sequence[str]) -> Iterator[str]:
    """Dotted names of what a module of a package imports; what is imported from a package may be a module of it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()  # one dot is the package itself
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _files(name: str, base: Path) -> list[Path]:
    """Where a module of ours lies; empty for one of others, and for what is no module."""
    place = base.joinpath(*name.split("."))
    return [path for path in (place.with_name(f"{place.name}.py"), place / "__init__.py") if path.is_file()]
