"""Instance maps back to the result folders of the Cell Tracking Challenge."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.errors import InputError
from common.reading import nifti
from common.reading.tiff import read_header
from tools.command_line import as_verb, needed
from tools.convert.ctc_layout import Frame, find_sequences
from tools.formats.sequences import SequenceWriter

__all__ = ["ctc"]

SUFFIX = "_instances.nii.gz"


@as_verb(pred_dir=Path, destination=Path, like=needed("give the dataset that the images came from"))
def ctc(pred_dir: Path, destination: Path, *, like: Path, overwrite: bool = False) -> dict[str, object]:
    """Write instance maps as results of the Cell Tracking Challenge: NN_RES/maskTTT.tif and res_track.txt.

    Names and existing results are checked before anything is written; one frame is in memory at a time.

    Parameters
    ----------
    pred_dir : Path
        Folder with <sequence>_t<frame>_instances.nii.gz, axes (X, Y, Z), for all frames of one or more sequences.
    destination : Path
        Folder to write 01_RES, 02_RES, ... to.
    like : Path
        The original dataset, whose 01/t000.tif, ... give shape and number of digits; required.
    overwrite : bool
        Replace results that are there already.

    Raises
    ------
    FileNotFoundError, InputError
        If a folder, or a frame of a sequence that has others, does not exist, there is nothing to export, a map belongs
        to no frame, is not of its image's shape, or does not hold up to 65535 objects as integers, or a result cannot
        be written.
    """
    sequences = _find_maps(pred_dir, find_sequences(like))
    jobs = [(frame, _result_path(destination, frame)) for frames in sequences.values() for frame in frames]
    existing = [path for _, path in jobs if path.exists()]
    if existing and not overwrite:
        raise InputError(f"{existing[0]}: already exists; choose another folder or give --overwrite")
    num_objects, writers = 0, {path.parent: SequenceWriter(path.parent) for _, path in jobs}
    for frame, path in tqdm(jobs, desc="export ctc", unit="frame"):
        source = pred_dir / f"{frame.stem}{SUFFIX}"
        num_objects += writers[path.parent].write(path.name, int(frame.digits), _read_map(source, frame), source)
    for writer in writers.values():
        writer.finish()
    return {"sequences": len(sequences), "frames": len(jobs), "objects": num_objects, "results": destination}


def _find_maps(pred_dir: Path, sequences: Mapping[str, Sequence[Frame]]) -> dict[str, Sequence[Frame]]:
    """The sequences that have maps; those have one for every frame."""
    if not pred_dir.is_dir():
        raise FileNotFoundError(f"{pred_dir}: no such folder, expected <sequence>_t<frame>{SUFFIX} in it")
    maps = {path.name.removesuffix(SUFFIX): path for path in sorted(pred_dir.glob(f"[!.]*{SUFFIX}"))}
    if not maps:
        raise InputError(f"{pred_dir}: nothing to export, expected <sequence>_t<frame>{SUFFIX}; run inference first")
    known = {frame.stem for frames in sequences.values() for frame in frames}
    for stem, path in maps.items():
        if stem not in known:
            raise InputError(
                f"{path}: no image of this name in the dataset, which has {min(known)} and so on; remove it"
            )
    found = {name: frames for name, frames in sequences.items() if any(frame.stem in maps for frame in frames)}
    for frame in (frame for frames in found.values() for frame in frames):
        if frame.stem not in maps:
            raise FileNotFoundError(
                f"{pred_dir / f'{frame.stem}{SUFFIX}'}: no such file, but other frames of sequence {frame.sequence} "
                "have theirs; run inference on all of them"
            )
    return found


def _result_path(destination: Path, frame: Frame) -> Path:
    return destination / f"{frame.sequence}_RES" / f"mask{frame.digits}.tif"


def _read_map(path: Path, frame: Frame) -> np.ndarray:
    """Labels as (Z, Y, X), on the grid of the frame's image."""
    labels = nifti.read_volume(path)
    expected = read_header(frame.image).shape
    if labels.shape != expected and (1, *labels.shape) != expected:
        raise InputError(
            f"{path}: shape {labels.shape}, expected {expected} as in {frame.image}; run inference on this very image"
        )
    return labels.reshape(expected)
