"""LZW of damaged files is refused before the decoder sees it, which it could end the interpreter with."""

import os
import random

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from common.errors import InputError
from common.reading import tiff
from common.reading.lzw import CLEAR, END, decode_lzw, find_damage

contents = st.one_of(
    st.binary(max_size=3000),
    st.tuples(st.binary(min_size=1, max_size=9), st.integers(1, 4000)).map(lambda given: given[0] * given[1]),
)


@given(contents)
def test_what_an_encoder_wrote_is_decoded(content):
    packed = imagecodecs.lzw_encode(content)
    assert find_damage(packed) is None
    assert decode_lzw(packed, out=len(content)) == content


def test_another_encoder(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 99, (300, 400)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.tif", compression="tiff_lzw")
    np.testing.assert_array_equal(tiff.read_picture(tmp_path / "a.tif"), pixels)


def packed(*codes: int) -> bytes:
    """Codes of 9 bits, as at the beginning of a stream."""
    bits = "".join(f"{code:09b}" for code in codes)
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


@pytest.mark.parametrize(
    ("codes", "place"),
    [
        ((CLEAR, 97, 258, END), None),
        ((CLEAR, 97, 259, END), 18),
        ((CLEAR, 258, END), 9),
        ((CLEAR, 97, 98, 258, 261, END), 36),
        ((CLEAR, 97, 98, 258, 260, END), None),
        ((CLEAR, 97, END, 400), None),
        ((CLEAR, 97, 98, 99, CLEAR, 259, END), 45),
        ((CLEAR,) * 500, 68 * 9),
    ],
)
def test_code_that_is_not_defined_is_found(codes, place):
    assert find_damage(packed(*codes)) == place


def test_tifffile_decodes_by_it(tmp_path):
    assert tifffile.TIFF.DECOMPRESSORS[5].__name__ == decode_lzw.__name__  # of any copy
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((9, 200), np.uint8), compression="lzw", photometric="minisblack")
    content = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        start = file.pages.first.dataoffsets[0]
    content[start + 2 : start + 4] = b"\xff\xff"
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(InputError, match=r"a.tif: .*LZW with a code that is not defined, at byte"):
        tiff.read_picture(tmp_path / "a.tif")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_no_damage_ends_the_interpreter():
    raw = bytes(50_000)
    whole, draw = imagecodecs.lzw_encode(raw), random.Random(0)
    child = os.fork()
    if not child:
        for _ in range(3000):
            content = bytearray(whole)
            for _ in range(draw.randint(1, 30)):
                content[draw.randrange(len(content))] = draw.randrange(256)
            try:
                decode_lzw(bytes(content), out=draw.choice([len(raw), 300]))
            except Exception:
                continue
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
