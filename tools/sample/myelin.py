"""Synthetic electron microscopy of nerves in BIDS."""

import io
import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from tools.command_line import as_verb, at_least
from tools.sample.files import complete_files, tools_command, write_files
from tools.sample.nerve import PIXEL_SIZE_UM, draw_nerve

__all__ = ["draw_files", "myelin", "write_images"]

NUM_SAMPLES = 2  # of each subject
MYELIN_VALUE = 127
DESCRIPTION = {"Name": "synthetic nerve", "BIDSVersion": "1.9.0", "License": "CC0-1.0", "Authors": ["tools.sample"]}


@as_verb(destination=Path, seed=at_least(0), num_subjects=at_least(1), size=at_least(64))
def myelin(destination: Path, *, seed: int = 0, num_subjects: int = 4, size: int = 256) -> dict[str, object]:
    """Write synthetic electron micrographs of nerves with their masks, in BIDS; the same seed gives the same bytes.

    Parameters
    ----------
    destination : str
        Folder to write sub-*/micr/, derivatives/labels/ and the tables to.
    seed : int
        Another number gives other images.
    num_subjects : int
        Number of subjects, two images each; the last of several is meant for testing.
    size : int
        Height and width of an image in pixels, at least 64.
    """
    draw = partial(draw_files, seed=seed, num_subjects=num_subjects, size=size)
    complete_files(destination, draw, [path for path in destination.rglob("[!.]*") if path.is_file()])
    words = ["convert", "myelin", destination, f"{destination}_dataset"]
    if num_subjects > 1:
        words += ["--test", _subject(num_subjects - 1), "--folds", num_subjects - 1]
    return {"images": num_subjects * NUM_SAMPLES, "folder": destination, "next": tools_command(*words)}


def draw_files(*, seed: int = 0, num_subjects: int = 4, size: int = 256) -> Iterator[tuple[str, bytes]]:
    """Draw the dataset, one file, its path and content, at a time.

    An image depends on the seed, its subject, of whom there are two images each, its number there, its size (height and
    width in pixels) and nothing else.
    """
    subjects = [_subject(index) for index in range(num_subjects)]
    samples = [f"sample-{index + 1}" for index in range(NUM_SAMPLES)]
    yield "dataset_description.json", _json(DESCRIPTION)
    yield (
        "derivatives/labels/dataset_description.json",
        _json(DESCRIPTION | {"DatasetType": "derivative", "GeneratedBy": [{"Name": "tools.sample"}]}),
    )
    yield "participants.tsv", _tsv([("participant_id", "species"), *((subject, "synthetic") for subject in subjects)])
    rows = [(sample, subject, "tissue") for subject in subjects for sample in samples]
    yield "samples.tsv", _tsv([("sample_id", "participant_id", "sample_type"), *rows])
    for index, subject in enumerate(subjects):
        sidecar = {"PixelSize": [PIXEL_SIZE_UM] * 2, "PixelSizeUnits": "um", "SampleEnvironment": "in silico"}
        yield f"{subject}/micr/{subject}_TEM.json", _json(sidecar)
        for number, sample in enumerate(samples):
            image, labels, axon = draw_nerve(np.random.default_rng([seed, index, number]), size)
            name, myelin = f"{subject}/micr/{subject}_{sample}_TEM", (labels > 0) & ~axon
            yield f"{name}.png", _png(image)
            masks = {"axon": axon * 255, "myelin": myelin * 255, "axonmyelin": axon * 255 + myelin * MYELIN_VALUE}
            for kind, mask in masks.items():
                yield f"derivatives/labels/{name}_seg-{kind}-manual.png", _png(mask.astype(np.uint8))


def write_images(folder: Path) -> list[Path]:
    """Write the micrographs of one subject, larger than those of the sample."""
    return write_files(folder, (file for file in draw_files(num_subjects=1, size=384) if _is_micrograph(file[0])))


def _is_micrograph(name: str) -> bool:
    return fnmatchcase(name, "sub-*/micr/*.png")


def _subject(index: int) -> str:
    return f"sub-{index + 1:02d}"


def _json(document: Mapping[str, object]) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode()


def _tsv(rows: list[tuple[str, ...]]) -> bytes:
    return "".join("\t".join(row) + "\n" for row in rows).encode()


def _png(pixels: np.ndarray) -> bytes:
    """An image as the bytes of a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()
