"""BIDS microscopy becomes a derivative dataset: fibres, myelin, prompts, pictures and a datalist by subject."""

import csv
import json
import logging

import numpy as np
import pytest
import tifffile
from PIL import Image

from tools.__main__ import VERBS
from tools.command_line import run

SHAPE = (40, 60)
KINDS = ("axon", "myelin")


def test_an_image_becomes_fibres_myelin_prompts_and_a_picture(
    tmp_path, put_subject, convert_nerves, read_png, datalist, draw_mask
):
    stem = put_subject("sub-a")
    report = convert_nerves()
    assert report | {"dataset": None} == {
        "images": 1,
        "labelled": 1,
        "fibres": 2,
        "bare_axons": 0,
        "lone_myelin": 0,
        "specks": 0,
        "training": 1,
        "testing": 0,
        "folds": 1,
        "dataset": None,
    }
    (item,) = datalist()["training"]
    assert item == {
        "image": f"{stem}.png",
        "label": f"{stem}_fibres.png",
        "myelin": f"{stem}_myelin.png",
        "axon": f"{stem}_axon.png",
        "prompts": f"{stem}_prompts.tsv",
        "subject": "sub-a",
        "pixel_size_um": 0.02,
        "fold": 0,
    }
    assert (tmp_path / "out" / item["image"]).read_bytes() == (tmp_path / "source" / item["image"]).read_bytes()
    labels = read_png(item["label"])
    assert labels.dtype == np.uint16
    assert np.array_equal(labels > 0, draw_mask("axonmyelin") > 0)
    assert np.array_equal(read_png(item["myelin"]), draw_mask("myelin"))
    assert np.array_equal(read_png(item["axon"]), draw_mask("axon"))
    with (tmp_path / "out" / item["prompts"]).open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for row, x in zip(rows, (15, 43), strict=True):
        assert (int(row["x"]), int(row["y"])) == (x, 20)
        own = np.argwhere(labels == int(row["id"]))
        assert [int(row[key]) for key in ("y_min", "x_min")] == own.min(axis=0).tolist()
        assert [int(row[key]) for key in ("y_max", "x_max")] == own.max(axis=0).tolist()
    assert read_png("sub-a/figures/sub-a_sample-1_TEM_overlay.png").shape == (40, 126, 3)


def test_output_is_a_bids_derivative(tmp_path, put_subject, convert_nerves, datalist):
    put_subject("sub-a")
    convert_nerves()
    document = json.loads((tmp_path / "out/dataset_description.json").read_text())
    assert document["DatasetType"] == "derivative"
    assert document["GeneratedBy"][0]["Name"] == "python -m tools convert myelin"
    assert (document["Name"], document["License"], document["BIDSVersion"]) == ("nerves", "MIT", "1.9.0")
    assert (datalist()["name"], datalist()["licence"], datalist()["unit"]) == ("nerves", "MIT", "subject")
    columns = json.loads((tmp_path / "out/prompts.json").read_text())
    header = next((tmp_path / "out").rglob("*_prompts.tsv")).read_text().split("\n")[0]
    assert list(columns) == header.split("\t")
    assert (tmp_path / "out/participants.tsv").read_text() == "participant_id\nsub-a\n"


def test_folds_never_split_a_subject(put_subject, convert_nerves, datalist):
    for subject in ("sub-a", "sub-b", "sub-c", "sub-d"):
        for sample in ("sample-1", "sample-2"):
            put_subject(subject, sample=sample)
    convert_nerves(folds=2, test=["sub-c"])
    folds = {}
    for item in datalist()["training"]:
        folds.setdefault(item["subject"], set()).add(item["fold"])
    assert folds == {"sub-a": {0}, "sub-b": {1}, "sub-d": {0}}
    assert [item["subject"] for item in datalist()["testing"]] == ["sub-c", "sub-c"]
    assert all("label" in item and "fold" not in item for item in datalist()["testing"])


