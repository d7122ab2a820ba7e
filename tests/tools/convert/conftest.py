"""Converting what the helpers have drawn."""

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from common.errors import InputError
from tools.convert.crypts import crypts as convert_crypts
from tools.convert.ctc import ctc as convert_ctc
from tools.convert.livecell import livecell as convert_livecell
from tools.convert.myelin import myelin as convert_myelin

SPACING = (2.0, 0.7, 0.5)


@pytest.fixture
def convert(tmp_path):
    """Function that converts ``tmp_path/source`` to ``tmp_path/out``."""
    return lambda **options: convert_ctc(tmp_path / "source", tmp_path / "out", **{"spacing": SPACING} | options)


@pytest.fixture
def refusal(tmp_path):
    """Function that makes of a converter one that expects an error, and no output."""

    def of(convert: Callable[..., object]) -> Callable[..., None]:
        def check(match: str, error: type[Exception] = InputError, **options) -> None:
            with pytest.raises(error, match=match):
                convert(**options)
            assert not (tmp_path / "out").exists()

        return check

    return of


@pytest.fixture
def load(tmp_path):
    """Function that reads a volume of the output as (Z, Y, X)."""
    return lambda name: np.asarray(nib.load(tmp_path / "out" / name).dataobj).transpose(2, 1, 0)


@pytest.fixture
def put_slide(put):
    """Function that writes an RGB slide of 40 x 50 pixels, no two alike, or the given one, to ``tmp_path/source``."""

    def write(name: str, pixels: np.ndarray | None = None, **options) -> np.ndarray:
        if pixels is None:
            pixels = np.random.default_rng(sum(name.encode())).integers(70, 210, (40, 50, 3), np.uint8)
        put(name, pixels, **{"photometric": "rgb"} | options)
        return pixels

    return write


@pytest.fixture
def put_text(tmp_path):
    """Function that writes a text file into ``tmp_path``."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


@pytest.fixture
def convert_slides(tmp_path):
    """Function that converts the slides in ``tmp_path/source`` to ``tmp_path/out``."""
    return lambda **options: convert_crypts(tmp_path / "source", tmp_path / "out", **options)


@pytest.fixture
def coco_document():
    """Function that makes a COCO document; each image is a name and its annotations (segmentations or whole dicts)."""

    def make(images: dict[str, list], shape: tuple[int, int] = (40, 50)) -> dict:
        document = {"licenses": [{"id": 1, "name": "CC0"}], "images": [], "annotations": []}
        document["categories"] = [{"id": 1, "name": "cell"}]
        for number, (name, objects) in enumerate(images.items(), 1):
            document["images"].append({"id": number, "file_name": name, "height": shape[0], "width": shape[1]})
            for annotation in objects:
                if not isinstance(annotation, dict) or "segmentation" not in annotation:
                    annotation = {"segmentation": annotation}
                key = len(document["annotations"]) + 1
                standard = {"id": key, "image_id": number, "category_id": 1, "iscrowd": 0}
                document["annotations"].append(standard | annotation)
        return document

    return make


@pytest.fixture
def put_split(put, put_text, coco_document):
    """Function that writes a split in LIVECell's layout, 40 x 50 pixels unlike any other's, to ``tmp_path/source``."""

    def write(split: str, images: dict[str, list], *, folder: str = "", document: dict | None = None) -> Path:
        place = "livecell_test_images" if split == "test" else "livecell_train_val_images"
        for name in images:
            pixels = np.random.default_rng(list(name.encode())).integers(0, 256, (40, 50), np.uint8)
            put(f"images/{place}/{folder}{name}", pixels)
        document = document or coco_document(images)
        return put_text(f"source/annotations/livecell_coco_{split}.json", json.dumps(document))

    return write


@pytest.fixture
def convert_cells(tmp_path):
    """Function that converts the cells in ``tmp_path/source`` to ``tmp_path/out``."""
    return lambda **options: convert_livecell(tmp_path / "source", tmp_path / "out", **options)


@pytest.fixture
def draw_mask():
    """Function that draws two fibres that touch, 40 x 60 pixels, as a mask of axon, myelin or both."""
    y, x = np.mgrid[:40, :60]
    distance = np.minimum(np.hypot(y - 20, x - 15), np.hypot(y - 20, x - 43))
    axon, fibre = distance < 8, distance < 14.3
    white = np.uint8(255)
    masks = {"axon": axon * white, "myelin": (fibre & ~axon) * white, "axonmyelin": axon * white}
    masks["axonmyelin"] = masks["axonmyelin"] + (fibre & ~axon) * np.uint8(127)
    return lambda kind: masks[kind].copy()


@pytest.fixture
def save_png(tmp_path):
    """Function that writes an array as PNG into ``tmp_path/source``."""

    def write(name: str, pixels: np.ndarray) -> None:
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)

    return write


@pytest.fixture
def put_subject(tmp_path, save_png, draw_mask):
    """Function that writes a subject with one image, and its masks of the given kinds."""

    def write(
        subject: str, *, kinds: tuple[str, ...] = ("axon", "myelin"), sample: str = "sample-1", sidecar: object = "um"
    ) -> str:
        stem = f"{subject}/micr/{subject}_{sample}_TEM"
        save_png(f"{stem}.png", np.random.default_rng(sum(stem.encode())).integers(0, 255, (40, 60), np.uint8))
        for kind in kinds:
            save_png(f"derivatives/labels/{stem}_seg-{kind}-manual.png", draw_mask(kind))
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
def read_png(tmp_path):
    """Function that reads an image of the output."""
    return lambda name: np.asarray(Image.open(tmp_path / "out" / name))
