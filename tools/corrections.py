"""Results that somebody corrected, kept as a dataset that a bundle is fine-tuned on."""

import shlex
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from common.datalist import DATALIST, Dataset, Item, read_dataset, write_dataset
from common.errors import InputError
from common.files import holding, prepare_output_dir, replacing
from common.labels.fibres import label_fibres
from common.reading import nifti
from common.reading.images import is_volume, read_image
from common.tiled_tiff import write_tiled
from tools.bundles import read_metadata
from tools.command_line import as_verb
from tools.convert.dataset import CORRECTED, check_objects
from tools.convert.drawn import OUTLINES, read_outlines
from tools.formats.saving import as_objects, smallest_type
from tools.formats.scenes import PICKS
from tools.segment.description import Description, describe
from tools.segment.inputs import prepare_image
from tools.segment.results import safe_stem

__all__ = ["add_correction", "classes_of", "correct"]

NUM_FOLDS = 5  # for who validates on a part; fine-tuning uses all
MAX_LABEL = np.iinfo(np.int32).max  # that torch holds
MIRAX = ".mrxs"  # whose pixels are in a folder beside it


@as_verb(image=Path, labels=Path, dataset_dir=Path)
def correct(
    bundle: str,
    image: Path,
    labels: Path,
    dataset_dir: Path,
    *,
    spacing: str = "",
    scene: str = "",
    channel: str = "",
    time: str = "",
    test: bool = False,
) -> dict[str, object]:
    """Keep an image and its corrected labels in a dataset that `finetune` trains on.

    The dataset grows with each call; an image that is there already gets the new labels.

    Parameters
    ----------
    bundle : str
        Name of the bundle, or its folder.
    image : str
        The image, of any format that `segment` reads.
    labels : str
        Its objects, each with a number of its own, as `segment` wrote them and you corrected them: TIFF, PNG or NIfTI,
        of the same size; or their outlines, as ROIs of ImageJ (.roi, .zip) or GeoJSON of QuPath, which `segment --save
        imagej-roi,geojson` writes. Of a bundle that learns classes the classes, as its card says.
    dataset_dir : str
        Folder of the dataset; made if it is not there.
    spacing, scene, channel, time : str
        As for `segment`.
    test : bool
        Do not train on this image, but measure on it what the training gains. It stays so when it gets new labels.
    """
    given = {"spacing": spacing, **dict(zip(PICKS, (scene, channel, time), strict=True))}
    options = {key: value for key, value in given.items() if value}
    described = describe(bundle)
    if labels.is_dir():
        raise InputError(f"{labels}: a folder, expected corrected labels; give the image, its labels, then the dataset")
    if not labels.is_file():
        raise InputError(f"{labels}: no such file; give the corrected labels")
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare_image(image, described, Path(folder, "image"), options)
        if is_volume(labels) and not is_volume(prepared):
            raise InputError(f"{labels}: a volume, but {image.name} is a picture; give its labels as TIFF or PNG")
        corrected = _corrected(labels, described, prepared)
        group = safe_stem(image.name) if scene or time else ""  # images of one file are alike
        item = add_correction(dataset_dir, described, prepared, corrected, image.name, test=test, group=group)
    dataset = read_dataset(dataset_dir)
    where = f"--dataset_dir {shlex.quote(str(dataset_dir))} --output_dir"
    folders = {one.root.name: "tuned" for one in described.networks}
    if len(folders) > 1:
        folders = {name: f"tuned_{name}" for name in folders}
    commands = [f"python -m tools finetune {name} {where} {folder}" for name, folder in folders.items()]
    return {
        "labels": np.count_nonzero(np.unique(read_image(item.file("label"), labels=True))),
        "kept as": item.image,
        "to train on": len(dataset.training),
        "to test on": len(dataset.testing),
        **dict(zip(("fine-tune", "and"), commands, strict=False)),
    }


