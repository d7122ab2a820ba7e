"""What a newcomer types works, and what it prints can be typed."""

import json
import re
from pathlib import Path

import pytest

from common.errors import InputError
from tools.bundles import all_bundles
from tools.quickstart import commands, quickstart
from tools.toolbox import read_toolbox

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("bundle", all_bundles(), ids=lambda bundle: bundle.name)
def test_quick_start_overrides_only_knobs_of_the_bundle(bundle):
    toolbox, train = read_toolbox(bundle), json.loads((bundle / "configs/train.json").read_text())
    assert set(toolbox.quickstart) | set(toolbox.offline) | set(toolbox.brief) <= set(train)


@pytest.mark.parametrize("bundle", all_bundles(), ids=lambda bundle: bundle.name)
def test_quick_start_never_writes_into_the_bundle(bundle, tmp_path):
    for _, command in commands(bundle, read_toolbox(bundle), tmp_path):
        if "--output_dir" in command:
            assert Path(command[command.index("--output_dir") + 1]).is_relative_to(tmp_path)


def test_unknown_bundle_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="nsn: neither a bundle's name .*; did you mean devonet_nsn"):
        quickstart(bundle="nsn")
    with pytest.raises(InputError, match=r"cells\.tif: neither a bundle's name .*metadata.json; there are crypt_unet,"):
        quickstart(bundle="plate/cells.tif")


def test_readme_has_exactly_the_two_commands_that_ci_runs():
    found = re.findall(r"^pip install -r requirements\.txt && python -m (.+)$", (ROOT / "README.md").read_text(), re.M)
    assert found == ["tools quickstart", "pytest -n auto"]
