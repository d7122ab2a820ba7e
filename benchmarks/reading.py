"""Volumes read by us against the libraries beneath: tifffile, nibabel and zarr.

ours: as a bundle or the toolbox reads a file, with its checks, axes and spacing. other: the library alone, which gives
the pixels. Both read the same file from the cache of the system.
"""

from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import tifffile
import zarr

from benchmarks.harness import Row, speed, take_turns
from common.reading import nifti, tiff
from tools.convert.nifti import write_volume
from tools.formats import label_zarr, microscopes
from tools.formats.saving import About

SPACING_UM = (2.0, 0.5, 0.5)


def compare(folder: Path, *, slices: int = 32, size: int = 512, rounds: int = 7) -> Iterator[list[Row]]:
    """Options: slices and size, height and width, of a volume of 16 bit; rounds."""
    volume = np.random.default_rng(0).poisson(100, (slices, size, size)).astype(np.uint16)
    for name, compression in (("plain.tif", None), ("deflate.tif", "zlib"), ("lzw.tif", "lzw")):
        tifffile.imwrite(folder / name, volume, photometric="minisblack", compression=compression)
    for name in ("plain.nii", "gzip.nii.gz"):
        write_volume(folder / name, volume, SPACING_UM)
    label_zarr.write(folder / "labels.ome.zarr", volume, About("volume", SPACING_UM, "cell"))
    readers = {
        ".tif": (tiff.read_volume, tifffile.imread),
        ".nii": (nifti.read_volume, lambda path: np.asanyarray(nib.load(path).dataobj)),
        ".gz": (nifti.read_volume, lambda path: np.asanyarray(nib.load(path).dataobj)),
        ".zarr": (lambda path: microscopes.read(path).pixels, lambda path: zarr.open_group(path, mode="r")["s0"][...]),
    }
    rows = []
    for path in sorted(folder.iterdir()):
        ways = dict(zip(("ours", "library"), readers[path.suffix], strict=True))
        seconds, values = take_turns(ways, [path], rounds=rounds, desc=path.name, judge=lambda _, read: read.sum())
        if values["ours"] != values["library"]:
            raise RuntimeError(f"{path.name}: the library reads other pixels; ours are wrong")
        rows.append(speed(f"{path.name}, {slices} x {size} x {size}", seconds["ours"], seconds["library"]))
    yield rows
