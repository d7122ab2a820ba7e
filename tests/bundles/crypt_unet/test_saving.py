"""Everything that a slide leaves on disk, read back by other means."""

import csv
import json
import logging
import math

import numpy as np
import pytest
import tifffile
import torch
from crypt_unet import saving
from crypt_unet.common.errors import InputError
from crypt_unet.crypts import FindCryptsd, find_crypts, paint
from crypt_unet.run_lengths import encode_crypts, put_run_lengths
from crypt_unet.saving import SaveCryptsd
from monai.data import MetaTensor
from PIL import Image
from scipy import ndimage

from common.labels.run_lengths import decode_rle, encode_rle
from common.reading.slides import pixel_size_um
from common.reading.windows import TiffWindows
from tools.convert.crypt_masks import find_masks

SHAPE, DOWNSAMPLE = (530, 581), 4  # more than a tile, and partial blocks


def probabilities(seed: int = 0) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(133, 146)), 5)
    return (1 / (1 + np.exp(2 - 5 * noise / noise.std()))).astype(np.float32)


def slide(
    name: str = "/slides/B1_a.ome.tiff",
    probability: np.ndarray | None = None,
    threshold: float = 0.5,
    min_area_um2: float = 625.0,
    **meta,
) -> dict[str, object]:
    probability = probabilities() if probability is None else probability
    meta = {"filename_or_obj": name, "slide_shape": SHAPE, "downsample": DOWNSAMPLE, "pixel_size_um": 0.325} | meta
    image = torch.full((3, *probability.shape), 200, dtype=torch.uint8)
    item = {"image": MetaTensor(image, meta=meta), "pred": MetaTensor(torch.from_numpy(probability)[None])}
    return FindCryptsd("pred", threshold=threshold, min_area_um2=min_area_um2)(item)


def expected_mask(probability: np.ndarray | None = None) -> np.ndarray:
    probability = probabilities() if probability is None else probability
    crypts = find_crypts(probability, SHAPE, DOWNSAMPLE, min_area=math.ceil(625 / 0.325**2))
    return paint(crypts, 0, 0, *SHAPE)


def read_csv(path) -> list[list[str]]:
    limit = csv.field_size_limit(2**31 - 1)
    try:
        with path.open(newline="") as file:
            return list(csv.reader(file))
    finally:
        csv.field_size_limit(limit)


@pytest.mark.parametrize("strip", [1, 7, 64, 512, 5000])
def test_run_lengths_by_strips_are_those_of_the_whole_mask(strip):
    probability = probabilities(1)[:40, :50]
    probability[:, 20:30] = 1  # whole columns: runs go on from strip to strip
    crypts = find_crypts(probability, (160, 199), 4, min_area=0)
    mask = paint(crypts, 0, 0, 160, 199)
    assert mask[:, 90:110].all()
    assert encode_crypts(crypts, mask.shape, strip=strip) == encode_rle(mask)


def test_run_lengths_of_nothing_and_of_everything():
    assert encode_crypts([], (10, 20), strip=4) == "0 0"
    everything = find_crypts(np.ones((5, 10), np.float32), (10, 20), 2, min_area=0)
    assert encode_crypts(everything, (10, 20), strip=3) == "1 200"


def test_rows_of_other_slides_stay_and_ids_are_sorted(tmp_path):
    path = tmp_path / "rle.csv"
    long = " ".join(map(str, range(1, 100_001)))  # longer than the csv module reads without being told
    for identifier, encoding in [("b", long), ("c,d", "0 0"), ("a", "1 2"), ("c,d", "5 6")]:
        put_run_lengths(path, identifier, encoding)
    assert read_csv(path) == [["id", "predicted"], ["a", "1 2"], ["b", long], ["c,d", "5 6"]]
    assert [path.name for path in tmp_path.iterdir()] == ["rle.csv"]


def test_a_slide_whose_name_would_be_a_formula_is_text_in_the_table_and_is_found_again(tmp_path):
    path = tmp_path / "rle.csv"
    for encoding in ("0 0", "1 2"):
        put_run_lengths(path, "=2+5", encoding)
    assert read_csv(path) == [["id", "predicted"], ["'=2+5", "1 2"]]
    assert find_masks(tmp_path, ["=2+5"], path)["=2+5"].read((2, 3)).sum() == 2


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "columns missing"),
        (b"id,rle\na,1 2\n", "columns id,rle"),
        (b"id,predicted\na\n", "line 2 has 1 values"),
        (b"id,predicted\na,1 2\na,3 4\n", "an id has two rows"),
        (b"\xff\xfe", "not a readable CSV"),
    ],
)
def test_a_file_that_is_no_such_table_is_left_alone(tmp_path, content, found):
    path = tmp_path / "rle.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"rle.csv: {found}.*; move it away"):
        put_run_lengths(path, "b", "0 0")
    assert path.read_bytes() == content


def test_mask_is_a_tiled_tiff_at_full_resolution_with_the_size_of_pixels(tmp_path):
    SaveCryptsd("pred", tmp_path / "new" / "folder")(slide())
    path = tmp_path / "new" / "folder" / "B1_a_mask.tiff"
    mask = tifffile.imread(path)
    assert mask.dtype == np.uint8 and set(np.unique(mask)) == {0, 255}
    np.testing.assert_array_equal(mask > 0, expected_mask())
    with TiffWindows(path) as image:
        assert pixel_size_um(image) == pytest.approx(0.325, rel=1e-4)
        assert (image.page.tilelength, image.page.compression.name) == (512, "ADOBE_DEFLATE")


