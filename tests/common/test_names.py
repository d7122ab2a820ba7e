"""Results are named after the image without its ending."""

import os
from pathlib import Path

import pytest

from common.errors import InputError
from common.names import by_name, stem


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("x/A172_Phase_A7_1_00d00h00m_1.tif", "A172_Phase_A7_1_00d00h00m_1"),
        ("a.PNG", "a"),
        ("a.b.tiff", "a.b"),
        ("v1.2", "v1.2"),
        ("/a/b.tif", "b"),
        ("b.c.TIFF", "b.c"),
        ("b.ome.tif", "b"),
        ("b.OME.Tiff", "b"),
        ("b.svs", "b"),
        ("mouse.2_t000.nii.gz", "mouse.2_t000"),
        ("folder.gz/01_t000.nii", "01_t000"),
        ("notes.txt", "notes.txt"),
    ],
)
def test_stem(path, name):
    assert stem(path) == name


def test_name_that_is_no_text_is_refused():
    path = Path(os.fsdecode(b"images/\xff.tif"))
    with pytest.raises(InputError, match=r"images/\\udcff.tif: no UTF-8 in its name; rename it"):
        by_name([(stem(path), path)])


@pytest.mark.parametrize(("one", "other"), [("A", "a"), ("caf\u00e9", "cafe\u0301"), ("Stra\u00dfe", "strasse")])
def test_names_that_some_disks_do_not_tell_apart(one, other):
    with pytest.raises(InputError, match="same name as those of .* on a disk that does not tell capitals .* apart"):
        by_name([(one, Path("x.tif")), (other, Path("x.png"))])
