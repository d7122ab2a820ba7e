"""LIVECell, or any COCO instance JSON, to gray images, instance label maps and dataset.json."""

import hashlib
import logging
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from common.datalist import DATALIST, write_dataset
from common.errors import InputError
from tools.command_line import as_verb, at_least, listed, positive
from tools.convert.coco import read_coco
from tools.convert.contours import draw_labels, find_duplicates, find_hidden
from tools.convert.dataset import assign_folds, chosen_units, find_unit, writing_dataset
from tools.convert.gray import copy_gray, is_whole_png, read_gray, target_suffix, write_png
from tools.convert.livecell_flaws import Frame, drop_duplicates, find_leaks, find_sparse
from tools.convert.livecell_layout import PLAIN, Split, find_splits, match_images

__all__ = ["livecell"]

logger = logging.getLogger(__name__)

OFFICIAL_FOLDS = {"val": 0, "train": 1}
WELL = re.compile(r"([^_]+_Phase_[^_]+)_")  # A172_Phase_A7_1_00d00h00m_1: images of one well are alike


@as_verb(source=Path, destination=Path, min_share=positive, images=Path, folds=at_least(1), test=listed)
def livecell(
    source: Path,
    destination: Path,
    *,
    clean: bool = False,
    min_share: float = 0.05,
    images: Path | None = None,
    folds: int | None = None,
    group: str = "",
    test: Sequence[str] = (),
    name: str = "",
    licence: str = "",
) -> dict[str, object]:
    """Convert LIVECell, or plain COCO instances, to gray images, 16 bit label maps and dataset.json.

    LIVECell's own splits are kept: val is fold 0, train is fold 1, test goes under testing. The part of an image's name
    before its first underscore is its cell type. If objects overlap, a pixel belongs to the smaller one (to the later
    annotation if they are equal); crowd regions are below single cells. Labels are numbered from 1 in the order of the
    annotations, without gaps: an object that others hide entirely has no number. Everything is checked before anything
    is written, and dataset.json comes last. A second run skips the files that are already there and whole.

    Parameters
    ----------
    source : str
        Folder with annotations/livecell_coco_{train,val,test}.json (one or more of these), and the images in
        images/livecell_train_val_images and images/livecell_test_images or in folders below. Or a COCO instance JSON,
        or a folder with one.
    destination : str
        Folder to write images/, labels/ and dataset.json to.
    clean : bool
        Drop what is otherwise only reported: objects that cover the same pixels as another, the copy outside the test
        split (or else in train) of an image that is in two splits, the second copy in plain COCO, and nearly
        unannotated images, also of the test split.
    min_share : float
        An image is nearly unannotated if it has no object, or fewer than this share of its cell type's median.
    images : str
        Folder of images; without it SRC/images. For a plain JSON images/ beside or above it, else the JSON's folder.
    folds : int
        Plain COCO only: number of folds, 5 if not given.
    group : str
        Regular expression whose first group, found in an image's name, is the unit that its scores count by and that
        folds of plain COCO never split, such as `(well_[A-Z][0-9]+)`; without it LIVECell's well, else every image.
    test : str
        Plain COCO only: units that go under testing, as --group finds them (well_A1,well_B2), or all.
    name, licence : str
        Texts for dataset.json; they default to the source's name and to the licence in the JSON.

    Returns
    -------
    dict of str to object
        What was found, dropped and written: images, objects, overlaid (hidden entirely by others), crowd, duplicates,
        in_two_splits (or twice in plain COCO), without_objects, nearly_unannotated, not_annotated (files that no JSON
        names), dropped_objects, dropped_images, training, testing, dataset.

    Raises
    ------
    FileNotFoundError
        If there is no source or no folder of images.
    InputError
        If annotations or images are not what they should be, or the destination cannot be written.
    """
    splits = find_splits(source, images)
    plain = splits[0].name == PLAIN
    if not plain and (folds or test):
        raise InputError(f"{source}: --folds and --test are for plain COCO; LIVECell has its own splits")
    frames, found_licence, num_others = _read_frames(splits)
    units = {frame.stem: find_unit(frame.stem, group) for frame in frames} if plain or group else _wells(frames)
    tested = chosen_units(units.values(), test, source, kind="unit") if plain else set()
    fold_of = assign_folds(set(units.values()) - tested, folds or 5) if plain else {}
    unit_of = {id(frame): units[frame.stem] for frame in frames}
    has_groups = any(unit != stem for stem, unit in units.items())
    splits_of: dict[str, set[str]] = {}
    for frame in frames:
        splits_of.setdefault(units[frame.stem], set()).add(frame.split)
    if shared := sorted(unit for unit, of in splits_of.items() if len(of) > 1):
        logger.warning(
            "%s: %d groups are in two splits, such as %s, so that scores are too good for images of others",
            *(source, len(shared), shared[0]),
        )
    frames, report = _examine(frames, clean=clean, min_share=min_share)
    with writing_dataset(destination, ("images", "labels"), (frame.stem for frame in frames)) as folder:
        datalist: dict[str, Any] = {
            "name": name or source.resolve().stem,
            "licence": licence or found_licence or "unknown",
        }
        datalist |= ({"unit": "group"} if has_groups else {}) | {"training": [], "testing": []}
        num_overlaid = 0
        for frame in tqdm(frames, desc="convert livecell", unit="image"):
            item, num_hidden = _write_frame(frame, folder)
            num_overlaid += num_hidden
            item |= {"group": unit_of[id(frame)]} if has_groups else {}
            fold = fold_of.get(unit_of[id(frame)]) if plain else OFFICIAL_FOLDS.get(frame.split)
            datalist["testing" if fold is None else "training"].append(item | ({} if fold is None else {"fold": fold}))
        for part in ("training", "testing"):
            datalist[part].sort(key=lambda item: item["image"])
        if not plain and not any(item["fold"] == 0 for item in datalist["training"]):
            logger.warning("%s: no val split, so no training item has fold 0, which bundles validate on", source)
        write_dataset(folder, **datalist)
    written = {"images": len(frames), "objects": sum(len(frame.objects) for frame in frames), "overlaid": num_overlaid}
    counts = {"training": len(datalist["training"]), "testing": len(datalist["testing"])}
    return written | report | {"not_annotated": num_others} | counts | {"dataset": destination / DATALIST}


