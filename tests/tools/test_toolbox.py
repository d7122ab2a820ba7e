"""What a bundle says of itself to the tools is read as it stands, or refused with the key that is wrong."""

import json
import re
from pathlib import Path

import pytest
from monai.bundle import ConfigWorkflow

from common.errors import InputError
from tests.tools.sections import toolbox_section
from tools.bundles import VARIABLE, all_bundles, find_bundle, read_metadata
from tools.runs.words import as_words
from tools.toolbox import Metric, default_bundle, parse_toolbox, read_toolbox

MINIMAL = toolbox_section()
every_bundle = pytest.mark.parametrize("bundle", all_bundles(), ids=lambda bundle: bundle.name)


@pytest.fixture
def collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of bundles in the place of the collection's own."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return tmp_path


def put_bundle(collection: Path, name: str, **metadata: object) -> Path:
    (collection / name / "configs").mkdir(parents=True)
    (collection / name / "configs/metadata.json").write_text(json.dumps(metadata))
    return collection / name


@every_bundle
def test_every_bundle_tells_the_tools_what_they_have_to_know(bundle):
    toolbox, train = read_toolbox(bundle), json.loads((bundle / "configs/train.json").read_text())
    measured = {*train["validate"]["key_metric"], *train["validate"]["additional_metrics"]}
    assert measured <= set(toolbox.metrics)
    assert set(toolbox.inference) <= set(json.loads((bundle / "configs/inference.json").read_text()))


@every_bundle
def test_monai_reads_the_required_packages_and_no_other_in_their_place(bundle):
    configs = bundle / "configs"
    workflow = ConfigWorkflow(str(configs / "inference.json"), str(configs / "metadata.json"), logging_file=False)
    read = workflow.parser.get("_meta_")
    written = json.loads((configs / "metadata.json").read_text())
    assert read["required_packages_version"] == written["required_packages_version"]
    assert read["toolbox"] == written["toolbox"]


def test_tools_name_no_bundle():
    """A seventh bundle is a folder and nothing else, so that nothing else may know the other six; benchmarks may."""
    root = Path(__file__).parents[2]
    names = re.compile("|".join(bundle.name for bundle in all_bundles()))
    written = [path for room in ("tools", "common") for path in (root / room).rglob("*") if path.is_file()]
    found = [
        f"{path.relative_to(root)}: {names.search(text)[0]}"
        for path in written
        if path.suffix != ".pyc"
        if names.search(text := path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_minimal_section(tmp_path):
    toolbox = parse_toolbox(MINIMAL)
    assert (toolbox.num_axes, toolbox.pixel_size_um, toolbox.options) == (2, (), ())
    assert toolbox.metrics == {"iou": Metric("IoU")} and toolbox.source.convert == ()


def test_overrides_are_typed_as_on_a_command_line():
    overrides = {"spacing": [2.0, 0.8, 0.8], "rate": 0.0005, "pretrained": True, "weights": "none", "epochs": 8}
    words = ["--spacing", "[2.0, 0.8, 0.8]", "--rate", "0.0005", "--pretrained", "True", "--weights", "none"]
    assert as_words(overrides) == [*words, "--epochs", "8"]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ([], r"toolbox is \[\], expected an object"),
        ({"purpos": "x"}, r"toolbox: unknown key 'purpos'; did you mean 'purpose'"),
        ({"result": 3}, "toolbox: result is 3, expected text"),
        ({"input": "film"}, "toolbox: input is 'film', expected one of volume, picture, slide"),
        ({"options": "boxes"}, "toolbox: options is 'boxes', expected a list of words"),
        ({"options": ["magic"]}, "toolbox: options has 'magic', known are boxes, pixel_size_um, points, spacing"),
        ({"metrics": {"iou": {}}}, "toolbox: metrics: iou: lacks title"),
        ({"metrics": {"iou": "IoU"}}, "toolbox: metrics: iou is 'IoU', expected an object"),
        ({"source": {"format": "ctc", "folds": 3}}, "toolbox: source: unknown key 'folds'"),
        ({"pixel_size_um": [0.8, 0.8]}, r"toolbox: pixel_size_um is \[0.8, 0.8\], expected \[smallest, largest\]"),
        ({"pixel_size_um": [[0.8, 0.5]] * 2}, "toolbox: pixel_size_um is .*, expected"),
        ({"pixel_size_um": [[0.8, 0.8]] * 3}, "toolbox: pixel_size_um has 3 axes, a picture has 2"),
        ({"is_default": "yes"}, "toolbox: is_default is 'yes', expected true or false"),
    ],
)
def test_malformed_section_is_refused_by_its_key(change, match):
    with pytest.raises(InputError, match=match):
        parse_toolbox({**MINIMAL, **change} if change else change)


BLOCKS = {"halo": [1, 0], "window": [8, 9], "copies": 10, "mask": "mask"}


def test_blocks_are_read_as_whole_numbers():
    blocks = parse_toolbox({**MINIMAL, "blocks": BLOCKS}).blocks
    assert (blocks.halo, blocks.window, blocks.overlap, blocks.labels) == ((1, 0), (8, 9), 0.25, "")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"halo": [1]}, "blocks: halo is .* expected 2 whole numbers, at least 0"),
        ({"window": [8, 0]}, "blocks: window is .* expected 2 whole numbers, at least 1"),
        ({"copies": "many"}, "blocks: copies is 'many', expected a number"),
        ({"overlap": 1}, "blocks: overlap is 1, expected a number"),
        ({"look": -1}, "blocks: look is -1, expected a number"),
        ({"mask": ""}, "blocks: mask is '', expected text"),
        ({"hallo": [1, 1]}, "blocks: unknown key 'hallo'; did you mean 'halo'"),
    ],
)
def test_malformed_blocks_are_refused_by_their_key(change, match):
    with pytest.raises(InputError, match=match):
        parse_toolbox({**MINIMAL, "blocks": BLOCKS | change})


def test_missing_keys_are_named():
    with pytest.raises(InputError, match="toolbox: lacks purpose, modality, input, result, unit, metrics, source"):
        parse_toolbox({})


def test_bundle_without_the_section_is_told_where_to_write_it(collection):
    with pytest.raises(InputError, match="metadata.json: no 'toolbox'"):
        read_toolbox(put_bundle(collection, "plain"))


class TestCollection:
    def test_a_folder_of_bundles_may_lie_elsewhere(self, collection):
        spots = put_bundle(collection, "spots")
        assert all_bundles() == [spots] and find_bundle("spots") == find_bundle(str(spots)) == spots

    def test_unknown_name_is_told_the_closest(self, collection):
        put_bundle(collection, "spots")
        with pytest.raises(InputError, match="spot: neither a bundle's name .*did you mean spots"):
            find_bundle("spot")

    def test_the_default_says_so_or_is_the_first(self, collection):
        first = put_bundle(collection, "a", toolbox=MINIMAL)
        assert default_bundle() == first
        chosen = put_bundle(collection, "b", toolbox=MINIMAL | {"is_default": True})
        assert default_bundle() == chosen

    def test_no_bundles(self, collection):
        with pytest.raises(InputError, match="no bundles are there"):
            default_bundle()

    @pytest.mark.parametrize(("text", "match"), [("{", "not a readable JSON"), ("[]", "a list, expected fields")])
    def test_metadata_that_is_none(self, collection, text, match):
        (put_bundle(collection, "odd") / "configs/metadata.json").write_text(text)
        with pytest.raises(InputError, match=match):
            read_metadata(collection / "odd")
