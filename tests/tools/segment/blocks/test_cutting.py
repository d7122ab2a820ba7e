import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InputError
from tools.segment.blocks.cutting import choose_size, cut, overlap, within

axes = st.lists(
    st.tuples(st.integers(1, 40), st.integers(1, 25), st.integers(0, 9), st.floats(1, 9)), min_size=2, max_size=3
)


@given(axes)
def test_cores_make_up_the_image_and_regions_see_beyond_them(drawn):
    shape, size, halo, step = zip(*drawn, strict=True)
    covered = np.zeros(shape, int)
    for number, block in enumerate(cut(shape, size, halo, step)):
        assert block.number == number
        covered[within(block.core, tuple((0, length) for length in shape))] += 1
        for (start, stop), (first, last), length, margin in zip(block.core, block.region, shape, halo, strict=True):
            assert 0 <= first <= max(0, start - margin) and last == min(length, stop + margin)
    assert (covered == 1).all()


@pytest.mark.parametrize(("step", "starts"), [(1.0, [0, 7, 17]), (4.0, [0, 4, 16]), (3.5, [0, 7, 14])])
def test_regions_begin_at_whole_steps(step, starts):
    assert [block.region[0][0] for block in cut((30, 5), (10, 5), (3, 0), (step, 1.0))] == starts


def test_only_neighbours_overlap():
    blocks = cut((30, 30), (10, 10), (12, 2), (1, 1))
    assert overlap(blocks[0], blocks[4]) == ((0, 22), (8, 12)), "a corner"
    assert overlap(blocks[0], blocks[6]) is None, "the regions meet, the cores do not"


def test_size_is_the_largest_that_fits():
    assert choose_size((64, 100, 100), (2, 8, 8), (1, 16, 16), copies=10, memory=1e9) == (64, 100, 100)
    size = choose_size((64, 1000, 1000), (2, 8, 8), (1, 16, 16), copies=10, memory=1e9)
    assert size == (64, 512, 512)
    assert all(
        np.prod([stop - start for start, stop in block.region]) * 40 <= 1e9
        for block in cut((64, 1000, 1000), size, (2, 8, 8), (1, 16, 16))
    )


def test_memory_for_no_block_at_all_is_refused():
    with pytest.raises(InputError, match="the smallest blocks, .* need .* GB; give more"):
        choose_size((64, 1000, 1000), (2, 8, 8), (1, 16, 16), copies=10, memory=1000)
