"""BIDS microscopy becomes a derivative dataset: fibres, myelin, prompts, pictures and a datalist by subject."""

from __future__ import annotations

import csv
import json
import logging

import numpy as np
import pytest
from PIL import Image

from tools.__main__ import VERBS
from tools.command_line import run
from tools.convert.myelin import convert_myelin
from tools.errors import InputError

SHAPE = (40, 60)
KINDS = ("axon", "myelin")


def drawn(kind: str) -> np.ndarray:
    """Two fibres that touch, as a mask of 0 and 255."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    distance = np.minimum(np.hypot(y - 20, x - 15), np.hypot(y - 20, x - 43))
    axon, fibre = distance < 8, distance < 14.3
    return {
        "axon": axon * np.uint8(255),
        "myelin": (fibre & ~axon) * np.uint8(255),
        "axonmyelin": axon * np.uint8(255) + (fibre & ~axon) * np.uint8(127),
    }[kind]


@pytest.fixture
def save(tmp_path):
    """Function that writes an array as PNG into ``tmp_path/source``."""

    def write(name: str, pixels: np.ndarray) -> None:
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)

    return write


@pytest.fixture
def put_subject(tmp_path, save):
    """Function that writes a subject with one image, and its masks of the given kinds."""

    def write(subject: str, *, kinds: tuple[str, ...] = KINDS, sample: str = "sample-1", sidecar: object = "um") -> str:
        stem = f"{subject}/micr/{subject}_{sample}_TEM"
        save(f"{stem}.png", np.random.default_rng(sum(stem.encode())).integers(0, 255, SHAPE, np.uint8))
        for kind in kinds:
            save(f"derivatives/labels/{stem}_seg-{kind}-manual.png", drawn(kind))
        if sidecar is not None:
            fields = {"PixelSize": [0.02, 0.02], "PixelSizeUnits": sidecar} if isinstance(sidecar, str) else sidecar
            (tmp_path / f"source/{subject}/micr/{subject}_TEM.json").write_text(json.dumps(fields))
        subjects = sorted(path.name for path in (tmp_path / "source").glob("sub-*"))
        (tmp_path / "source/participants.tsv").write_text("participant_id\n" + "\n".join(subjects) + "\n")
        description = {"Name": "nerves", "BIDSVersion": "1.9.0", "License": "MIT", "Authors": ["A. B."]}
        (tmp_path / "source/dataset_description.json").write_text(json.dumps(description))
        return stem

    return write


@pytest.fixture
def convert_nerves(tmp_path):
    """Function that converts the nerves in ``tmp_path/source`` to ``tmp_path/out``."""
    return lambda **options: convert_myelin(tmp_path / "source", tmp_path / "out", **options)


@pytest.fixture
def read(tmp_path):
    """Function that reads an image of the output."""
    return lambda name: np.asarray(Image.open(tmp_path / "out" / name))


@pytest.fixture
def refuses(tmp_path, convert_nerves):
    """Function that converts and expects an error and no output."""

    def check(match: str, error: type[Exception] = InputError, **options) -> None:
        with pytest.raises(error, match=match):
            convert_nerves(**options)
        assert not (tmp_path / "out").exists()

    return check


def test_an_image_becomes_fibres_myelin_prompts_and_a_picture(tmp_path, put_subject, convert_nerves, read, datalist):
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
    labels = read(item["label"])
    assert labels.dtype == np.uint16
    assert np.array_equal(labels > 0, drawn("axonmyelin") > 0)
    assert np.array_equal(read(item["myelin"]), drawn("myelin"))
    assert np.array_equal(read(item["axon"]), drawn("axon"))
    with (tmp_path / "out" / item["prompts"]).open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for row, x in zip(rows, (15, 43), strict=True):
        assert (int(row["x"]), int(row["y"])) == (x, 20)
        own = np.argwhere(labels == int(row["id"]))
        assert [int(row[key]) for key in ("y_min", "x_min")] == own.min(axis=0).tolist()
        assert [int(row[key]) for key in ("y_max", "x_max")] == own.max(axis=0).tolist()
    assert read("sub-a/figures/sub-a_sample-1_TEM_overlay.png").shape == (40, 126, 3)


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
    convert_nerves(num_folds=2, test=["sub-c"])
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


def test_one_mask_of_three_values_says_the_same(put_subject, convert_nerves, read):
    two = put_subject("sub-a")
    one = put_subject("sub-b", kinds=("axonmyelin",))
    convert_nerves()
    assert np.array_equal(read(f"{two}_fibres.png"), read(f"{one}_fibres.png"))
    assert np.array_equal(read(f"{two}_myelin.png"), read(f"{one}_myelin.png"))


def test_tiff_images_and_masks_in_sessions(tmp_path, save, put_subject, convert_nerves, read):
    stem, name = put_subject("sub-a"), "sub-b/ses-1/micr/sub-b_ses-1_sample-1_SEM"
    image = np.random.default_rng(0).integers(0, 255, SHAPE, np.uint8)
    save(f"{name}.tif", image)
    for kind in KINDS:
        save(f"derivatives/labels/{name}_seg-{kind}-manual.tif", drawn(kind))
    assert convert_nerves()["labelled"] == 2
    assert np.array_equal(read(f"{name}_fibres.png"), read(f"{stem}_fibres.png"))
    assert np.array_equal(read(f"{name}.tif"), image)
    assert (tmp_path / "out/sub-b/figures/sub-b_ses-1_sample-1_SEM_overlay.png").is_file()


def test_second_run_writes_nothing_anew_and_a_changed_mask_is_seen(tmp_path, put_subject, save, convert_nerves, read):
    stem = put_subject("sub-a")
    first = convert_nerves()
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/sub-a").rglob("*.*")}
    assert convert_nerves() == first
    assert {path: path.stat().st_mtime_ns for path in times} == times
    axon = drawn("axon")
    axon[:, 30:] = 0
    save(f"derivatives/labels/{stem}_seg-axon-manual.png", axon)
    assert convert_nerves()["fibres"] == 1
    assert read(f"{stem}_fibres.png").max() == 1


def test_more_than_255_fibres(put_subject, save, convert_nerves, read):
    stem = put_subject("sub-a")
    axon = np.zeros((120, 120), np.uint8)
    for shift in ((0, 0), (0, 1), (1, 0), (1, 1)):
        axon[2 + shift[0] :: 6, 2 + shift[1] :: 6] = 255
    save(f"{stem}.png", axon)
    for kind, mask in (("axon", axon), ("myelin", 255 - axon)):
        save(f"derivatives/labels/{stem}_seg-{kind}-manual.png", mask)
    assert convert_nerves()["fibres"] == 400
    assert np.array_equal(np.unique(read(f"{stem}_fibres.png")), np.arange(1, 401))


def test_more_fibres_than_16_bits_can_number(put_subject, save, refuses):
    stem = put_subject("sub-a")
    axon = np.zeros((1030, 1030), np.uint8)
    for dx in range(3):
        axon[::4, dx::4] = 255
    save(f"{stem}.png", axon)
    for kind, mask in (("axon", axon), ("myelin", 255 - axon)):
        save(f"derivatives/labels/{stem}_seg-{kind}-manual.png", mask)
    refuses(r"_seg-axon-manual.png: 66\d\d\d axons, expected at most 65535, .*cut the image and its masks into parts")


def test_axons_without_myelin_and_myelin_without_an_axon_are_reported(
    tmp_path, put_subject, save, convert_nerves, read, caplog
):
    stem = put_subject("sub-a")
    axon, sheath = drawn("axon"), drawn("myelin")
    sheath[:, :29] = 0  # of the left fibre
    sheath[1:4, 1:5] = 255
    save(f"derivatives/labels/{stem}_seg-axon-manual.png", axon)
    save(f"derivatives/labels/{stem}_seg-myelin-manual.png", sheath)
    with caplog.at_level(logging.WARNING):
        report = convert_nerves()
    assert (report["fibres"], report["bare_axons"], report["lone_myelin"]) == (2, 1, 1)
    sidecar = json.loads((tmp_path / f"out/{stem}_fibres.json").read_text())
    bare = int(read(f"{stem}_fibres.png")[20, 15])
    assert sidecar["AxonsWithoutMyelin"] == [bare]
    assert sidecar["MyelinWithoutAxon"] == [{"box": [1, 1, 4, 3], "area_px": 12}]
    assert read(f"{stem}_myelin.png")[2, 2] == 255
    assert f"1 axons without myelin, labels {bare}" in caplog.text
    assert "1 regions of myelin without an axon, 12 pixels" in caplog.text


def with_alpha(pixels: np.ndarray) -> np.ndarray:
    return np.stack([pixels, np.full_like(pixels, 255)], axis=-1)


def test_alpha_channels_are_left_out_with_a_warning(put_subject, save, convert_nerves, read, caplog):
    plain, stem = put_subject("sub-a"), put_subject("sub-b")
    image = np.random.default_rng(0).integers(0, 255, SHAPE, np.uint8)
    save(f"{stem}.png", with_alpha(image))
    save(f"derivatives/labels/{stem}_seg-axon-manual.png", with_alpha(drawn("axon")))
    save(f"derivatives/labels/{stem}_seg-myelin-manual.png", np.stack([drawn("myelin")] * 3 + [image], axis=-1))
    with caplog.at_level(logging.WARNING):
        convert_nerves()
    assert np.array_equal(read(f"{stem}.png"), image)
    assert np.array_equal(read(f"{stem}_fibres.png"), read(f"{plain}_fibres.png"))
    warnings = [record.getMessage() for record in caplog.records if "alpha channel left out" in record.getMessage()]
    assert len(warnings) == 3  # once each
    assert any("see-through" in warning for warning in warnings)


def test_stray_gray_values_are_put_to_the_closest_with_a_warning(put_subject, save, convert_nerves, read, caplog):
    plain, stem, three = put_subject("sub-a"), put_subject("sub-b"), put_subject("sub-c", kinds=("axonmyelin",))
    axon, sheath, both = drawn("axon"), drawn("myelin"), drawn("axonmyelin")
    axon[20, 15], axon[0, 0], sheath[0, 0] = 233, 90, 60
    both[20, 15], both[0, 0] = 233, 60
    save(f"derivatives/labels/{stem}_seg-axon-manual.png", axon)
    save(f"derivatives/labels/{stem}_seg-myelin-manual.png", sheath)
    save(f"derivatives/labels/{three}_seg-axonmyelin-manual.png", both)
    with caplog.at_level(logging.WARNING):
        convert_nerves()
    for name in ("fibres", "myelin", "axon"):
        assert np.array_equal(read(f"{stem}_{name}.png"), read(f"{plain}_{name}.png"))
        assert np.array_equal(read(f"{three}_{name}.png"), read(f"{plain}_{name}.png"))
    assert "seg-axon-manual.png: 2 pixels are gray, expected 0 or 255" in caplog.text
    assert "seg-axonmyelin-manual.png: 2 pixels are gray, expected 0, 127 or 255" in caplog.text


def test_anti_aliased_masks_and_overlap_are_survived_with_a_warning(put_subject, save, convert_nerves, read, caplog):
    stem = put_subject("sub-a")
    smooth = Image.fromarray(drawn("axon")).resize((600, 400)).resize((60, 40), Image.Resampling.BILINEAR)
    save(f"derivatives/labels/{stem}_seg-axon-manual.png", np.asarray(smooth))
    save(f"derivatives/labels/{stem}_seg-myelin-manual.png", (drawn("axonmyelin") > 0) * np.uint8(255))
    with caplog.at_level(logging.WARNING):
        assert convert_nerves()["fibres"] == 2
    assert "pixels are gray, expected 0 or 255; taken as the closest" in caplog.text
    assert "pixels are axon and myelin; taken as axon" in caplog.text
    assert not ((read(f"{stem}_axon.png") > 0) & (read(f"{stem}_myelin.png") > 0)).any()


def test_colour_and_16_bit_become_8_bit_gray_with_a_warning(put_subject, save, convert_nerves, read, caplog):
    colour, deep = put_subject("sub-a"), put_subject("sub-b")
    save(f"{colour}.png", np.full((*SHAPE, 3), (200, 100, 50), np.uint8))
    save(f"{deep}.png", np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE) + 1000)
    with caplog.at_level(logging.WARNING):
        convert_nerves()
    assert np.unique(read(f"{colour}.png")) == [124]
    assert (read(f"{deep}.png").dtype, read(f"{deep}.png").min(), read(f"{deep}.png").max()) == (np.uint8, 0, 255)
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


@pytest.mark.parametrize("kind", ["axon", "myelin", "axonmyelin"])
def test_mask_of_another_shape_names_the_file_before_anything_is_written(put_subject, save, refuses, kind):
    put_subject("sub-a")
    stem = put_subject("sub-b", kinds=(*KINDS, "axonmyelin"))
    save(f"derivatives/labels/{stem}_seg-{kind}-manual.png", drawn(kind)[:, :-1])
    refuses(f"{stem}_seg-{kind}-manual.png: 40 x 59 pixels .height x width., its image 40 x 60; export both alike")


@pytest.mark.parametrize("kind", KINDS)
def test_one_of_two_masks(put_subject, refuses, kind):
    put_subject("sub-a", kinds=(kind,))
    refuses(f"seg-{kind}-manual.png: no {'axon' if kind == 'myelin' else 'myelin'} mask with it")


def test_picture_in_place_of_a_mask(put_subject, save, refuses):
    stem = put_subject("sub-a")
    pixels = np.random.default_rng(0).integers(0, 255, SHAPE, np.uint8)
    save(f"derivatives/labels/{stem}_seg-axon-manual.png", pixels)
    refuses("seg-axon-manual.png: .* pixels above 0 are gray, expected 0 or 25.; export a mask")


@pytest.mark.parametrize("name", ["{}.png", "derivatives/labels/{}_seg-axon-manual.png"])
def test_file_that_is_no_image(tmp_path, put_subject, refuses, name):
    stem = put_subject("sub-a")
    (tmp_path / "source" / name.format(stem)).write_bytes(b"no image")
    refuses(f"{name.format(stem)}: cannot be read .*; export it again")


@pytest.mark.parametrize(
    ("sidecar", "message"),
    [
        ({"PixelSize": [0.1, 0], "PixelSizeUnits": "um"}, r"sub-a_TEM.json: PixelSize \[0.1, 0\] um, expected two"),
        ({"PixelSize": "0.1", "PixelSizeUnits": "um"}, "sub-a_TEM.json: PixelSize 0.1 um, expected two numbers"),
        ({"PixelSize": [1, 1], "PixelSizeUnits": "inch"}, "PixelSizeUnits of um, mm or nm"),
        ([1], "sub-a_TEM.json: a list, expected fields with names"),
    ],
)
def test_sidecar_that_makes_no_sense(put_subject, refuses, sidecar, message):
    put_subject("sub-a", sidecar=sidecar)
    refuses(message)


def test_broken_sidecar(tmp_path, put_subject, refuses):
    put_subject("sub-a")
    (tmp_path / "source/sub-a/micr/sub-a_TEM.json").write_text("{")
    refuses("sub-a_TEM.json: not a readable JSON")


def test_subject_that_is_not_there(put_subject, refuses):
    put_subject("sub-a")
    refuses("--test sub-x: no such subject; known: sub-a, or all", test=["x"])


def test_folder_without_images(tmp_path, refuses):
    refuses("source: no such folder, expected a BIDS dataset", FileNotFoundError)
    (tmp_path / "source").mkdir()
    refuses("source: no image there, expected sub-")


def test_name_of_another_subject_and_two_files_of_one_name(put_subject, save, refuses):
    stem = put_subject("sub-a")
    save("sub-a/micr/sub-b_sample-1_TEM.png", drawn("axon"))
    refuses("sub-b_sample-1_TEM.png: its name does not begin with sub-a_")
    save(f"{stem}.tif", drawn("axon"))
    refuses("sub-a_sample-1_TEM.tif: same name as .*sub-a_sample-1_TEM.png")


def test_source_and_datasets_of_others_are_not_written_to(tmp_path, put_subject):
    put_subject("sub-a")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="holds a BIDS dataset of its own; choose an empty folder"):
        convert_myelin(tmp_path / "source", tmp_path / "source")
    assert sorted(tmp_path.rglob("*")) == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other/dataset_description.json").write_text('{"Name": "raw"}')
    with pytest.raises(InputError, match="other: holds a BIDS dataset of its own"):
        convert_myelin(tmp_path / "source", tmp_path / "other")


def test_tables_and_folders_that_disagree(tmp_path, put_subject, convert_nerves, caplog):
    put_subject("sub-a")
    (tmp_path / "source/participants.tsv").write_text("participant_id\nsub-z\n")
    with caplog.at_level(logging.WARNING):
        convert_nerves()
    assert "sub-a has images but no row" in caplog.text
    assert "sub-z has a row but no image" in caplog.text


def test_mistyped_flag(tmp_path, put_subject, capsys):
    put_subject("sub-a")
    assert run(VERBS, ["convert", "myelin", str(tmp_path / "source"), str(tmp_path / "out"), "--fold", "2"]) == 1
    assert "unknown flag --fold; did you mean --folds?" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
