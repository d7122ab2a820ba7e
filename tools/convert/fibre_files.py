"""What the derivative dataset holds for an image: labels, masks, prompts, a sidecar and a picture to check them by."""

import json
import logging
from dataclasses import asdict
from pathlib import Path

import numpy as np

from common.files import write_text
from common.json_file import read_json
from common.labels.drawing import draw_outlines, side_by_side
from common.labels.fibres import Fibres, label_fibres
from common.names import stem
from tools.convert.bids_microscopy import Micrograph
from tools.convert.dataset import describe
from tools.convert.gray import copy_gray, is_whole_png, target_suffix, write_png
from tools.convert.myelin_masks import is_plain_gray, read_classes, read_micrograph
from tools.convert.prompts import as_tsv, find_prompts

__all__ = ["draw_fibres", "write_image", "write_labelled", "write_text"]

logger = logging.getLogger(__name__)

FIBRE_COLOUR, AXON_COLOUR = (255, 0, 255), (0, 220, 0)
LONE_TINT, BARE_TINT = (255, 60, 0), (255, 230, 0)
GAP_PX, MAX_PX = 6, 2400


def write_image(micrograph: Micrograph, destination: Path, folder: str) -> str:
    """Write an image as 8 bit gray, unless that is done; its path within the dataset.

    A gray one is copied byte by byte. ``folder`` lies in the destination and exists.
    """
    path = micrograph.path
    plain = is_plain_gray(path)
    name = f"{folder}/{stem(path)}{target_suffix(path) if plain else '.png'}"
    if plain:
        copy_gray(path, destination / name)
    elif not is_whole_png(destination / name, description := describe([path])):
        write_png(destination / name, read_micrograph(path, tell=logger.debug), description)
    return name


def write_labelled(micrograph: Micrograph, destination: Path, folder: str, figures: str) -> tuple[dict, dict]:
    """Write what is made from the masks of an image, unless that is done; the folders in the dataset exist.

    Gives the item for its datalist, paths within the dataset of label, myelin, axon and prompts, and what the JSON
    beside the labels says.
    """
    start = f"{folder}/{stem(micrograph.path)}"
    names = {"label": "fibres.png", "myelin": "myelin.png", "axon": "axon.png", "prompts": "prompts.tsv"}
    item = {key: f"{start}_{name}" for key, name in names.items()}
    sidecar_path = destination / f"{start}_fibres.json"
    figure = destination / figures / f"{stem(micrograph.path)}_overlay.png"
    sources = [micrograph.path, *micrograph.masks.values(), *micrograph.sidecars]
    description = f"{describe(sources)} {micrograph.pixel_size_um}"
    pictures = [destination / item["myelin"], destination / item["axon"], figure, destination / item["label"]]
    texts = [sidecar_path, destination / item["prompts"]]  # written before the labels, the last of the pictures
    if all(path.is_file() for path in texts) and all(is_whole_png(path, description) for path in pictures):
        return item, read_json(sidecar_path, "remove it and convert again")
    image = read_micrograph(micrograph.path, tell=logger.debug)
    fibres = label_fibres(*read_classes(micrograph.masks, image.shape, tell=logger.debug))
    sidecar = _sidecar(micrograph, fibres)
    write_text(sidecar_path, json.dumps(sidecar, indent=2, ensure_ascii=False) + "\n")
    write_text(destination / item["prompts"], as_tsv(find_prompts(fibres.labels, fibres.axon)))
    to_gray = np.uint8(255)
    arrays = [
        fibres.myelin * to_gray,
        fibres.axon * to_gray,
        draw_fibres(image, fibres),
        fibres.labels.astype("uint16"),
    ]
    for path, array in zip(pictures, arrays, strict=True):
        write_png(path, array, description)
    return item, sidecar


def draw_fibres(image: np.ndarray, fibres: Fibres) -> np.ndarray:
    """Image, and beside it the image with outlines: fibres magenta, axons green; what is no whole fibre is tinted.

    Parameters
    ----------
    image : ndarray of uint8, shape (Y, X)
        Gray values.
    fibres : Fibres
        What was found in it. Myelin without an axon is tinted red, an axon without myelin yellow.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        Shrunk by a whole factor where a side is longer than 2400 pixels.
    """
    step = -(-max(image.shape) // MAX_PX)
    image, labels, axon, myelin = (a[::step, ::step] for a in (image, fibres.labels, fibres.axon, fibres.myelin))
    plain = np.stack([image] * 3, axis=-1)
    drawn = plain.copy()
    for region, tint in ((myelin & (labels == 0), LONE_TINT), (np.isin(labels, fibres.bare_axons), BARE_TINT)):
        drawn[region] = drawn[region] // 2 + np.array(tint, np.uint8) // 2
    drawn = draw_outlines(drawn, (np.where(axon, labels, 0), AXON_COLOUR), (labels, FIBRE_COLOUR))
    return side_by_side([plain, drawn], GAP_PX)


def _sidecar(micrograph: Micrograph, fibres: Fibres) -> dict[str, object]:
    """What is to be known about the labels of an image."""
    size = micrograph.pixel_size_um
    sources = [micrograph.path, *micrograph.masks.values()]
    return ({"PixelSize": [size[1], size[0]], "PixelSizeUnits": "um"} if size else {}) | {
        "Sources": [path.name for path in sources],
        "NumberOfFibres": int(fibres.labels.max(initial=0)),
        "AxonsWithoutMyelin": list(fibres.bare_axons),
        "MyelinWithoutAxon": [asdict(region) for region in fibres.lone_myelin],
        "Specks": fibres.num_specks,
    }
