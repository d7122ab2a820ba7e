"""What may import what: `common` stands on its own, so that a bundle can carry a copy of it."""

import ast
import re
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


def test_tables_are_written_in_one_place_which_leaves_no_formula_in_them():
    sources = [path for room in ("common", "tools", "bundles") for path in (ROOT / room).rglob("*.py")]
    copies = [path for path in sources if path.relative_to(ROOT).parts[0] == "bundles" and "common" in path.parts]
    writers = [path for path in set(sources) - set(copies) if re.search(r"csv\.(Dict)?[wW]riter", path.read_text())]
    assert [path.relative_to(ROOT).as_posix() for path in writers] == ["common/tables.py"]


def test_no_checkpoint_is_opened_so_that_it_could_run_code():
    paths = [path for room in ("common", "tools", "bundles", "benchmarks") for path in (ROOT / room).rglob("*.py")]
    calls = [(path, call) for path in paths for call in re.findall(r"torch\.load\([^\n]*", path.read_text())]
    assert calls and not [(path, call) for path, call in calls if "weights_only=True" not in call]
    shells = [path for room in ("bundles", ".ci") for path in (ROOT / room).rglob("*.json")]
    assert not [path for path in [*paths, *shells] if re.search(r"weights_only\W+False", path.read_text())]
