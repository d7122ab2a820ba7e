from pathlib import Path

import numpy as np
from monai.bundle.config_item import ComponentLocator
from PIL import Image

from tools.bundles import find_bundle
from tools.sample.formats import sample_images
from tools.segment.commands import segment
from tools.segment.description import describe_bundle
from tools.segment.loaded import LoadedBundle

BUNDLES = Path(__file__).parents[3] / "bundles"


def test_images_do_not_search_all_of_monai_for_components(tmp_path, monkeypatch):
    (image, *_) = sample_images(find_bundle("devonet_ndn"), tmp_path / "samples")
    bundle = LoadedBundle(describe_bundle(BUNDLES / "devonet_ndn"))
    searches = []
    search = ComponentLocator._find_classes_or_functions
    monkeypatch.setattr(
        ComponentLocator,
        "_find_classes_or_functions",
        lambda self, names: searches.append(names) or search(self, names),
    )
    bundle.segment(image, tmp_path / "job")
    assert searches == []


def test_warnings_of_a_bundle_reach_the_user_with_the_name_of_the_image(tmp_path, caplog):
    Image.fromarray(np.full((64, 64), 90, np.uint8)).save(tmp_path / "my cells.png")
    options = {"test_time_augmentation": False, "threshold": 0.999}
    segment("swinunet_livecell", str(tmp_path / "my cells.png"), str(tmp_path / "out"), **options)
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert any(f"{tmp_path / 'my cells.png'}: no cell" in message for message in told)
    assert {record.name.split(".")[0] for record in caplog.records} == {"tools"}


def test_shape_and_spacing_of_a_volume_are_reported(tmp_path, caplog):
    (image, *_) = sample_images(find_bundle("devonet_nsn"), tmp_path / "samples")
    caplog.set_level("INFO")
    segment("devonet_nsn", str(image), str(tmp_path / "out"), spacing="2,0.8,0.8")
    assert f"{image}: " in caplog.text and "voxels of 2 x 0.8 x 0.8 µm (Z, Y, X)" in caplog.text
