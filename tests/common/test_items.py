"""dataset.json: the right images in the right list, and a clear word where it is wrong."""

import json
import logging
import os

import pytest

from common.errors import InputError
from common.items import evaluation_items, inference_items, training_items, validation_items


def item(name: str, **more) -> dict:
    return {"image": f"images/{name}.nii.gz", "label": f"labels/{name}.nii.gz", **more}


def names(items: list[dict[str, str]]) -> list[str]:
    return [entry["image"].rsplit("/", 1)[1].removesuffix(".nii.gz") for entry in items]


@pytest.fixture
def three_folds(write_datalist):
    return write_datalist({"training": [item("a", fold=0), item("b", fold=1), item("c", fold=1), item("d", fold=2)]})


@pytest.mark.parametrize(("fold", "validation"), [(0, "a"), (1, "bc"), (2, "d")])
def test_a_fold_is_validated_on_and_the_rest_trained_on(three_folds, fold, validation):
    assert names(validation_items(three_folds, fold)) == list(validation)
    assert names(training_items(three_folds, fold)) == [name for name in "abcd" if name not in validation]


@pytest.mark.parametrize("items", [training_items, validation_items])
@pytest.mark.parametrize("fold", [3, "all", "0", None])
def test_fold_that_no_image_is_in(three_folds, items, fold):
    with pytest.raises(InputError, match=rf"no completely labelled image in fold {fold}; there are folds \[0, 1, 2\]"):
        items(three_folds, fold)


def test_the_word_none_trains_on_every_fold(three_folds):
    assert names(training_items(three_folds, "none")) == list("abcd")
    assert validation_items(three_folds, "none") == []


def test_further_files_that_every_item_needs(write_datalist):
    folder = write_datalist({"training": [item("a", fold=0, markers="labels/a.nii.gz"), item("b", fold=0)]})
    with pytest.raises(InputError, match=r"b.nii.gz has no 'markers'; convert the data again"):
        validation_items(folder, 0, extra=("markers",))


def test_further_keys_that_only_some_items_have(write_datalist):
    folder = write_datalist({"training": [], "testing": [item("a", cell_type="A172"), item("b")]})
    items = evaluation_items(folder, optional=("cell_type",))
    assert [entry.get("cell_type") for entry in items] == ["A172", None]


def test_single_fold_leaves_nothing_to_train_on(write_datalist):
    folder = write_datalist({"training": [item("a", fold=0), item("b", fold=0)]})
    with pytest.raises(InputError, match="no completely labelled image outside fold 0 .* 2 in it; give --fold none"):
        training_items(folder, 0)


@pytest.mark.parametrize("fold", [{}, {"fold": "0"}, {"fold": None}])
def test_training_item_without_a_fold_is_named(write_datalist, fold):
    folder = write_datalist({"training": [item("a", fold=0), item("b", **fold)]})
    with pytest.raises(InputError, match=r"dataset.json: .*b.nii.gz needs a whole number as 'fold'"):
        training_items(folder, 0)


def test_scores_on_what_was_trained_on_are_told(write_datalist, caplog):
    folder = write_datalist(
        {"training": [item("a", fold=0), item("a", fold=1), item("b", fold=1)], "testing": [item("b")]}
    )
    evaluation_items(folder)
    assert "1 of 1 images to measure on, such as images/b.nii.gz, are also trained on" in caplog.text
    validation_items(folder, 0)
    assert "1 of 1 images to measure on, such as images/a.nii.gz, are also trained on" in caplog.text


@pytest.mark.parametrize("entry", [{"image": "c.nii.gz"}, item("e", annotated_slices=[3])])
def test_evaluation_without_a_complete_truth(write_datalist, entry):
    with pytest.raises(InputError, match="no labelled image under 'testing' to evaluate on"):
        evaluation_items(write_datalist({"testing": [entry]}), truth=["markers", "label"])


def test_inference_takes_all_images_of_testing(write_datalist):
    folder = write_datalist({"training": [item("a", fold=0)], "testing": [item("b"), {"image": "c.nii.gz"}]})
    assert names(inference_items(folder, "volume")) == ["b", "c"]


