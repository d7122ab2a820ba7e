"""Micrographs of nerves in BIDS to a derivative dataset: fibres, myelin, prompts for SAM, and dataset.json."""

import json
import logging
import math
import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from common.datalist import DATALIST, write_dataset
from common.errors import InputError
from common.files import replacing, write_text
from common.labels.fibres import label_axons
from common.names import stem
from tools.command_line import as_verb, at_least, listed
from tools.convert.bids_microscopy import Micrograph, find_micrographs, read_description
from tools.convert.dataset import assign_folds, chosen_units, warn_of_copies, writing_dataset
from tools.convert.fibre_files import write_image, write_labelled
from tools.convert.myelin_masks import read_classes, read_micrograph
from tools.convert.prompts import COLUMNS

__all__ = ["myelin"]

logger = logging.getLogger(__name__)

MAKER = "python -m tools convert myelin"
MAX_FIBRES = 65535  # in a label image of 16 bit
SQUARE = 0.01  # relative difference of width and height up to which a pixel is one
COPIED = ("participants.tsv", "participants.json", "samples.tsv", "samples.json")


@as_verb(source=Path, destination=Path, folds=at_least(1), test=listed)
def myelin(
    source: Path, destination: Path, *, folds: int = 5, test: Sequence[str] = (), name: str = "", licence: str = ""
) -> dict[str, object]:
    """Convert BIDS microscopy of nerves to fibres, myelin maps, prompts for Segment Anything and dataset.json.

    A fibre is an axon with the sheath around it; two sheaths that touch are separated. Everything is checked
    before anything is written, and dataset.json comes last. A second run skips the files that are already there and
    whole.

    Parameters
    ----------
    source : str
        BIDS dataset: sub-*/micr/*_{TEM,SEM,BF}.png or .tif with JSON sidecars, and in derivatives/ the masks
        *_seg-axon-manual.png and *_seg-myelin-manual.png, or *_seg-axonmyelin-manual.png.
    destination : str
        Folder to write to, itself a BIDS derivative: for each image *_fibres.png (16 bit labels), *_myelin.png,
        *_axon.png, *_prompts.tsv and *_fibres.json in sub-*/micr/, a picture to check them by in sub-*/figures/, and
        dataset.json.
    folds : int
        Number of folds; the subjects that are not under testing are dealt out to them.
    test : str
        Subjects that go under testing (sub-01,sub-02), or all. Subjects without any mask always go there.
    name, licence : str
        Texts for dataset.json; they default to those in dataset_description.json.

    Returns
    -------
    dict of str to object
        What was converted: images, labelled, fibres, bare_axons (without myelin), lone_myelin (regions without an
        axon), specks (too small for an axon, left out), training, testing, folds, dataset.

    Raises
    ------
    FileNotFoundError
        If there is no source folder.
    InputError
        If images, masks or sidecars are not what they should be, or the destination cannot be written.
    """
    micrographs = find_micrographs(source)
    description = read_description(source)
    tested = _tested_subjects(micrographs, test, source)
    micrographs = _without_unlabelled(micrographs, tested)
    warn_of_copies({micrograph.path: micrograph.subject for micrograph in micrographs})
    for micrograph in tqdm(micrographs, desc="check myelin", unit="image"):
        _check(micrograph)
    fold_of = assign_folds({micrograph.subject for micrograph in micrographs} - tested, folds)
    with _writing(source, destination, micrographs) as folder:
        datalist: dict[str, Any] = {"name": name or str(description.get("Name") or source.resolve().name)}
        datalist |= {"licence": licence or str(description.get("License") or "unknown"), "unit": "subject"}
        datalist |= {"training": [], "testing": []}
        sidecars = []
        for micrograph in tqdm(micrographs, desc="convert myelin", unit="image"):
            item, sidecar = _convert(micrograph, source, folder)
            sidecars += [sidecar] if sidecar else []
            fold = {"fold": fold_of[micrograph.subject]} if micrograph.subject in fold_of else {}
            datalist["training" if fold else "testing"].append(item | fold)
        _write_description(source, folder, description, datalist)
        write_dataset(folder, **datalist)
    return {
        "images": len(micrographs),
        "labelled": len(sidecars),
        "fibres": sum(sidecar["NumberOfFibres"] for sidecar in sidecars),
        "bare_axons": sum(len(sidecar["AxonsWithoutMyelin"]) for sidecar in sidecars),
        "lone_myelin": sum(len(sidecar["MyelinWithoutAxon"]) for sidecar in sidecars),
        "specks": sum(sidecar["Specks"] for sidecar in sidecars),
        "training": len(datalist["training"]),
        "testing": len(datalist["testing"]),
        "folds": len(set(fold_of.values())),
        "dataset": destination / DATALIST,
    }


def _tested_subjects(micrographs: list[Micrograph], test: Sequence[str], source: Path) -> set[str]:
    """Subjects that go under testing: those named, and those without any mask."""
    known = {micrograph.subject for micrograph in micrographs}
    unlabelled = known - {micrograph.subject for micrograph in micrographs if micrograph.masks}
    named = [of if of == "all" or of.startswith("sub-") else f"sub-{of}" for of in test]
    tested = chosen_units(known, named, source, kind="subject")
    for subject in sorted(unlabelled - tested):
        logger.warning("%s: %s has no mask; its images go under testing", source, subject)
    return tested | unlabelled


