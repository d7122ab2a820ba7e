"""What all samples share: noise to draw with, files to write or to complete, the command that comes next."""

import io
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

from common.errors import InputError
from common.files import replacing

__all__ = ["as_tiff", "complete_files", "smooth_noise", "tools_command", "write_files"]


def complete_files(destination: Path, draw: Callable[[], Iterable[tuple[str, bytes]]], present: Iterable[Path]) -> None:
    """Write the files of a sample that are not there yet, one after the other, so that a large sample fits in memory.

    ``draw`` draws them, by their POSIX path within the folder; twice, where some are ``present`` in the folder where a
    sample's files lie. InputError if any of these is not of this sample, or the folder cannot be written.
    """
    others = {path.relative_to(destination).as_posix(): path for path in sorted(present)}
    whole = set()
    try:
        for name, content in draw() if others else ():
            if name in others and others[name].read_bytes() == content:
                del others[name]
                whole.add(name)
        if others:
            path = next(iter(others.values()))
            raise InputError(f"{path}: not of the dataset to write; choose an empty folder or remove it")
        for name, content in tqdm(draw(), desc="sample", unit="file", delay=3):
            if name in whole:
                continue
            path = destination / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as partial:
                partial.write_bytes(content)
    except OSError as error:
        raise InputError(f"{destination}: cannot be written ({error.strerror}); choose another folder") from error


def write_files(folder: Path, files: Iterable[tuple[str, bytes]]) -> list[Path]:
    """Write files, or replace them, into one folder that exists; of the folders in their names nothing is kept."""
    written = []
    for name, content in files:
        written.append(folder / Path(name).name)
        with replacing(written[-1]) as partial:
            partial.write_bytes(content)
    return written


def as_tiff(pixels: np.ndarray, **options: Any) -> bytes:
    """Pixels as the bytes of a deflated TIFF file; options are those of `tifffile.imwrite`."""
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, compression="zlib", **options)
    return stream.getvalue()


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], sigma_px: float) -> np.ndarray:
    """Smooth noise of mean about 0 and standard deviation 1."""
    noise = gaussian_filter(rng.normal(size=shape), sigma_px)
    return noise / noise.std()


def tools_command(*words: object) -> str:
    """A command line of the toolbox, ready to be pasted into a shell."""
    return shlex.join(["python", "-m", "tools", *map(str, words)])