def test_mask_is_painted_a_row_of_tiles_at_a_time(tmp_path, monkeypatch):
    heights = []
    monkeypatch.setattr(saving, "paint", lambda *window: heights.append(window[3]) or paint(*window))
    SaveCryptsd("pred", tmp_path)(slide())
    assert heights == [512, 18]


def test_all_files_are_there_and_agree(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    data = slide()
    assert SaveCryptsd("pred", tmp_path)(data).keys() == data.keys()
    names = ["B1_a_crypts.csv", "B1_a_crypts.geojson", "B1_a_mask.tiff", "B1_a_overlay.png", "rle.csv"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    features = json.loads((tmp_path / "B1_a_crypts.geojson").read_text())["features"]
    header, *rows = read_csv(tmp_path / "B1_a_crypts.csv")
    number = ndimage.label(expected_mask(), np.ones((3, 3)))[1]
    assert len(features) == len(rows) == number > 3
    assert "area_um2" in header
    assert f"wrote {number} crypts of B1_a.ome.tiff to {tmp_path}" in caplog.messages
    with Image.open(tmp_path / "B1_a_overlay.png") as picture:
        assert picture.size == (146, 133)
    assert read_csv(tmp_path / "rle.csv") == [["id", "predicted"], ["B1_a", encode_rle(expected_mask())]]


def test_convert_crypts_reads_run_lengths_and_masks_back(tmp_path):
    SaveCryptsd("pred", tmp_path)(slide())
    masks = find_masks(tmp_path, ["B1_a"], tmp_path / "rle.csv")
    np.testing.assert_array_equal(masks["B1_a"].read(SHAPE), expected_mask())
    folder = tmp_path / "masks"
    folder.mkdir()
    (tmp_path / "B1_a_mask.tiff").rename(folder / "B1_a_mask.tiff")
    np.testing.assert_array_equal(find_masks(tmp_path, ["B1_a"], folder)["B1_a"].read(SHAPE), expected_mask())


def test_convert_crypts_reads_polygons_back_within_their_tolerance(tmp_path):
    SaveCryptsd("pred", tmp_path)(slide())
    folder = tmp_path / "masks"
    folder.mkdir()
    (tmp_path / "B1_a_crypts.geojson").rename(folder / "B1_a.geojson")
    read, expected = find_masks(tmp_path, ["B1_a"], folder)["B1_a"].read(SHAPE), expected_mask()
    assert np.count_nonzero(read & expected) / np.count_nonzero(read | expected) > 0.99


def test_picture_is_fine_enough_to_judge_where_the_network_saw_a_small_slide(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), np.uint8)
    tifffile.imwrite(tmp_path / "B1_a.tiff", pixels, photometric="rgb")
    data = slide(probability=np.zeros((133, 146), np.float32))
    data["image"].meta["filename_or_obj"] = str(tmp_path / "B1_a.tiff")
    SaveCryptsd("pred", tmp_path / "results")(data)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "results" / "B1_a_overlay.png")), pixels)


def test_a_slide_with_unknown_pixels_and_collated_metadata(tmp_path):
    shape = [torch.tensor(SHAPE[0]), torch.tensor(SHAPE[1])]
    data = slide(slide_shape=shape, downsample=torch.tensor(4), pixel_size_um=torch.tensor(0.0))
    SaveCryptsd("pred", tmp_path)(data)
    assert "area_um2" not in read_csv(tmp_path / "B1_a_crypts.csv")[0]
    with TiffWindows(tmp_path / "B1_a_mask.tiff") as image:
        assert image.shape == SHAPE and pixel_size_um(image) is None


def test_probability_is_kept_at_the_working_resolution_where_wanted(tmp_path):
    SaveCryptsd("pred", tmp_path, save_probability=True)(slide())
    written = tifffile.imread(tmp_path / "B1_a_prob.tiff")
    assert written.dtype == np.uint8
    np.testing.assert_allclose(written / 255, probabilities(), atol=0.5001 / 255)
    with TiffWindows(tmp_path / "B1_a_prob.tiff") as image:
        assert pixel_size_um(image) == pytest.approx(4 * 0.325, rel=1e-4)


def test_threshold_and_smallest_area_are_used(tmp_path):
    SaveCryptsd("pred", tmp_path)(slide(pixel_size_um=0.25, threshold=0.8, min_area_um2=250))
    crypts = find_crypts(probabilities(), SHAPE, DOWNSAMPLE, threshold=0.8, min_area=4000)
    _, row = read_csv(tmp_path / "rle.csv")
    np.testing.assert_array_equal(decode_rle(row[1], SHAPE), paint(crypts, 0, 0, *SHAPE))


def test_slides_share_the_run_lengths_and_a_second_run_replaces_its_own(tmp_path):
    save = SaveCryptsd("pred", tmp_path)
    save(slide("b.svs"))
    save(slide("a.tif", probabilities(3)))
    save(slide("b.svs", np.zeros((133, 146), np.float32)))
    rows = read_csv(tmp_path / "rle.csv")
    assert rows == [["id", "predicted"], ["a", encode_rle(expected_mask(probabilities(3)))], ["b", "0 0"]]


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file: cannot write there"):
        SaveCryptsd("pred", tmp_path / "file")(slide())