def _read_frames(splits: list[Split]) -> tuple[list[Frame], str, int]:
    """All images with their objects, checked; the licence; the number of image files without a record."""
    frames, licences = [], []
    seen: dict[Path, set[Path]] = {}
    totals: dict[Path, int] = {}
    for split in splits:
        coco = read_coco(split.annotations)
        files, others = match_images(split.images, [image.file_name for image in coco.images], split.annotations)
        seen.setdefault(split.images, set()).update(files.values())
        totals[split.images] = others + len(files)
        licences.append(coco.licence)
        for image in tqdm(coco.images, desc=f"check {split.name}", unit="image"):
            path = files[image.file_name]
            pixels = read_gray(path)
            if pixels.shape != image.shape:
                found, told = (f"{shape[1]} x {shape[0]}" for shape in (pixels.shape, image.shape))
                raise InputError(
                    f"{path}: {found} pixels (width x height), expected {told} as {split.annotations.name} says; "
                    "use the image that was annotated"
                )
            digest = hashlib.sha1(f"{pixels.shape}".encode() + pixels.tobytes()).digest()
            cell_type = path.stem.split("_")[0] if "_" in path.stem else "unknown"
            frame = Frame(split.name, path, path.stem, cell_type, digest, image.shape, image.objects, image.crowd)
            frames.append(frame)
    num_others = sum(total - len(seen[folder]) for folder, total in totals.items())
    if num_others:
        logger.info("%d images are in no annotation file and are left out", num_others)
    return frames, next(filter(None, licences), ""), num_others


def _examine(frames: list[Frame], *, clean: bool, min_share: float) -> tuple[list[Frame], dict[str, int]]:
    """The frames to write, each with a stem of its own, and what was found and dropped."""
    leaks = find_leaks(frames)
    sparse = find_sparse(frames, min_share)
    duplicates = [len(find_duplicates(frame.objects)) for frame in frames]
    report = {
        "crowd": sum(sum(frame.crowd) for frame in frames),
        "duplicates": sum(duplicates),
        "in_two_splits": len(leaks),
        "without_objects": sum(not frame.objects for frame in frames),
        "nearly_unannotated": len(sparse),
    }
    for kept, copy in leaks:
        fate = "the latter is dropped" if clean else "--clean drops the latter"
        logger.warning("%s (%s) and %s (%s) are one image; %s", kept.path, kept.split, copy.path, copy.split, fate)
    for frame in sparse:
        logger.info("%s (%s): %d objects, nearly unannotated", frame.path.name, frame.split, len(frame.objects))
    if sum(duplicates):
        logger.info("%d objects in %d images have a twin", sum(duplicates), np.count_nonzero(duplicates))
    dropped = {id(frame) for frame in [copy for _, copy in leaks] + sparse} if clean else set()
    kept_frames = [frame for frame in frames if id(frame) not in dropped]
    if not kept_frames:
        raise InputError(f"{frames[0].path.parent}: --clean leaves no image; convert without it")
    num_dropped = sum(drop_duplicates(frame) for frame in kept_frames) if clean else 0
    taken: set[str] = set()
    for frame in kept_frames:  # a copy of another split gets a name of its own
        frame.stem = f"{frame.stem}_{frame.split}" if frame.stem in taken else frame.stem
        taken.add(frame.stem)
    return kept_frames, report | {"dropped_objects": num_dropped, "dropped_images": len(dropped)}


def _write_frame(frame: Frame, destination: Path) -> tuple[dict[str, Any], int]:
    """Write image and labels that are not whole yet; return the datalist item and how many objects others hide."""
    item = {
        "image": f"images/{frame.stem}{target_suffix(frame.path)}",
        "label": f"labels/{frame.stem}.png",
        "cell_type": frame.cell_type,
    }
    copy_gray(frame.path, destination / item["image"])
    labels = draw_labels(frame.objects, frame.shape, beneath=frame.crowd)
    hidden = find_hidden(labels, len(frame.objects))
    if hidden:
        numbers = np.ones(len(frame.objects) + 1, np.uint16)
        numbers[0], numbers[np.array(hidden) + 1] = 0, 0
        labels = np.cumsum(numbers, dtype=np.uint16)[labels]
    description = f"{frame.path.name} {zlib.crc32(labels.tobytes()):08x}".encode("ascii", "replace").decode()
    if not is_whole_png(destination / item["label"], description):
        write_png(destination / item["label"], labels, description)
    return item, len(hidden)


def _wells(frames: list[Frame]) -> dict[str, str]:
    """Well of each image by its stem; an image that is not named as LIVECell's stands for itself."""
    wells = {frame.stem: WELL.match(frame.stem) for frame in frames}
    return {stem: well[1] if well else stem for stem, well in wells.items()}