def _corrected(labels: Path, bundle: Description, image: Path) -> np.ndarray:
    if is_volume(labels):
        return nifti.read_volume_onto(labels, image)
    if labels.suffix.lower() not in OUTLINES:
        return read_labels(labels, bundle)
    classes = classes_of(bundle)
    if len(classes) > 1:
        learned = " and ".join(classes)
        raise InputError(f"{labels}: outlines, but {bundle.name} learns {learned}; give a picture of these classes")
    return read_outlines(labels, read_image(image).shape[: bundle.num_axes], bundle.object_name)


def read_labels(path: Path, bundle: Description) -> np.ndarray:
    """Labels of a picture, or of a volume in a TIFF stack."""
    if bundle.num_axes == 3:
        from common.reading.tiff import read_volume

        return read_volume(path, labels=True)
    return read_image(path, labels=True)


def add_correction(
    dataset_dir: Path,
    bundle: Description,
    image: Path,
    labels: np.ndarray,
    name: str,
    *,
    test: bool = False,
    group: str = "",
) -> Item:
    """Add an image with corrected labels to a dataset, made if it is not there; an image in it gets the new labels.

    Parameters
    ----------
    dataset_dir : Path
    bundle : Description
        That the labels are for; its formats are those of the image: see `prepare_image`.
    image : Path
    labels : ndarray of int, shape (Y, X) or (Z, Y, X)
        On the image's grid: 0 background, each object a number; of a mask, connected parts are taken for objects. Of a
        bundle that learns classes, the classes; from those of axons and myelin, fibres are told apart.
    name : str
        What the user calls the image.
    test : bool
        List it under testing instead of training.
    group : str
        Images of one group are alike, so that they share a fold; without it the image is one of its own.

    Raises
    ------
    InputError
        If the labels do not fit the image or the bundle, or the folder holds another dataset.
    """
    if image.suffix.lower() == MIRAX:
        raise InputError(f"{name}: the pixels of a MRXS slide are in other files; save it as TIFF or SVS first")
    classes = classes_of(bundle)
    _check(image, labels, name, classes)
    maps = _maps_of(labels, classes, name)
    for folder in ("images", "labels"):
        prepare_output_dir(dataset_dir / folder)
    with holding(dataset_dir):
        dataset = _existing(dataset_dir, bundle)
        entry = _entry(dataset, image, safe_stem(name), maps, ".nii.gz" if labels.ndim == 3 else ".tiff")
        entry |= {"group": group} if group else {}
        with replacing(dataset_dir / entry["image"]) as partial:
            shutil.copyfile(image, partial)
        for key, values in maps.items():
            _write_labels(dataset_dir / entry[key], values, image)
        training, testing = ({item.name: dict(item.entry) for item in of} for of in (dataset.training, dataset.testing))
        test = test or entry["image"] in testing  # what was kept back is not trained on without being told
        chosen, other = (testing, training) if test else (training, testing)
        other.pop(entry["image"], None)
        alike = [of["fold"] for of in training.values() if "fold" in of and group and of.get("group") == group]
        fold = {} if test else {"fold": chosen.get(entry["image"], {}).get("fold", len(chosen) % NUM_FOLDS)}
        chosen[entry["image"]] = entry | fold | ({"fold": alike[0]} if alike and not test else {})
        if any("group" in of for of in (*training.values(), *testing.values())):  # then all need one
            for listed, of in (*training.items(), *testing.items()):
                of.setdefault("group", listed)
        path = write_dataset(
            dataset_dir, name=dataset.name, training=training.values(), testing=testing.values(), **dataset.facts
        )
    return Item(path, chosen[entry["image"]])


def classes_of(bundle: Description) -> list[str]:
    """Names of the classes that a bundle learns, in the order of their values; one where all labels are objects."""
    channels = read_metadata(bundle.root)["network_data_format"]["outputs"]["pred"].get("channel_def", {})
    return [str(name) for value, name in sorted(channels.items(), key=lambda pair: int(pair[0])) if int(value) > 0]