@pytest.mark.parametrize("test", ["all", "a,sub-b"])
def test_all_subjects_under_testing(tmp_path, put_subject, datalist, test):
    put_subject("sub-a")
    put_subject("sub-b")
    assert run(VERBS, ["convert", "myelin", str(tmp_path / "source"), str(tmp_path / "out"), "--test", test]) == 0
    assert (len(datalist()["training"]), len(datalist()["testing"])) == (0, 2)


def test_one_mask_of_three_values_says_the_same(put_subject, convert_nerves, read_png):
    two = put_subject("sub-a")
    one = put_subject("sub-b", kinds=("axonmyelin",))
    convert_nerves()
    assert np.array_equal(read_png(f"{two}_fibres.png"), read_png(f"{one}_fibres.png"))
    assert np.array_equal(read_png(f"{two}_myelin.png"), read_png(f"{one}_myelin.png"))


def test_tiff_images_and_masks_in_sessions(tmp_path, save_png, put_subject, convert_nerves, read_png, draw_mask):
    stem, name = put_subject("sub-a"), "sub-b/ses-1/micr/sub-b_ses-1_sample-1_SEM"
    image = np.random.default_rng(0).integers(0, 255, SHAPE, np.uint8)
    save_png(f"{name}.tif", image)
    for kind in KINDS:
        save_png(f"derivatives/labels/{name}_seg-{kind}-manual.tif", draw_mask(kind))
    assert convert_nerves()["labelled"] == 2
    assert np.array_equal(read_png(f"{name}_fibres.png"), read_png(f"{stem}_fibres.png"))
    assert np.array_equal(read_png(f"{name}.tif"), image)
    assert (tmp_path / "out/sub-b/figures/sub-b_ses-1_sample-1_SEM_overlay.png").is_file()


def test_second_run_writes_nothing_anew_and_a_changed_mask_is_seen(
    tmp_path, put_subject, save_png, convert_nerves, read_png, draw_mask
):
    stem = put_subject("sub-a")
    first = convert_nerves()
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/sub-a").rglob("*.*")}
    assert convert_nerves() == first
    assert {path: path.stat().st_mtime_ns for path in times} == times
    axon = draw_mask("axon")
    axon[:, 30:] = 0
    save_png(f"derivatives/labels/{stem}_seg-axon-manual.png", axon)
    assert convert_nerves()["fibres"] == 1
    assert read_png(f"{stem}_fibres.png").max() == 1


def test_axons_without_myelin_and_myelin_without_an_axon_are_reported(
    tmp_path, put_subject, save_png, convert_nerves, read_png, caplog, draw_mask
):
    stem = put_subject("sub-a")
    axon, sheath = draw_mask("axon"), draw_mask("myelin")
    sheath[:, :29] = 0  # of the left fibre
    sheath[1:4, 1:5] = 255
    save_png(f"derivatives/labels/{stem}_seg-axon-manual.png", axon)
    save_png(f"derivatives/labels/{stem}_seg-myelin-manual.png", sheath)
    with caplog.at_level(logging.WARNING):
        report = convert_nerves()
    assert (report["fibres"], report["bare_axons"], report["lone_myelin"]) == (2, 1, 1)
    sidecar = json.loads((tmp_path / f"out/{stem}_fibres.json").read_text())
    bare = int(read_png(f"{stem}_fibres.png")[20, 15])
    assert sidecar["AxonsWithoutMyelin"] == [bare]
    assert sidecar["MyelinWithoutAxon"] == [{"box": [1, 1, 4, 3], "area_px": 12}]
    assert read_png(f"{stem}_myelin.png")[2, 2] == 255
    assert f"1 axons without myelin, labels {bare}" in caplog.text
    assert "1 regions of myelin without an axon, 12 pixels" in caplog.text


def with_alpha(pixels: np.ndarray) -> np.ndarray:
    return np.stack([pixels, np.full_like(pixels, 255)], axis=-1)


