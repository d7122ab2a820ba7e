"""Hides all packages but those that a bundle lists, MONAI, and what these require: put this folder on PYTHONPATH."""

import os
import re
import sys
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, packages_distributions, requires


def closure(names: list[str]) -> set[str]:
    """Packages, normalized, and what they require without any extra."""
    found: set[str] = set()
    while names:
        name = re.sub(r"[-_.]+", "-", names.pop()).lower()
        if name not in found:
            found.add(name)
            try:
                needed = [entry for entry in requires(name) or [] if "extra ==" not in entry]
            except PackageNotFoundError:
                needed = []  # of another platform
            names += [re.match(r"[\w.-]+", entry)[0] for entry in needed]
    return found


class OnlyListed(PathFinder):
    """Finds no modules of other packages."""

    hidden: frozenset[str] = frozenset()

    @classmethod
    def find_spec(cls, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return None if fullname.partition(".")[0] in cls.hidden else super().find_spec(fullname, path, target)


if "LISTED_PACKAGES" in os.environ:
    allowed = closure(["monai", "setuptools", *os.environ["LISTED_PACKAGES"].split()])
    OnlyListed.hidden = frozenset(
        module
        for module, names in packages_distributions().items()
        if not allowed & {re.sub(r"[-_.]+", "-", name).lower() for name in names}
    )
    sys.meta_path[sys.meta_path.index(PathFinder)] = OnlyListed
