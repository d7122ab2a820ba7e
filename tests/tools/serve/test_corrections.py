"""A result is corrected on the page and kept to learn from; only where whoever runs the server wants that."""

import errno
import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.draw import polygon2mask

from common.datalist import read_dataset
from common.reading.images import read_image
from tests.tools.serve.conftest import png, running
from tools.serve.corrections import MAX_POINTS, drawn, enclosed, erased, merged, split
from tools.serve.jobs import Limits

SQUARE = np.array([[2.0, 2.0], [2.0, 6.0], [6.0, 6.0], [6.0, 2.0]]) - 0.5


@pytest.fixture
def labels():
    labels = np.zeros((3, 10, 12), np.int32)
    labels[:, 7:9, 7:9], labels[0, 2:6, 2:6] = 4, 2
    return labels


def test_an_object_is_removed_from_all_slices(labels):
    left = erased(labels, (1, 7, 8))
    assert set(np.unique(left)) == {0, 2} and 4 in labels
    np.testing.assert_array_equal(erased(labels, (1, 0, 0)), labels)


def test_what_is_drawn_is_a_new_object(labels):
    made = drawn(labels, 2, SQUARE)
    np.testing.assert_array_equal(np.argwhere(made == 5).min(0), (2, 2, 2))
    assert np.count_nonzero(made == 5) == 16 and np.count_nonzero(made != labels) == 16


def test_what_is_drawn_over_an_object_of_the_next_slice_goes_on_with_it(labels):
    assert set(np.unique(drawn(labels, 1, SQUARE)[1, 2:6, 2:6])) == {2}
    assert set(np.unique(drawn(labels, 1, SQUARE + (0, 2))[1, 2:6, 4:8])) == {2}, "of which it has half"
    shifted = drawn(labels, 1, SQUARE + (0, 3))
    assert set(np.unique(shifted[1, 2:6, 5:9])) == {5}


def test_objects_under_a_stroke_become_the_first_of_them(labels):
    whole = merged(labels, 0, np.array([[8.0, 8.0], [5.0, 5.0], [4.0, 2.0]]))
    assert set(np.unique(whole)) == {0, 4} and np.array_equal(whole > 0, labels > 0)
    np.testing.assert_array_equal(merged(labels, 0, np.array([[0.0, 0.0], [1.0, 9.0]])), labels)


def test_an_object_that_is_wider_in_other_slices_is_split_there_too():
    labels = np.zeros((3, 21, 40), np.int32)
    labels[1, 8:13, 5:35] = labels[0, 2:19, 2:38] = labels[2, 2:19, 2:38] = 1
    labels[0, 2:4], labels[0, 2:4, :3] = 0, 5  # beside the end of the stroke, in another slice
    parts = split(labels, 1, np.array([[6.0, 15.0], [14.0, 15.0]]))
    assert np.array_equal(parts == 5, labels == 5) and np.array_equal(parts > 0, labels > 0)
    for z in range(3):
        assert np.mean(parts[z, 4:19, 3:14][labels[z, 4:19, 3:14] > 0] == 6) > 0.95, "the smaller part"
        assert np.mean(parts[z, 4:19, 17:37][labels[z, 4:19, 17:37] > 0] == 1) > 0.95


def test_what_a_stroke_crosses_is_cut_apart_in_all_slices():
    labels = np.zeros((3, 20, 30), np.int32)
    labels[:, 4:14, 4:24], labels[:, 15:18, 4:24] = 7, 3
    parts = split(labels, 1, np.array([[2.0, 10.0], [14.0, 10.0]]))
    assert (parts[:, 4:14, 4:10] == 8).all() and (parts[:, 4:14, 11:24] == 7).all(), "the larger one keeps its number"
    assert np.array_equal(parts > 0, labels > 0) and np.array_equal(parts == 3, labels == 3)
    slanted = split(labels, 1, np.array([[3.0, 5.0], [20.0, 22.0]]))
    assert set(np.unique(slanted)) == {0, 3, 7, 8, 9}, "both objects"