@pytest.mark.parametrize(
    ("testing", "message"),
    [
        ([], "nothing under 'testing' to segment"),
        ([{"label": "a.nii.gz"}], "dataset.json: an item without 'image'"),
        ([{"image": ["a", "b"]}], r"dataset.json: image is \['a', 'b'\], expected one path"),
        ([{"image": "a.nii.gz"}], "dataset.json: image 'a.nii.gz' does not exist in"),
    ],
)
def test_inference_on_items_that_are_none(write_datalist, testing, message):
    folder = write_datalist({"training": [item("a", fold=0)], "testing": testing}, with_files=False)
    with pytest.raises(InputError, match=message):
        inference_items(folder, "volume")


def test_inference_without_a_datalist_takes_every_nifti_image(tmp_path):
    for name in ("b.nii", "a.nii.gz", "notes.txt", ".partial-c.nii.gz"):
        (tmp_path / name).touch()
    assert inference_items(tmp_path, "volume") == [{"image": str(tmp_path / name)} for name in ("a.nii.gz", "b.nii")]


def test_inference_on_a_folder_of_tiff(tmp_path):
    (tmp_path / "t000.tif").touch()
    with pytest.raises(InputError, match=r"neither dataset.json nor an image .* put images there"):
        inference_items(tmp_path, "volume")


