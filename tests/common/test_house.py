"""What may import what: `common` stands on its own, so that a bundle can carry a copy of it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "common").rglob("*.py"))
BUNDLES = {path.name for path in (ROOT / "bundles").iterdir()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_common_imports_neither_tools_nor_a_bundle_and_itself_relatively(path):
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    imported = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    imported += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    assert {name.partition(".")[0] for name in imported} & {"tools", "tests", "benchmarks", "common", *BUNDLES} == set()
