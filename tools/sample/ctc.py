"""Synthetic embryos in the Cell Tracking Challenge's layout."""

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import tifffile

from tools.command_line import as_verb, at_least
from tools.convert.nifti import write_volume
from tools.sample.embryo import SPACING_UM, draw_image, draw_labels, draw_markers, place_nuclei
from tools.sample.files import as_tiff, complete_files, tools_command

__all__ = ["ctc", "draw_files", "write_images"]

FIRST_NUCLEI, NEW_NUCLEI, MAX_NUCLEI = 7, 3, 40


@as_verb(destination=Path, seed=at_least(0), num_sequences=at_least(1), num_frames=at_least(1))
def ctc(destination: Path, *, seed: int = 0, num_sequences: int = 4, num_frames: int = 2) -> dict[str, object]:
    """Write synthetic embryos as 01/t000.tif, 01_GT/SEG, 01_GT/TRA, ...; the same seed gives the same bytes.

    Parameters
    ----------
    destination : str
        Folder to write to.
    seed : int
        Another number gives other embryos.
    num_sequences : int
        Number of embryos; the last of several is meant for testing.
    num_frames : int
        Number of time points of each; the number of nuclei grows.
    """
    draw = partial(draw_files, seed=seed, num_sequences=num_sequences, num_frames=num_frames)
    present = (path for path in destination.glob("[0-9][0-9]*/**/*") if path.is_file() and path.name[0] != ".")
    complete_files(destination, draw, present)
    spacing = ",".join(map(str, SPACING_UM))
    words = ["convert", "ctc", destination, f"{destination}_nifti", "--spacing", spacing, "--name", "synthetic embryos"]
    if num_sequences > 1:
        words += ["--test", f"{num_sequences:02d}", "--folds", num_sequences - 1]
    numbers = {"sequences": num_sequences, "frames": num_sequences * num_frames}
    return numbers | {"folder": destination, "next": tools_command(*words)}


def draw_files(*, seed: int = 0, num_sequences: int = 4, num_frames: int = 2) -> Iterator[tuple[str, bytes]]:
    """Draw the dataset, one file, its POSIX path and content, at a time.

    A frame's pixels do not depend on how many others there are. Marker ids differ from segmentation ids, and no track
    is longer than one frame, as in BBBC050.
    """
    for sequence in (f"{index:02d}" for index in range(1, num_sequences + 1)):
        tracks, first_id = [], 1
        for frame in range(num_frames):
            rng = np.random.default_rng([seed, int(sequence), frame])
            num_nuclei = min(FIRST_NUCLEI + NEW_NUCLEI * frame, MAX_NUCLEI)
            ids = first_id + rng.permutation(num_nuclei)
            centres, shapes = place_nuclei(rng, num_nuclei)
            labels = draw_labels(centres, shapes)
            yield f"{sequence}/t{frame:03d}.tif", _tiff(draw_image(rng, labels))
            yield f"{sequence}_GT/SEG/man_seg{frame:03d}.tif", _tiff(labels)
            yield f"{sequence}_GT/TRA/man_track{frame:03d}.tif", _tiff(draw_markers(labels, centres, ids))
            tracks += [f"{track} {frame} {frame} 0\n" for track in sorted(ids)]
            first_id += num_nuclei
        yield f"{sequence}_GT/TRA/man_track.txt", "".join(tracks).encode()


def write_images(folder: Path) -> list[Path]:
    """Write two small volumes as NIfTI, which carries the spacing that the TIFF files of the challenge lack."""
    files = draw_files(num_sequences=1, num_frames=2)
    volumes = {Path(name).stem: tifffile.imread(io.BytesIO(content)) for name, content in files if "/t0" in name}
    for stem, volume in volumes.items():
        write_volume(folder / f"embryo_{stem}.nii.gz", volume, SPACING_UM)
    return [folder / f"embryo_{stem}.nii.gz" for stem in volumes]


def _tiff(volume: np.ndarray) -> bytes:
    return as_tiff(volume, photometric="minisblack", metadata={"axes": "ZYX"})
