"""The modules of ours that a module imports, found without running it."""

import ast
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

__all__ = ["find_modules", "imported_names", "module_files"]


def find_modules(roots: Iterable[Path], base: Path) -> list[Path]:
    """Modules in a folder, and whatever they import from it, directly or not, wherever the import stands; sorted.

    The ``__init__.py`` of every package on the way are among them. Absolute names of modules start from ``base``.
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
        for name in imported_names(ast.parse(path.read_text(encoding="utf-8")), package):
            waiting += module_files(name, base)
    return sorted(path for path in found if path.is_file())


def imported_names(tree: ast.AST, package: Sequence[str]) -> Iterator[str]:
    """Dotted names of what a module of a package imports; what is imported from a package may be a module of it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()  # one dot is the package itself
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def module_files(name: str, base: Path) -> list[Path]:
    """Where a module of ours lies; empty for one of others, and for what is no module."""
    place = base.joinpath(*name.split("."))
    return [path for path in (place.with_name(f"{place.name}.py"), place / "__init__.py") if path.is_file()]