def test_alpha_channels_are_left_out_with_a_warning(put_subject, save_png, convert_nerves, read_png, caplog, draw_mask):
    plain, stem = put_subject("sub-a"), put_subject("sub-b")
    image = np.random.default_rng(0).integers(0, 255, SHAPE, np.uint8)
    save_png(f"{stem}.png", with_alpha(image))
    save_png(f"derivatives/labels/{stem}_seg-axon-manual.png", with_alpha(draw_mask("axon")))
    save_png(f"derivatives/labels/{stem}_seg-myelin-manual.png", np.stack([draw_mask("myelin")] * 3 + [image], axis=-1))
    with caplog.at_level(logging.WARNING):
        convert_nerves()
    assert np.array_equal(read_png(f"{stem}.png"), image)
    assert np.array_equal(read_png(f"{stem}_fibres.png"), read_png(f"{plain}_fibres.png"))
    warnings = [record.getMessage() for record in caplog.records if "alpha channel left out" in record.getMessage()]
    assert len(warnings) == 3  # once each
    assert any("see-through" in warning for warning in warnings)


def test_stray_gray_values_are_put_to_the_closest_with_a_warning(
    put_subject, save_png, convert_nerves, read_png, caplog, draw_mask
):
    plain, stem, three = put_subject("sub-a"), put_subject("sub-b"), put_subject("sub-c", kinds=("axonmyelin",))
    axon, sheath, both = draw_mask("axon"), draw_mask("myelin"), draw_mask("axonmyelin")
    axon[20, 15], axon[0, 0], sheath[0, 0] = 233, 90, 60
    both[20, 15], both[0, 0] = 233, 60
    save_png(f"derivatives/labels/{stem}_seg-axon-manual.png", axon)
    save_png(f"derivatives/labels/{stem}_seg-myelin-manual.png", sheath)
    save_png(f"derivatives/labels/{three}_seg-axonmyelin-manual.png", both)
    with caplog.at_level(logging.WARNING):
        convert_nerves()
    for name in ("fibres", "myelin", "axon"):
        assert np.array_equal(read_png(f"{stem}_{name}.png"), read_png(f"{plain}_{name}.png"))
        assert np.array_equal(read_png(f"{three}_{name}.png"), read_png(f"{plain}_{name}.png"))
    assert "seg-axon-manual.png: 2 pixels are gray, expected 0 or 255" in caplog.text
    assert "seg-axonmyelin-manual.png: 2 pixels are gray, expected 0, 127 or 255" in caplog.text


def test_anti_aliased_masks_and_overlap_are_survived_with_a_warning(
    put_subject, save_png, convert_nerves, read_png, caplog, draw_mask
):
    stem = put_subject("sub-a")
    smooth = Image.fromarray(draw_mask("axon")).resize((600, 400)).resize((60, 40), Image.Resampling.BILINEAR)
    save_png(f"derivatives/labels/{stem}_seg-axon-manual.png", np.asarray(smooth))
    save_png(f"derivatives/labels/{stem}_seg-myelin-manual.png", (draw_mask("axonmyelin") > 0) * np.uint8(255))
    with caplog.at_level(logging.WARNING):
        assert convert_nerves()["fibres"] == 2
    assert "pixels are gray, expected 0 or 255; taken as the closest" in caplog.text
    assert "pixels are axon and myelin; taken as axon" in caplog.text
    assert not ((read_png(f"{stem}_axon.png") > 0) & (read_png(f"{stem}_myelin.png") > 0)).any()


def test_colour_and_16_bit_become_8_bit_gray_with_a_warning(put_subject, save_png, convert_nerves, read_png, caplog):
    colour, deep = put_subject("sub-a"), put_subject("sub-b")
    save_png(f"{colour}.png", np.full((*SHAPE, 3), (200, 100, 50), np.uint8))
    save_png(f"{deep}.png", np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE) + 1000)
    with caplog.at_level(logging.WARNING):
        convert_nerves()
    assert np.unique(read_png(f"{colour}.png")) == [124]
    assert (read_png(f"{deep}.png").dtype, read_png(f"{deep}.png").min(), read_png(f"{deep}.png").max()) == (
        np.uint8,
        0,
        255,
    )
    assert "in colour; taken as gray by its luminance" in caplog.text
    assert "16 bit; stretched from 1000 to 3399 to 8 bit" in caplog.text


