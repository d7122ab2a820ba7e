"""What a newcomer types works, and what it prints can be typed."""

import json
import re
from pathlib import Path

import pytest

from tools.errors import InputError
from tools.quickstart import BUNDLES, commands, quickstart
from tools.recipes import RECIPES

ROOT = Path(__file__).parents[2]


def test_every_bundle_has_a_recipe():
    assert {path.name for path in BUNDLES.iterdir() if (path / "configs").is_dir()} == set(RECIPES)


@pytest.mark.parametrize("bundle", RECIPES)
def test_recipe_overrides_only_knobs_of_the_bundle(bundle):
    train = json.loads((BUNDLES / bundle / "configs/train.json").read_text())
    assert set(RECIPES[bundle].train) <= set(train)


@pytest.mark.parametrize("bundle", RECIPES)
def test_quick_start_never_writes_into_the_bundle(bundle, tmp_path):
    for _, command in commands(bundle, RECIPES[bundle], tmp_path):
        if "--output_dir" in command:
            assert Path(command[command.index("--output_dir") + 1]).is_relative_to(tmp_path)


def test_unknown_bundle_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="--bundle nsn: no such bundle; choose one of .*devonet_nsn"):
        quickstart(bundle="nsn")


def test_readme_has_exactly_the_two_commands_that_ci_runs():
    found = re.findall(r"^pip install -r requirements\.txt && python -m (.+)$", (ROOT / "README.md").read_text(), re.M)
    assert found == ["tools quickstart", "pytest -n auto"]