def _maps_of(labels: np.ndarray, classes: list[str], name: str) -> dict[str, np.ndarray]:
    """Key of an item -> what its file holds: objects; of classes the classes, and of fibres their two masks as well."""
    if len(classes) == 1:
        return {"label": as_objects(labels, name)}
    masks = {of: np.where(labels == value, 255, 0) for value, of in enumerate(classes, start=1)}
    if masks.keys() != {"axon", "myelin"}:
        return {"label": labels}
    return {"label": label_fibres(masks["axon"] > 0, masks["myelin"] > 0).labels, **masks}


def _check(image: Path, labels: np.ndarray, name: str, classes: list[str]) -> None:
    pixels = read_image(image)
    shape = pixels.shape[: 3 if is_volume(image) else 2]
    if labels.shape != shape:
        raise InputError(f"{name}: labels of shape {labels.shape}, expected {shape}, which the image has")
    if labels.max(initial=0) > 1 and np.array_equal(labels, pixels):
        raise InputError(f"{name}: its labels are the image itself; give the corrected labels")
    if labels.dtype.kind not in "iub" or labels.min(initial=0) < 0 or labels.max(initial=0) > MAX_LABEL:
        raise InputError(f"{name}: labels are {labels.dtype}, expected whole numbers from 0 to {MAX_LABEL}")
    if len(classes) == 1 and len(np.unique(labels)) > 2:  # a mask's parts are taken for objects
        check_objects(name, labels)
    if len(classes) > 1 and labels.max(initial=0) > len(classes):
        meant = ", ".join(f"{value} for {of}" for value, of in enumerate(classes, start=1))
        raise InputError(f"{name}: labels up to {labels.max()}, but classes are learned; draw {meant}")


def _existing(dataset_dir: Path, bundle: Description) -> Dataset:
    """The dataset as it is, or a new one."""
    path = dataset_dir / DATALIST
    if not path.exists():
        return Dataset(path, f"corrections for {bundle.name}", facts={"licence": "unknown", CORRECTED: bundle.name})
    dataset = read_dataset(dataset_dir)
    if dataset.facts.get(CORRECTED) != bundle.name:
        raise InputError(f"{path}: not corrections for {bundle.name}; choose another folder")
    return dataset


def _entry(dataset: Dataset, image: Path, stem: str, maps: Iterable[str], ending: str) -> dict[str, Any]:
    """Where an image goes: if it is in the dataset, where it is, else under a name that no other one has."""
    suffix, pixels = "".join(image.suffixes), read_image(image)
    taken = {item.name: item for item in (*dataset.training, *dataset.testing)}
    names = [f"images/{name}{suffix}" for name in (stem, *(f"{stem}_{n}" for n in range(2, len(taken) + 2)))]
    near = [of for of in taken if of in names or taken[of].file("image").stat().st_size == image.stat().st_size]
    same = (of for of in near if np.array_equal(read_image(taken[of].file("image")), pixels))
    listed = next(same, None) or next(of for of in names if of not in taken)
    name = Path(listed).name.removesuffix(suffix)
    kinds = {key: "" if key == "label" else f"_{key}" for key in maps}
    return {"image": listed} | {key: f"labels/{name}{kind}{ending}" for key, kind in kinds.items()}


def _write_labels(path: Path, labels: np.ndarray, image: Path) -> None:
    """Write labels where their image lies: with its affine, or as tiles."""
    pixels = smallest_type(labels, (np.uint8, np.uint16, np.int32))
    if labels.ndim == 2:
        with replacing(path) as partial:
            write_tiled(partial, lambda top, bottom: pixels[top:bottom], pixels.shape, pixels.dtype)
        return
    of_image = nifti.open_nifti(image)
    volume = nib.Nifti1Image(pixels.T, of_image.affine, of_image.header, dtype=pixels.dtype)
    with replacing(path) as partial:
        nib.save(volume, partial)