@pytest.mark.parametrize(
    ("sidecar", "message"),
    [
        (None, "no JSON sidecar; lengths will be in pixels instead of um"),
        ({"BodyPart": "BRAIN"}, "no PixelSize in sub-a_TEM.json; lengths will be in pixels"),
        ({"PixelSize": [0.1, 0.1]}, "no PixelSizeUnits in sub-a_TEM.json; lengths will be in pixels"),
    ],
)
def test_unknown_pixel_size_is_left_out_with_a_warning(put_subject, convert_nerves, datalist, caplog, sidecar, message):
    put_subject("sub-a", sidecar=sidecar)
    with caplog.at_level(logging.WARNING):
        convert_nerves()
    assert message in caplog.text
    assert "pixel_size_um" not in datalist()["training"][0]


@pytest.mark.parametrize(("unit", "size"), [("um", 0.02), ("nm", 0.00002), ("mm", 20.0)])
def test_units_of_the_pixel_size(put_subject, convert_nerves, datalist, unit, size):
    put_subject("sub-a", sidecar=unit)
    convert_nerves()
    assert datalist()["training"][0]["pixel_size_um"] == pytest.approx(size)


def test_the_sidecar_closest_to_the_image_wins(tmp_path, put_subject, convert_nerves, datalist):
    put_subject("sub-a")
    put_subject("sub-b", sidecar=None)
    (tmp_path / "source/TEM.json").write_text('{"PixelSize": [0.5, 0.5], "PixelSizeUnits": "um"}')
    (tmp_path / "source/SEM.json").write_text('{"PixelSize": [9, 9], "PixelSizeUnits": "um"}')
    (tmp_path / "source/sub-a/micr/sub-a_sample-1_TEM.json").write_text('{"PixelSize": [0.3, 0.3]}')
    convert_nerves()
    assert [item["pixel_size_um"] for item in datalist()["training"]] == [0.3, 0.5]


def test_images_without_masks(put_subject, convert_nerves, datalist, caplog):
    put_subject("sub-a")
    put_subject("sub-a", sample="sample-2", kinds=())
    put_subject("sub-b", kinds=())
    with caplog.at_level(logging.WARNING):
        convert_nerves()
    assert [item["image"] for item in datalist()["training"]] == ["sub-a/micr/sub-a_sample-1_TEM.png"]
    assert datalist()["testing"] == [
        {"image": "sub-b/micr/sub-b_sample-1_TEM.png", "subject": "sub-b", "pixel_size_um": 0.02}
    ]
    assert "sub-b has no mask; its images go under testing" in caplog.text
    assert "sub-a_sample-2_TEM.png: no mask in derivatives/; it is left out, --test sub-a keeps it" in caplog.text


def test_tables_and_folders_that_disagree(tmp_path, put_subject, convert_nerves, caplog):
    put_subject("sub-a")
    (tmp_path / "source/participants.tsv").write_text("participant_id\nsub-z\n")
    with caplog.at_level(logging.WARNING):
        convert_nerves()
    assert "sub-a has images but no row" in caplog.text
    assert "sub-z has a row but no image" in caplog.text


def test_pixel_size_is_the_images_own_where_no_sidecar_gives_it(tmp_path, put_subject, convert_nerves, datalist):
    path = tmp_path / "source" / f"{put_subject('sub-a', sidecar=None)}.png"
    about = {"axes": "YX", "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.2}
    tifffile.imwrite(path.with_suffix(".ome.tif"), np.asarray(Image.open(path)), metadata=about)
    path.unlink()
    convert_nerves()
    assert datalist()["training"][0]["pixel_size_um"] == pytest.approx(0.2)