def test_a_stroke_that_ends_inside_splits_nothing(labels):
    np.testing.assert_array_equal(split(labels, 0, np.array([[3.0, 0.0], [3.0, 4.0]])), labels)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 11)), min_size=2, max_size=5), st.integers(0, 2**32 - 1))
def test_splitting_moves_no_border_to_the_background_and_mixes_no_objects(stroke, seed):
    labels = np.random.default_rng(seed).integers(0, 4, (2, 5, 6)).repeat(2, 1).repeat(2, 2).astype(np.int32)
    parts = split(labels, 1, np.array(stroke, float))
    assert np.array_equal(parts > 0, labels > 0)
    for number in np.unique(parts):
        assert len(np.unique(labels[parts == number])) == 1


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(-1, 11), st.floats(-1, 13)), min_size=3, max_size=8))
def test_pixels_in_an_outline_are_those_of_scikit_image(points):
    """But for centres that lie on it."""
    outline = np.array(points)
    sides = zip(outline, np.roll(outline, -1, axis=0), strict=True)
    grid = np.moveaxis(np.indices((10, 12)), 0, -1)
    distances = [distance(grid, start, end) for start, end in sides]
    clear = np.min(distances, axis=0) > 1e-6
    np.testing.assert_array_equal(enclosed((10, 12), outline)[clear], polygon2mask((10, 12), outline)[clear])