def test_inference_on_no_folder(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such folder"):
        inference_items(tmp_path / "nowhere", "volume")


def test_two_images_whose_results_would_overwrite_each_other(tmp_path):
    for name in ("a.nii", "a.nii.gz"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"a.nii.gz: its results would have the same name as those of .*a.nii; rename"):
        inference_items(tmp_path, "volume")


@pytest.mark.parametrize("items", [evaluation_items, lambda folder: training_items(folder, 0)])
def test_training_and_evaluation_need_a_datalist(tmp_path, items):
    with pytest.raises(InputError, match=r"dataset.json: no such file; make it with: python -m tools convert"):
        items(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"testing": 3}', '{"testing": ["a.nii.gz"]}', "\xff"])
def test_malformed_datalist(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match="dataset.json: not a MONAI datalist"):
        inference_items(tmp_path, "volume")


@pytest.mark.parametrize("relative", [True, False])
def test_path_outside_the_folder(tmp_path, relative):
    secret, folder = tmp_path / "secret.nii.gz", tmp_path / "dataset"
    secret.touch()
    folder.mkdir()
    image = "../secret.nii.gz" if relative else str(secret)
    (folder / "dataset.json").write_text(json.dumps({"testing": [{"image": image}]}))
    with pytest.raises(InputError, match="secret.nii.gz' is outside .*dataset; move the file into the folder"):
        inference_items(folder, "volume")


def test_link_that_leads_outside_the_folder(tmp_path):
    folder = tmp_path / "dataset"
    folder.mkdir()
    (tmp_path / "secret.nii.gz").touch()
    (folder / "a.nii.gz").symlink_to(tmp_path / "secret.nii.gz")
    (folder / "dataset.json").write_text(json.dumps({"testing": [{"image": "a.nii.gz"}]}))
    with pytest.raises(InputError, match="is outside"):
        inference_items(folder, "volume")


def test_absolute_path_inside_the_folder_is_fine(tmp_path):
    (tmp_path / "a.nii.gz").touch()
    (tmp_path / "dataset.json").write_text(json.dumps({"testing": [{"image": str(tmp_path / "a.nii.gz")}]}))
    assert names(inference_items(tmp_path, "volume")) == ["a"]


def with_markers(name: str, **more) -> dict:
    return {"image": f"images/{name}.nii.gz", "markers": f"markers/{name}.nii.gz", **more}


@pytest.fixture
def mixed(write_datalist):
    """Both truths, markers alone, a label alone, single slices with and without markers, and no truth."""
    section = [
        {**item("a"), **with_markers("a")},
        with_markers("b"),
        item("c"),
        {**item("d", annotated_slices=[3]), **with_markers("d")},
        item("e", annotated_slices=[3]),
        {"image": "images/f.nii.gz"},
    ]
    training = [{**entry, "fold": fold} for entry in section for fold in (0, 1)]
    return write_datalist({"training": training, "testing": section})


@pytest.mark.parametrize(
    "choose",
    [
        lambda folder, **truth: training_items(folder, 1, **truth),
        lambda folder, **truth: validation_items(folder, 1, **truth),
        evaluation_items,
    ],
    ids=["training", "validation", "evaluation"],
)
@pytest.mark.parametrize(
    ("truth", "chosen", "num_partial"),
    [
        ({}, {"a": "labels", "c": "labels"}, 2),
        ({"truth": ["label"]}, {"a": "labels", "c": "labels"}, 2),
        ({"truth": ["markers"]}, {"a": "markers", "b": "markers", "d": "markers"}, 0),
        ({"truth": ["markers", "label"]}, {"a": "markers", "b": "markers", "c": "labels", "d": "markers"}, 1),
        ({"truth": ["label", "markers"]}, {"a": "labels", "b": "markers", "c": "labels", "d": "markers"}, 1),
    ],
)
def test_truth_is_the_first_of_its_kinds_that_is_complete(mixed, caplog, choose, truth, chosen, num_partial):
    with caplog.at_level(logging.WARNING):
        items = choose(mixed, **truth)
    assert items == [
        {"image": str(mixed / f"images/{name}.nii.gz"), "label": str(mixed / f"{kind}/{name}.nii.gz")}
        for name, kind in chosen.items()
    ]
    assert ("labelled images are left out: only single slices" in caplog.text) == (num_partial > 0)


def test_count_of_images_left_out_is_of_those_with_that_truth(mixed, caplog):
    with caplog.at_level(logging.WARNING):
        evaluation_items(mixed, truth=["markers", "label"])
    assert "1 of 5 labelled images are left out" in caplog.text


def test_markers_that_do_not_exist(write_datalist):
    folder = write_datalist({"testing": [with_markers("a")]})
    (folder / "markers" / "a.nii.gz").unlink()
    with pytest.raises(InputError, match=r"dataset.json: markers 'markers/a.nii.gz' does not exist in"):
        evaluation_items(folder, truth=["markers"])


@pytest.fixture
def five(tmp_path):
    (tmp_path / "images").mkdir()
    for name in "abcde":
        (tmp_path / "images" / f"{name}[1].nii.gz").touch()
    return tmp_path / "images"


def test_processes_share_the_images(five, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    shares = []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        shares.append([entry["image"] for entry in inference_items(five, "volume")])
    assert [len(share) for share in shares] == [3, 2]
    assert sorted(shares[0] + shares[1]) == sorted(map(str, five.iterdir()))


def test_only_images_with_all_their_results_are_skipped(five, tmp_path):
    results = ["_instances.*", "_objects.csv"]
    for name in ("a[1]_instances.tif", "a[1]_objects.csv", "b[1]_instances.png", "c[1]_objects.csv", "d_objects.csv"):
        (tmp_path / name).touch()
    chosen = {"output_dir": tmp_path, "results": results}
    assert len(inference_items(five, "volume", **chosen)) == 5
    left = inference_items(five, "volume", **chosen, skip_existing=True)
    assert [entry["image"][-11:-10] for entry in left] == list("bcde")


def test_what_another_process_finishes_meanwhile_changes_no_share(five, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    shares = []
    for rank, finished in (("0", ()), ("1", "ac")):
        for name in finished:
            (tmp_path / f"{name}[1]_mask.nii.gz").touch()
        monkeypatch.setenv("RANK", rank)
        chosen = inference_items(five, "volume", output_dir=tmp_path, results=["_mask.nii.gz"], skip_existing=True)
        shares.append([entry["image"][-11:-10] for entry in chosen])
    assert shares == [list("ace"), list("bd")]


def test_images_of_other_kinds_are_left_out_aloud_and_pipes_and_folders_in_silence(tmp_path, caplog):
    for name in ("a.png", "b.jpg", "c.czi", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    assert [entry["image"] for entry in inference_items(tmp_path, "picture")] == [str(tmp_path / "a.png")]
    assert "2 of another format left out, such as b.jpg; this bundle reads .png, .tif, .tiff" in caplog.text
