import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InputError
from tools.segment.blocks.cutting import Grid, along_axes, choose_size, cut, overlap, span, within

axes = st.lists(
    st.tuples(st.integers(1, 60), st.integers(1, 25), st.integers(0, 9), st.integers(4, 16), st.sampled_from([2, 3])),
    min_size=2,
    max_size=3,
)


def windows_over(first, last, window, interval):
    """Where windows begin that are slid over pixels from the first one to the last, as MONAI slides them."""
    window = min(window, last - first)
    return sorted({min(start, last - window) for start in range(first, last - window + interval, interval)})


@settings(max_examples=50)
@given(axes)
def test_cores_make_up_the_image_and_regions_see_beyond_them(drawn):
    shape, size, halo, window, parts = zip(*drawn, strict=True)
    grid = Grid(window, tuple(side // part for side, part in zip(window, parts, strict=True)))
    covered = np.zeros(shape, int)
    for number, block in enumerate(cut(shape, size, halo, [grid])):
        assert block.number == number
        covered[within(block.core, tuple((0, length) for length in shape))] += 1
        for (start, stop), (first, last), length, margin in zip(block.core, block.region, shape, halo, strict=True):
            assert 0 <= first <= max(0, start - margin) and min(length, stop + margin) <= last <= length
    assert (covered == 1).all()


@pytest.mark.parametrize("size", [7, 20, 33])
@pytest.mark.parametrize("grids", [[(16, 12)], [(16, 12), (32, 24)], [(8, 6), (20, 15)]])
def test_the_core_is_seen_in_the_windows_of_the_whole_image(size, grids):
    length = 150
    for block in cut((length,), (size,), (3,), [Grid((window,), (interval,)) for window, interval in grids]):
        ((start, stop),), ((first, last),) = block.core, block.region
        for window, interval in grids:
            of_whole = windows_over(0, length, window, interval)
            of_block = windows_over(first, last, window, interval)
            over_core = [[at for at in found if at + window > start and at < stop] for found in (of_whole, of_block)]
            assert over_core[0] == over_core[1], (block, window)


@settings(max_examples=60)
@given(
    *(st.integers(40, 300), st.integers(1, 90), st.integers(0, 9), st.floats(0.3, 3), st.integers(4, 40)),
    st.sampled_from([1, 2, 3]),
)
def test_on_the_grid_of_the_image_the_core_is_seen_in_its_windows_whatever_the_spacing(
    length, size, halo, ratio, window, part
):
    grid, count = (
        Grid((window,), (max(1, window // part),), (ratio,), is_fixed=True),
        round((length - 1) / ratio) + 1,
    )
    (windows,) = along_axes([grid], 1)[0]
    of_whole = windows_over(0, count, window, int(windows.interval))
    for block in cut((length,), (size,), (halo,), [grid]):
        ((start, stop),), ((first, last),) = block.core, block.region
        begin, end = span(length, start, stop, halo, windows)
        assert 0 <= begin < end <= count
        assert first <= begin * ratio and ((end - 1) * ratio <= last - 1 or (end == count and last == length))
        assert first <= max(0, start - halo) and last >= min(length, stop + halo) - 2 * ratio
        of_block = windows_over(begin, end, min(window, count), int(windows.interval))
        low, high = start / ratio, min(count - 1, (stop - 1) / ratio)
        over_core = [[at for at in found if at + window > low and at <= high] for found in (of_whole, of_block)]
        assert over_core[0] == over_core[1]


@pytest.mark.parametrize(("interval", "starts"), [(1.0, [0, 7, 17]), (4.0, [0, 4, 16]), (3.5, [0, 7, 14])])
def test_regions_begin_where_windows_do(interval, starts):
    grid = Grid((interval, 1.0), (interval, 1.0))
    assert [block.region[0][0] for block in cut((30, 5), (10, 5), (3, 0), [grid])] == starts


def test_only_neighbours_overlap():
    blocks = cut((30, 30), (10, 10), (12, 2))
    assert overlap(blocks[0], blocks[4]) == ((0, 22), (8, 12)), "a corner"
    assert overlap(blocks[0], blocks[6]) is None, "the regions meet, the cores do not"


def test_size_is_the_largest_that_fits():
    grid = Grid((64, 32, 32), (48, 24, 24))
    assert choose_size((48, 100, 100), (2, 8, 8), [grid], copies=10, memory=1e9) == (48, 100, 100)
    size = choose_size((48, 1000, 1000), (2, 8, 8), [grid], copies=10, memory=1e9)
    assert size == (48, 504, 1000), "the last axis is whole"
    for block in cut((48, 1000, 1000), size, (2, 8, 8), [grid]):
        assert np.prod([stop - start for start, stop in block.region]) * 40 <= 1e9


def test_memory_for_no_block_at_all_is_refused():
    with pytest.raises(InputError, match="the smallest blocks, 64x1x1 .* need .* GB; give more"):
        choose_size((64, 1000, 1000), (2, 8, 8), [Grid((64, 1, 1), (64, 1, 1))], copies=10, memory=1000)