def distance(grid: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """From points (..., 2) to a line."""
    along = ((grid - start) @ (end - start)) / max(((end - start) ** 2).sum(), 1e-300)
    return np.linalg.norm(grid - start - along.clip(0, 1)[..., None] * (end - start), axis=-1)


@pytest.fixture
def corrected(tmp_path, monkeypatch):
    """A server that keeps corrections, and an image with two bright squares that it segments."""
    for place in ("tools.serve.page", "tools.corrections"):
        monkeypatch.setattr(f"{place}.classes_of", lambda bundle: ["object"])
    (tmp_path / "results").mkdir()
    image = np.zeros((20, 20), np.uint8)
    image[2:6, 2:6], image[12:16, 12:16] = 200, 200
    with running(Limits(), page_folder=tmp_path / "results", corrections=tmp_path / "kept") as server:
        lines = httpx.post(f"{server.url}/results", files={"image": ("My cells.png", png(image))}, timeout=60).text
        done = json.loads(lines.splitlines()[-1])
        assert done["corrects"]
        yield f"{server.url}/results/{done['id']}", tmp_path / "kept/images"


def change(url, *points, z=0, **action):
    return httpx.post(f"{url}/change", json={"z": z, "points": points, **action})


def test_objects_are_removed_and_drawn_and_kept(corrected):
    url, dataset = corrected
    plain = httpx.get(f"{url}/outlines/0").content
    assert change(url, [0.2, 0.2]).status_code == 204
    assert change(url, [0.5, 0.1], [0.8, 0.1], [0.8, 0.3], [0.5, 0.3]).status_code == 204
    assert httpx.get(f"{url}/outlines/0").content != plain
    assert httpx.post(f"{url}/keep").json() == {"name": "images/My_cells.png", "dataset": "images"}
    (item,) = read_dataset(dataset).training
    kept = read_image(item.file("label"), labels=True)
    assert not kept[2:6, 2:6].any() and (kept[13, 13], kept[4, 12]) == (2, 3) and len(np.unique(kept)) == 3
    assert change(url).status_code == 204  # undone
    assert httpx.get(f"{url}/outlines/0").content == plain
    httpx.post(f"{url}/keep")
    (item,) = read_dataset(dataset).training
    assert read_image(item.file("label"), labels=True)[4, 4] == 1


def test_objects_are_merged_and_split_and_kept(corrected):
    url, dataset = corrected
    assert change(url, [0.2, 0.2], [0.7, 0.7], action="merge").status_code == 204
    assert change(url, [0.0, 0.2], [0.5, 0.2], action="split").status_code == 204
    httpx.post(f"{url}/keep")
    (item,) = read_dataset(dataset).training
    kept = read_image(item.file("label"), labels=True)
    assert np.count_nonzero(kept) == 32 and len(np.unique(kept)) == 3
    assert kept[2, 2] == kept[2, 5] == kept[13, 13] != kept[5, 5]


@pytest.mark.parametrize(("action", "needed"), [("merge", "two objects"), ("split", "from one side to the other")])
def test_a_stroke_that_changes_nothing_says_what_it_takes(corrected, action, needed):
    answer = change(corrected[0], [0.0, 0.9], [0.3, 0.9], action=action)
    assert answer.status_code == 422 and needed in answer.json()["message"]


@pytest.mark.parametrize(
    "body",
    [
        "x",
        "[]",
        '{"z": 0}',
        '{"z": -1, "points": [[0, 0]]}',
        '{"z": 1, "points": [[0, 0]]}',
        '{"z": 0.5, "points": [[0, 0]]}',
        '{"z": false, "points": [[0, 0]]}',
        '{"z": 0, "points": [[0, 0, 0]]}',
        '{"z": 0, "points": [[0, 0], [1, 1]]}',
        '{"z": 0, "points": [[0, 0]], "action": "merge"}',
        '{"z": 0, "points": [[0, 0], [1, 1]], "action": "fold"}',
        '{"z": 0, "points": [[0, 0], [1, 1]], "action": ["split"]}',
        '{"z": 0, "points": [[2, 0]]}',
        '{"z": 0, "points": [[NaN, 0]]}',
        json.dumps({"z": 0, "points": [[0, 0]] * (MAX_POINTS + 1)}),
    ],
)
def test_what_is_no_change_is_refused(corrected, body):
    url, _ = corrected
    answer = httpx.post(f"{url}/change", content=body)
    assert answer.status_code == 422 and ("expected" in answer.text or "there are 1 slices" in answer.text)


def test_changes_at_once_are_all_made(corrected):
    url, dataset = corrected
    corners = [(x / 10, 0.45) for x in range(8)]
    squares = [[[x, y], [x + 0.05, y], [x + 0.05, y + 0.05], [x, y + 0.05]] for x, y in corners]
    with ThreadPoolExecutor(8) as pool:
        answers = [*pool.map(lambda square: change(url, *square), squares)]
        archives = [*pool.map(lambda _: httpx.get(f"{url}/files/zip"), squares)]
    assert {answer.status_code for answer in answers} == {204} and {answer.status_code for answer in archives} == {200}
    httpx.post(f"{url}/keep")
    (item,) = read_dataset(dataset).training
    assert len(np.unique(read_image(item.file("label"), labels=True))) == 3 + len(squares)


def test_change_on_a_full_disk_is_told(corrected, monkeypatch):
    def fail(file, labels):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", fail)
    answer = change(corrected[0], [0.2, 0.2])
    assert answer.status_code == 507 and "no room" in answer.json()["message"]


def test_what_cannot_be_kept_says_so_without_a_path(corrected):
    url, dataset = corrected
    dataset.parent.write_text("a file in the place of the folder")
    answer = httpx.post(f"{url}/keep")
    assert answer.status_code == 507 and answer.json()["message"] == "it cannot be kept; see the server's log"


def test_without_a_folder_nothing_is_kept(tmp_path):
    with running(Limits(), page_folder=tmp_path) as server:
        image = {"image": ("a.png", png(np.zeros((20, 20), np.uint8)))}
        done = json.loads(httpx.post(f"{server.url}/results", files=image, timeout=60).text.splitlines()[-1])
        assert done["corrects"] is False
        for what in ("keep", "change"):
            answer = httpx.post(f"{server.url}/results/{done['id']}/{what}", json={"z": 0, "points": []})
            assert answer.status_code == 403
