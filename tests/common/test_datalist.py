"""dataset.json is read into one typed thing, and written whole or not at all."""

import json

import pytest

from common.datalist import find_dataset, read_dataset, write_dataset
from common.errors import InputError

ITEMS = [{"image": "a.png", "label": "b.png", "fold": 0}, {"image": "c.png", "label": "d.png", "annotated_slices": [1]}]


def test_what_is_written_is_read_again(tmp_path):
    path = write_dataset(tmp_path, name="Maška", training=ITEMS, testing=[], licence="MIT", spacing=[2.0, 0.8, 0.8])
    dataset = read_dataset(tmp_path)
    assert (dataset.path, dataset.folder, dataset.name) == (path, tmp_path, "Maška")
    assert [item.entry for item in dataset.training] == ITEMS and dataset.testing == ()
    assert dataset.facts == {"licence": "MIT", "spacing": [2.0, 0.8, 0.8]}


def test_interrupted_write_leaves_the_former_file(tmp_path):
    write_dataset(tmp_path, name="first", training=[], testing=[])
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_dataset(tmp_path, name="second", training=[], testing=[], licence=object())
    assert read_dataset(tmp_path).name == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["dataset.json"]


def test_a_dataset_without_a_name_has_that_of_its_folder(tmp_path):
    (tmp_path / "dataset.json").write_text("{}", encoding="utf-8-sig")  # as editors on Windows save it
    assert read_dataset(tmp_path).name == tmp_path.name


def test_a_label_of_single_slices_is_not_complete(tmp_path):
    write_dataset(tmp_path, name="a", training=ITEMS, testing=[{"image": "e.png"}])
    dataset = read_dataset(tmp_path)
    assert [item.is_complete for item in (*dataset.training, *dataset.testing)] == [True, False, False]


def test_places_say_on_which_side_of_the_split_an_item_is(tmp_path):
    write_dataset(tmp_path, name="a", training=ITEMS[:1], testing=ITEMS[1:])
    assert [(item.name, place) for item, place in read_dataset(tmp_path).places()] == [
        ("a.png", "fold 0"),
        ("c.png", "testing"),
    ]


@pytest.mark.parametrize("fold", [None, "0", True, 1.0])
def test_a_fold_is_a_whole_number(tmp_path, fold):
    write_dataset(tmp_path, name="a", training=[{"image": "a.png", "fold": fold}], testing=[])
    with pytest.raises(InputError, match=r"dataset.json: a.png needs a whole number as 'fold'; found"):
        _ = read_dataset(tmp_path).training[0].fold


def test_the_dataset_of_an_image_is_the_nearest_above_it(tmp_path):
    inner = tmp_path / "inner"
    (inner / "images").mkdir(parents=True)
    for folder in (tmp_path, inner):
        write_dataset(folder, name=folder.name, training=[], testing=[])
    assert find_dataset(inner / "images/a.png").name == "inner"
    assert find_dataset(tmp_path / "a.png").name == tmp_path.name


def test_an_image_outside_every_dataset_is_named(tmp_path):
    with pytest.raises(InputError, match=r"a.png: no dataset.json in its folder or above"):
        find_dataset(tmp_path / "a.png")


def test_deep_nesting_is_refused_in_words(tmp_path):
    (tmp_path / "dataset.json").write_text('{"testing": ' + "[" * 100_000)
    with pytest.raises(InputError, match="not a MONAI datalist"):
        read_dataset(tmp_path)


def test_file_is_utf8_with_readable_names(tmp_path):
    path = write_dataset(tmp_path, name="Maška", training=[], testing=[])
    assert json.loads(path.read_bytes().decode("utf-8"))["name"] == "Maška"
    assert "Maška" in path.read_text(encoding="utf-8")
