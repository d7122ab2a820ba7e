from pathlib import Path

from monai.bundle.config_item import ComponentLocator

from tools.bundles import find_bundle
from tools.sample.formats import sample_images
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