def _without_unlabelled(micrographs: list[Micrograph], tested: set[str]) -> list[Micrograph]:
    """The images to convert: those of subjects for training need masks."""
    kept = []
    for micrograph in micrographs:
        if micrograph.masks or micrograph.subject in tested:
            kept.append(micrograph)
        else:
            hint = f"--test {micrograph.subject} keeps it"
            logger.warning("%s: no mask in derivatives/; it is left out, %s", micrograph.path, hint)
    return kept


def _check(micrograph: Micrograph) -> None:
    """Refuse an image or masks that cannot be converted; warn of what has to be put right."""
    image = read_micrograph(micrograph.path)
    if not micrograph.masks:
        return
    axon, _ = read_classes(micrograph.masks, image.shape)
    num_fibres = int(label_axons(axon)[0].max(initial=0))
    if num_fibres > MAX_FIBRES:
        path = micrograph.masks.get("axon") or micrograph.masks["axonmyelin"]
        raise InputError(
            f"{path}: {num_fibres} axons, expected at most {MAX_FIBRES}, which a label image of 16 bit can number; cut "
            "the image and its masks into parts"
        )


def _writing(source: Path, destination: Path, micrographs: list[Micrograph]) -> AbstractContextManager[Path]:
    """As `writing_dataset`; InputError if the destination is the source, or somebody else's."""
    path = destination / "dataset_description.json"
    try:
        known = not path.exists() or any(
            of["Name"] == MAKER for of in json.loads(path.read_text(encoding="utf-8"))["GeneratedBy"]
        )
    except (OSError, ValueError, TypeError, KeyError):
        known = False
    if destination.resolve() == source.resolve() or not known:
        raise InputError(f"{destination}: holds a BIDS dataset of its own; choose an empty folder")
    folders = {folder for micrograph in micrographs for folder in _folders(micrograph, source)}
    return writing_dataset(destination, sorted(folders), (stem(micrograph.path.name) for micrograph in micrographs))


def _folders(micrograph: Micrograph, source: Path) -> tuple[str, str]:
    """Folders within the dataset, of an image and of its picture."""
    return micrograph.path.parent.relative_to(source).as_posix(), f"{micrograph.subject}/figures"


def _convert(micrograph: Micrograph, source: Path, destination: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write what is not whole yet; return the datalist item and what its sidecar says, if it has masks."""
    folder, figures = _folders(micrograph, source)
    item: dict[str, object] = {"image": write_image(micrograph, destination, folder)}
    sidecar: dict[str, Any] = {}
    if micrograph.masks:
        paths, sidecar = write_labelled(micrograph, destination, folder, figures)
        item |= paths
        _report(micrograph.path, sidecar)
    item["subject"] = micrograph.subject
    if micrograph.pixel_size_um:
        item["pixel_size_um"] = _one_size(micrograph.path, *micrograph.pixel_size_um)
    return item, sidecar


def _report(path: Path, sidecar: Mapping[str, Any]) -> None:
    """Say what in the masks is no whole fibre."""
    bare, lone = sidecar["AxonsWithoutMyelin"], sidecar["MyelinWithoutAxon"]
    if bare:
        ids = ", ".join(map(str, bare[:9])) + (", ..." if len(bare) > 9 else "")
        logger.warning("%s: %d axons without myelin, labels %s", path, len(bare), ids)
    if lone:
        pixels = sum(region["area_px"] for region in lone)
        logger.warning("%s: %d regions of myelin without an axon, %d pixels; without a label", path, len(lone), pixels)
    if sidecar["Specks"]:
        logger.warning("%s: %d specks, too small for an axon, left out", path, sidecar["Specks"])


def _one_size(path: Path, height: float, width: float) -> float:
    """Size of a pixel as one number: of one that is not square, of a square with its area."""
    if abs(height - width) > SQUARE * width:
        logger.warning("%s: pixels of %g x %g um; taken as square, of the same area", path, width, height)
    return height if height == width else math.sqrt(height * width)


def _write_description(source: Path, destination: Path, description: dict[str, object], datalist: dict) -> None:
    """Write what makes a folder a BIDS derivative, and copy the tables of subjects and samples."""
    document = {
        "Name": datalist["name"],
        "BIDSVersion": description.get("BIDSVersion", "1.9.0"),
        "DatasetType": "derivative",
        "License": datalist["licence"],
        "GeneratedBy": [{"Name": MAKER, "Description": "Fibres from manual masks"}],
    }
    if "Authors" in description:
        document["Authors"] = description["Authors"]
    if "DatasetDOI" in description:
        document["SourceDatasets"] = [{"DOI": str(description["DatasetDOI"]).removeprefix("doi:")}]
    columns = {column: {"Description": text} for column, text in COLUMNS.items()}
    for name, content in (("dataset_description.json", document), ("prompts.json", columns)):
        write_text(destination / name, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    for name in COPIED:
        if (source / name).is_file():
            with replacing(destination / name) as partial:
                shutil.copyfile(source / name, partial)
