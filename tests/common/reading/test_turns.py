"""Channels, positions and time points that stand in turn, page after page, are never taken for slices."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from common.errors import InputError
from common.reading.tiff import read_volume
from tools.formats.microscopes import read
from tools.formats.scenes import Pick

PAGES = np.arange(8 * 16 * 16, dtype=np.uint16).reshape(8, 16, 16)
MICRO_MANAGER = 51123
SET = (
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
    '<BinaryOnly MetadataFile="b.ome.tif" UUID="u"/></OME>'
)


def written(path: Path, descriptions=("",) * 8, tags=((),) * 8, **options) -> Path:
    with tifffile.TiffWriter(path, **options) as writer:
        for page, description, more in zip(PAGES, descriptions, tags, strict=True):
            about = {"description": description or None, "extratags": more, "metadata": None}
            writer.write(page, photometric="minisblack", contiguous=False, **about)
    return path


def of_micro_manager(of_page) -> list[list[tuple]]:
    texts = [json.dumps(of_page(number)) for number in range(8)]
    return [[(MICRO_MANAGER, 2, len(text) + 1, text, False)] for text in texts]


@pytest.mark.parametrize(
    ("of_page", "is_volume"),
    [
        (lambda number: {"ChannelIndex": 0, "SliceIndex": number}, True),
        (lambda number: {"ChannelIndex": number % 2, "SliceIndex": number // 2}, False),
        (lambda number: {"PositionIndex": number // 4, "SliceIndex": number % 4}, False),
        (lambda number: {"FrameIndex": number // 4, "SliceIndex": number % 4}, False),
        (lambda number: {"Axes": {"z": number}}, True),
        (lambda number: {"Axes": {"channel": "DAPI" if number < 4 else "GFP", "z": number % 4}}, False),
    ],
)
def test_micro_manager(tmp_path, of_page, is_volume):
    path = written(tmp_path / "a.tif", tags=of_micro_manager(of_page))
    if is_volume:
        np.testing.assert_array_equal(read_volume(path), PAGES)
        return
    with pytest.raises(InputError, match=r"a.tif: 8 pages, by Micro-Manager from .* expected the slices of one volume"):
        read_volume(path)


@pytest.mark.parametrize(
    ("text", "is_volume"),
    [
        ("state.configPath=1\rstate.acq.numberOfChannelsSave=1\rstate.acq.numberOfZSlices=8\r", True),
        ("state.configPath=1\rstate.acq.numberOfChannelsSave=2\rstate.acq.numberOfZSlices=4\r", False),
        ("scanimage.SI5.channelsSave = 2\nscanimage.SI5.stackNumSlices = 8\n", True),
        ("scanimage.SI.hChannels.channelSave = [1;2]\nscanimage.SI.hStackManager.numSlices = 4\n", False),
        ("scanimage.SI.hChannels.channelSave = 1\nscanimage.SI.hStackManager.numSlices = 4\n", False),
    ],
)
def test_scanimage(tmp_path, text, is_volume):
    path = written(tmp_path / "a.tif", [text] * 8)
    if is_volume:
        np.testing.assert_array_equal(read_volume(path), PAGES)  # with the last page, which tifffile leaves out
        return
    with pytest.raises(InputError, match=r"a.tif: 8 pages, by ScanImage \d channels of \d slices, expected"):
        read_volume(path)


def test_pages_that_only_another_file_tells_of(tmp_path):
    path = written(tmp_path / "a.ome.tif", [SET, *[""] * 7])
    with pytest.raises(InputError, match=r"a.ome.tif: what its 8 pages are is told in b.ome.tif only"):
        read_volume(path)


def with_further_axis(path: Path, kind: str, along: str, refs: str) -> Path:
    """Three angles, phases or wavelengths in every place along another axis, as OME's modulo annotations tell it."""
    tifffile.imwrite(path, PAGES[:6], ome=True, metadata={"axes": f"{along}YX"})
    annotation = (
        '<StructuredAnnotations><XMLAnnotation ID="A:7" Namespace="openmicroscopy.org/omero/dimension/modulo"><Value>'
        f'<Modulo><ModuloAlong{along} Type="{kind}" Start="0" End="2"/></Modulo></Value></XMLAnnotation>'
        "</StructuredAnnotations>"
    )
    text = tifffile.tiffcomment(path)
    text = text.replace("</Image>", f"{refs}</Image>").replace("</OME>", f"{annotation}</OME>")
    tifffile.tiffcomment(path, text.encode())
    return path


@pytest.mark.parametrize("along", ["Z", "T", "C"])
@pytest.mark.parametrize("refs", ["", '<AnnotationRef ID="A:1"/><AnnotationRef ID="A:7"/>'])
@pytest.mark.parametrize("kind", ["lambda", "phase", "angle", "tile"])
def test_axes_inside_another(tmp_path, kind, along, refs):
    path = with_further_axis(tmp_path / "a.ome.tif", kind, along, refs)
    with pytest.raises(InputError, match=f"a.ome.tif: its axis {along} holds also those of '{kind}'"):
        read_volume(path)


def test_axes_inside_another_that_are_told_apart(tmp_path):
    path = with_further_axis(tmp_path / "a.ome.tif", "phase", "Z", '<AnnotationRef ID="A:7"/>')
    np.testing.assert_array_equal(read(path, Pick(scene="1")).pixels, PAGES[1:6:3])
    with pytest.raises(InputError, match=r"a.ome.tif: axes ZPYX \(2, 3, 16, 16\), expected one position"):
        read_volume(path)
    with pytest.raises(InputError, match="holds also those of 'weather'"):
        read_volume(with_further_axis(path, "weather", "Z", '<AnnotationRef ID="A:7"/>'))
