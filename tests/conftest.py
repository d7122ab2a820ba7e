"""What the tests of all bundles share: the bundles themselves, and a small synthetic dataset for each."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools.command_line import run as run_tools
from tools.recipes import RECIPES

ROOT = Path(__file__).parents[1]
BUNDLES = sorted(path.parent.parent for path in ROOT.glob("bundles/*/configs/metadata.json"))

# also a bundle that is not complete yet has tests of its package
for _package in sorted(ROOT.glob("bundles/*/*/__init__.py")):
    sys.path.append(str(_package.parents[1]))


@pytest.fixture(scope="session", params=BUNDLES, ids=lambda path: path.name)
def bundle(request: pytest.FixtureRequest) -> Path:
    """Root folder of every bundle in turn."""
    return request.param


@pytest.fixture(scope="session")
def dataset_dir(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle's synthetic sample, converted as the quick start does it."""
    from tools.__main__ import VERBS

    folder = tmp_path_factory.mktemp(bundle.name)
    source, dataset = folder / "source", folder / "dataset"
    assert run_tools(VERBS, ["sample", bundle.name, str(source)]) == 0
    convert = RECIPES[bundle.name].convert
    assert run_tools(VERBS, ["convert", convert[0], str(source), str(dataset), *convert[1:]]) == 0
    return dataset
