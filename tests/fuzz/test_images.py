"""Images of strangers: TIFF and its OME-XML, NIfTI, pictures, slides."""

import gzip
import io
import re
import warnings

import imagecodecs
import nibabel as nib
import numpy as np
import pytest
import tifffile
from hypothesis import strategies as st
from PIL import Image

from common.reading import nifti, pictures, tiff
from common.reading.formats import identify
from common.reading.images import read_image
from common.reading.jpeg2000 import check_jpeg2000
from common.reading.loading import CheckedLoadImage
from common.reading.slides import open_labels, open_slide, pixel_size_um
from tests.fuzz.conftest import mutated

pytestmark = pytest.mark.filterwarnings("ignore")
RANDOM = np.random.default_rng(0)
PLANES = RANDOM.integers(0, 256, (3, 20, 24)).astype(np.uint8)
COLOURS = RANDOM.integers(0, 256, (64, 64, 3)).astype(np.uint8)


def tiff_bytes(pixels: np.ndarray, **about) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **about)
    return stream.getvalue()


def picture_bytes(image: Image.Image, form: str) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=form)
    return stream.getvalue()


TIFFS = [
    tiff_bytes(PLANES, photometric="minisblack"),
    tiff_bytes(PLANES.astype(np.uint16), photometric="minisblack", compression="zlib", rowsperstrip=7),
    tiff_bytes(PLANES.astype(np.uint16), photometric="minisblack", compression="lzw", predictor=True),
    tiff_bytes(PLANES // 99, photometric="minisblack", compression="lzw"),
    tiff_bytes(PLANES, imagej=True, resolution=(2, 2), metadata={"axes": "ZYX", "spacing": 3.0, "unit": "um"}),
    tiff_bytes(PLANES[0], bigtiff=True, photometric="minisblack"),
    tiff_bytes(PLANES[0].astype(np.float32), photometric="miniswhite"),
    tiff_bytes(COLOURS, photometric="rgb", planarconfig="separate"),
    tiff_bytes(COLOURS[..., 0], photometric="palette", colormap=np.zeros((3, 256), np.uint16)),
]
SIZES = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2.0, "PhysicalSizeXUnit": "µm"}
OME = tiff_bytes(PLANES, ome=True, photometric="minisblack", metadata={"axes": "ZYX", **SIZES})
SLIDES = [
    tiff_bytes(COLOURS, photometric="rgb", tile=(16, 32), resolution=(20000, 20000), resolutionunit="CENTIMETER"),
    tiff_bytes(COLOURS, photometric="rgb", tile=(32, 32), compression="zlib", ome=True, metadata={"axes": "YXS"}),
]
LABELS = [tiff_bytes(COLOURS[..., 0].astype(np.uint16), photometric="minisblack", tile=(16, 16))]
VOLUMES = [
    nib.Nifti1Image(PLANES.T, np.diag([0.5, 0.5, 2, 1])).to_bytes(),
    nib.Nifti1Image(PLANES.T.astype(np.float32), np.diag([-0.5, 0.5, 2, 1])).to_bytes(),
    nib.Nifti2Image(PLANES.T.astype(np.int16), np.eye(4)).to_bytes(),
]
PICTURES = [
    picture_bytes(Image.fromarray(PLANES[0]), "PNG"),
    picture_bytes(Image.fromarray(PLANES[0].astype(np.uint16) * 200), "PNG"),
    picture_bytes(Image.fromarray(COLOURS).quantize(16), "PNG"),
    picture_bytes(Image.fromarray(COLOURS).convert("RGBA"), "PNG"),
    picture_bytes(Image.fromarray(COLOURS), "JPEG"),
    picture_bytes(Image.fromarray(COLOURS).convert("CMYK"), "JPEG"),
    picture_bytes(Image.fromarray(COLOURS), "BMP"),
]
JPEGS_2000 = [
    imagecodecs.jpeg2k_encode(pixels, reversible=True, level=0, codecformat=kind)
    for pixels in (PLANES[0], PLANES[0].astype(np.uint16) * 257, COLOURS)
    for kind in ("jp2", "j2k")
]


def read_window(path):
    with open_slide(path) as slide:
        pixel_size_um(slide)
        slide.read(0, 0, *slide.shape[:2])


def read_labels_window(path):
    with open_labels(path) as labels:
        labels.read(0, 0, *labels.shape[:2])


def test_tiff(fuzz):
    readers = (tiff.read_header, tiff.read_volume, tiff.read_picture, tiff.decoded_size, tiff.read_spacing)
    fuzz(mutated(TIFFS), ".tif", identify, *readers, pictures.read_gray, pictures.read_labels, read_image)


@st.composite
def ome_with_another_word(draw):
    """The XML with one attribute or tag replaced; of the same length, so that the TIFF around it stays valid."""
    start, end = OME.index(b"<?xml"), OME.index(b"</OME>") + 6
    xml = OME[start:end]
    for _ in range(draw(st.integers(1, 3))):
        words = list(re.finditer(rb'"[^"]*"|</?\w+|/?>', xml))
        word = draw(st.sampled_from(words))
        new = draw(
            st.sampled_from([b'"nan"', b'"-1"', b'"0"', b'"1e999"', b'"99999999"', b'""', b"<a", b"</b", b"&x;", b">"])
        )
        xml = (
            xml[: word.start()] + new[: word.end() - word.start()].ljust(word.end() - word.start()) + xml[word.end() :]
        )
    return OME[:start] + xml + OME[end:]


def test_ome_xml(fuzz):
    readers = (tiff.read_header, tiff.read_volume, tiff.read_picture, tiff.decoded_size, tiff.read_spacing)
    fuzz(st.one_of(ome_with_another_word(), mutated([OME])), ".ome.tif", *readers)


def test_slide(fuzz):
    fuzz(mutated(SLIDES), ".tiff", read_window)


def test_slide_labels(fuzz):
    fuzz(mutated(LABELS), ".tiff", read_labels_window)


def test_nifti(fuzz):
    readers = (nifti.check_nifti, nifti.read_volume, nifti.read_spacing, nifti.decoded_size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fuzz(mutated(VOLUMES), ".nii", *readers, lambda path: nifti.read_plane(path, 0), CheckedLoadImage())


def test_nifti_compressed(fuzz):
    contents = st.one_of(
        mutated([gzip.compress(volume, mtime=0) for volume in VOLUMES]),
        mutated(VOLUMES).map(lambda volume: gzip.compress(volume, mtime=0)),
    )
    fuzz(contents, ".nii.gz", nifti.check_nifti, nifti.read_volume, nifti.read_spacing, CheckedLoadImage())


def test_jpeg_2000(fuzz):
    fuzz(mutated(JPEGS_2000), ".jp2", pictures.read_pixels, check_jpeg2000, read_image)


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_pictures(fuzz, ending):
    fuzz(mutated(PICTURES), ending, pictures.read_pixels, pictures.read_gray, pictures.read_labels, read_image)
