"""What a Space installs: pinned, and no more than serving one bundle takes."""

import ast
import logging
import re
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from common.errors import InputError
from tools.share.packages import BASE, imported_modules, normal_name, package_of

__all__ = ["SERVING", "choose_pins", "find_packages", "read_pins", "requirements_text"]

logger = logging.getLogger(__name__)

PIN = re.compile(r"([A-Za-z0-9][\w.-]*)==([^\s;#]+)")
# what serving needs without importing it: forms of FastAPI, compressed files of tifffile
SERVING = ("python-multipart", "imagecodecs", "pytorch-ignite", "fire")
CPU_WHEELS = "https://download.pytorch.org/whl/cpu"


def read_pins(text: str) -> dict[str, str]:
    """Pins of a requirements.txt: package, as pip normalizes its name -> version."""
    lines = (line.strip() for line in text.splitlines())
    return {normal_name(found[1]): found[2] for found in map(PIN.match, lines) if found}


def find_packages(modules: Iterable[Path], base: Path) -> set[str]:
    """Packages of others that modules import, as pip normalizes their names."""
    own = {path.stem for path in base.iterdir()}
    names = {name for path in modules for name in imported_modules(ast.parse(path.read_text(encoding="utf-8")))}
    return {package_of(name) for name in names - own - sys.stdlib_module_names}


def choose_pins(packages: Iterable[str], pins: Mapping[str, str]) -> dict[str, str]:
    """The pins, see `read_pins`, of some packages, however spelt, and of those that every bundle needs; sorted.

    A package that is not pinned is taken as it is installed, with a warning; InputError if it is neither.
    """
    chosen = {}
    for package in sorted({normal_name(name) for name in (*packages, *BASE, *SERVING)}):
        chosen[package] = pins[package] if package in pins else _installed_version(package)
    return chosen


def requirements_text(pins: Mapping[str, str]) -> str:
    """Content of requirements.txt, with PyTorch's wheels for CPUs, which pip takes before the larger ones of PyPI."""
    lines = [f"{package}=={version}" for package, version in pins.items()]
    return "\n".join([f"--extra-index-url {CPU_WHEELS}", *lines]) + "\n"


def _installed_version(package: str) -> str:
    try:
        found = version(package)
    except PackageNotFoundError as error:
        raise InputError(f"{package}: neither pinned in requirements.txt nor installed; pin it there") from error
    logger.warning("requirements.txt does not pin %s; taken as installed: %s", package, found)
    return found
