"""What a lone copy of a bundle needs is what its metadata list, neither less nor more."""

import json
from pathlib import Path

import pytest

from tools.share.packages import BASE, needed_packages

BUNDLES = sorted(path.parents[1] for path in (Path(__file__).parents[3] / "bundles").glob("*/configs/metadata.json"))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle with one module and one config, to write."""
    for folder in ("mine/configs", "mine/mine"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "mine/configs/metadata.json").write_text("{}")
    return tmp_path / "mine"


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.name)
def test_metadata_list_exactly_what_is_needed(path):
    metadata = json.loads((path / "configs/metadata.json").read_text())
    listed = metadata["required_packages_version"] | metadata["toolbox"]["optional_packages"]
    assert needed_packages(path).keys() == listed.keys() and not listed.keys() & BASE


@pytest.mark.parametrize(
    ("code", "package"),
    [
        ("from skimage.measure import label", "scikit-image"),
        ("def late():\n    import PIL.Image", "pillow"),
        ("import segmentation_models_pytorch as smp", "segmentation-models-pytorch"),
        ("import not_installed_anywhere", "not-installed-anywhere"),
    ],
)
def test_imports_are_found_wherever_they_stand(bundle, code, package):
    (bundle / "mine/module.py").write_text(code)
    assert needed_packages(bundle) == {package: "mine/module.py"}


def test_own_modules_the_standard_library_and_monais_packages_are_not_needed(bundle):
    (bundle / "mine/module.py").write_text("import json, torch, mine\nfrom monai import utils\nfrom .a import b\n")
    assert needed_packages(bundle) == {}


@pytest.mark.parametrize(
    ("config", "package"),
    [
        ({"imports": ["$import scipy.ndimage as ndi"]}, "scipy"),
        ({"loss": {"_target_": "timm.loss.LabelSmoothing"}}, "timm"),
        ({"handlers": [{"_target_": "TensorBoardStatsHandler"}]}, "tensorboard"),
        ({"run": ["$@trainer.run()"]}, "fire"),
        ({"preprocessing": {"_target_": "Spacingd", "mode": 3}}, "scipy"),
    ],
)
def test_what_configs_name_is_found(bundle, config, package):
    (bundle / "configs/train.json").write_text(json.dumps(config))
    assert needed_packages(bundle) == {package: "configs/train.json"}
