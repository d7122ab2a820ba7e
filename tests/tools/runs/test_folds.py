"""A datalist by which a network would be evaluated on what it knows is refused."""

import json

import pytest

from common.datalist import read_dataset
from common.errors import InputError
from tests.tools.runs.conftest import touch_files
from tools.__main__ import VERBS
from tools.bundles import find_bundle
from tools.command_line import run
from tools.runs.folds import fitting, read_folds, read_separate_folds, warn_of_leaks


@pytest.fixture
def dataset(tmp_path):
    """Function that writes a datalist of (image, group, fold), those without a fold under testing."""

    def write(*images, key="sequence", **content):
        items = [{"image": image, "label": "x", key: group, "fold": fold} for image, group, fold in images]
        training = [item for item in items if item["fold"] is not None]
        testing = [item for item in items if item["fold"] is None]
        (tmp_path / "dataset.json").write_text(json.dumps({"training": training, "testing": testing, **content}))
        return touch_files(tmp_path) if "testing" not in content else tmp_path

    return write


def test_folds_and_labelled_items(dataset):
    found = read_separate_folds(dataset(("a", "1", 0), ("b", "2", 1), ("c", "3", None), name="drawn"))
    assert (found.dataset.name, found.folds, len(found.training), len(found.testing)) == ("drawn", (0, 1), 2, 1)


def test_fewer_folds_than_there_are(dataset):
    assert read_separate_folds(dataset(("a", "1", 0), ("b", "2", 1), ("c", "3", 2)), "0,2").folds == (0, 2)


@pytest.mark.parametrize(
    ("images", "match"),
    [
        ([("a", "1", 0), ("a", "1", 1)], "a is in fold 0 and in fold 1; list every image once"),
        ([("a", "1", 0), ("b", "2", 1), ("./b", "2", 0)], "./b is in fold 1 and in fold 0"),
        ([("a", "1", 0), ("b", "2", 1), ("a", "1", None)], "a is in fold 0 and in testing"),
        ([("a", "1", 0), ("a", "1", 0), ("b", "2", 1)], "a is listed twice in fold 0"),
        ([("a", "1", 0), ("b", "1", 1)], r"sequence 1 is in fold 0 and in fold 1 \(b\), so .* keeps every sequence"),
        ([("a", "1", 0), ("b", "2", 1), ("c", "2", None)], "sequence 2 is in fold 1 and in testing"),
        ([("a", "1", 0), ("b", "2", 2)], "no labelled image in fold 1 of 3; there are folds 0, 2"),
    ],
)
def test_overlapping_leaking_and_empty_folds_are_refused(dataset, images, match):
    with pytest.raises(InputError, match=rf"dataset\.json: {match}"):
        read_separate_folds(dataset(*images))


@pytest.mark.parametrize("key", ["subject", "slide", "group"])
def test_every_kind_of_group_may_leak(dataset, key):
    with pytest.raises(InputError, match=f"{key} 1 is in fold 0 and in fold 1"):
        read_separate_folds(dataset(("a", "1", 0), ("b", "1", 1), key=key))


def test_the_unit_that_the_datalist_names_is_the_one_that_counts(dataset):
    folder = dataset(("a", "1", 0), ("b", "1", 1), key="slide", unit="region")
    assert read_separate_folds(folder).folds == (0, 1)
    with pytest.raises(InputError, match="region 1 is in fold 0 and in fold 1"):
        read_separate_folds(dataset(("a", "1", 0), ("b", "1", 1), key="region", unit="region"))


def test_item_without_an_image_is_told(dataset):
    folder = dataset(("a", "1", 0), ("b", "2", 1), testing=[{"label": "x"}])
    with pytest.raises(InputError, match="an item without 'image'"):
        read_separate_folds(folder)


@pytest.mark.parametrize("verb", ["compare", "crossval", "tune", "finetune"])
def test_a_dataset_of_another_kind_is_refused_before_anything_runs(dataset, fake_run, tmp_path, capsys, verb):
    folder = dataset(("a.png", "1", 0), ("b.png", "2", 1))
    (tmp_path / "space.json").write_text('{"learning_rate": {"type": "float", "low": 0.1, "high": 0.2}}')
    given = ["--dataset_dir", str(folder), "--output_dir", str(tmp_path / "out")]
    given += ["--space", str(tmp_path / "space.json")] if verb == "tune" else []
    assert run(VERBS, [verb, "maskrcnn_2p5d", *given]) == 1
    told = "dataset.json: a.png: maskrcnn_2p5d takes a volume (.nii.gz, .nii); give a dataset made for it"
    assert told in capsys.readouterr().err and not fake_run.names and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("bundle", "image", "told"),
    [
        ("swinunet_livecell", "a.nii.gz", "a.nii.gz: swinunet_livecell takes a picture"),
        ("crypt_unet", "a.png", "a.png: crypt_unet takes a slide"),
        ("crypt_unet", "a.tiff", "a.tiff has no 'patches', on which crypt_unet is trained"),
        ("sam_myelin", "a.png", "a.png has no 'axon', on which sam_myelin is trained"),
    ],
)
def test_a_dataset_of_another_bundle_is_refused(dataset, bundle, image, told):
    with pytest.raises(InputError, match=told):
        read_folds(dataset((image, "1", 0), (f"b{image}", "2", 1)), find_bundle(bundle))


def test_of_several_bundles_those_that_do_not_fit_are_left_out(dataset):
    pictures, volumes = (find_bundle(name) for name in ("swinunet_livecell", "devonet_nsn"))
    found = read_dataset(dataset(("a.nii.gz", "1", 0), ("b.nii.gz", "2", 1)))
    assert fitting(found, [pictures, volumes]) == [volumes]
    with pytest.raises(InputError, match="a.nii.gz: swinunet_livecell takes a picture"):
        fitting(found, [pictures])


def test_a_file_that_is_not_there_is_told_before_anything_runs(dataset):
    folder = dataset(("a.nii.gz", "1", 0), ("b.nii.gz", "2", 1))
    (folder / "b.nii.gz").unlink()
    with pytest.raises(InputError, match="dataset.json: image 'b.nii.gz' does not exist in .*; convert the data again"):
        read_folds(folder, find_bundle("devonet_nsn"))


def test_a_copy_under_another_name_is_told(dataset, caplog):
    folder = dataset(("a", "1", 0), ("b", "2", 1), ("c", "3", None))
    for name, content in (("a", "one"), ("b", "two"), ("c", "one")):
        (folder / name).write_text(content)
    read_separate_folds(folder)
    assert "dataset.json: c in testing is a copy of a in fold 0, so" in caplog.text


@pytest.mark.parametrize(("by_fold", "places"), [(True, "fold 0 and in fold 1"), (False, "training and in testing")])
def test_others_are_warned_of_leaks(dataset, caplog, by_fold, places):
    group = "1" if by_fold else "3"
    folder = dataset(("a", "1", 0), ("b", group, 1), ("c", "3", None))
    warn_of_leaks(read_dataset(folder), find_bundle("devonet_nsn"), by_fold=by_fold)
    assert f"is in {places}" in caplog.text
