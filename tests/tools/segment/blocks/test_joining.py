import itertools
from types import SimpleNamespace

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from tools.segment.blocks.assembly import _chunks
from tools.segment.blocks.cutting import Block, cut, overlap, within
from tools.segment.blocks.joining import number_through, same_objects

label_images = npst.arrays(np.uint8, (5, 6), elements=st.integers(0, 3))
masks = npst.arrays(bool, (9, 11))


@pytest.mark.parametrize(
    ("core", "chunks"), [((1000, 1025), (1000, 1024)), ((1500, 3000), (750, 1000)), ((2053, 64), (1024, 64))]
)
def test_blocks_are_whole_chunks_which_are_no_larger_than_others_read_well(core, chunks):
    extent = tuple((7, 7 + side) for side in core)
    assert _chunks(SimpleNamespace(blocks=[Block(0, extent, extent)])) == chunks


@given(label_images, label_images)
def test_same_objects_are_those_with_an_iou_above_one_half(first, second):
    expected = [
        (a, b)
        for a, b in itertools.product(range(1, 4), repeat=2)
        if 2 * np.sum((first == a) & (second == b)) > np.sum((first == a) | (second == b)) > 0
    ]
    assert list(map(tuple, same_objects(first, second).tolist())) == expected


def chain(num_labels, links):
    """Groups of (block, label), by following links until nothing changes."""
    group = {
        (block, label): {(block, label)} for block, count in enumerate(num_labels) for label in range(1, count + 1)
    }
    for first, second in links:
        merged = group[first] | group[second]
        for member in merged:
            group[member] = merged
    return group


@given(st.lists(st.integers(0, 4), min_size=1, max_size=4), st.data())
def test_numbers_are_those_of_a_slow_search(num_labels, data):
    objects = [(block, label) for block, count in enumerate(num_labels) for label in range(1, count + 1)]
    links = data.draw(st.lists(st.tuples(*[st.sampled_from(objects)] * 2), max_size=6)) if objects else []
    present = [np.arange(1, count + 1) for count in num_labels]
    pairs = [(a[0], b[0], np.array([[a[1], b[1]]])) for a, b in links]
    numbers, num_objects = number_through(present, pairs)
    group, seen = chain(num_labels, links), {}
    for block, label in objects:
        number = int(numbers[block][label - 1])
        assert seen.setdefault(number, group[block, label]) == group[block, label]
    assert sorted(seen) == list(range(1, num_objects + 1)), "no gaps, and no group with two numbers"
    assert len(seen) == len({frozenset(members) for members in group.values()})


def test_numbers_follow_the_blocks():
    numbers, num_objects = number_through([np.array([2, 5]), np.array([1, 9])], [(0, 1, np.array([[5, 1]]))])
    assert [part.tolist() for part in numbers] == [[1, 2], [2, 3]] and num_objects == 3


def test_labels_that_are_not_written_join_nothing():
    numbers, num_objects = number_through([np.array([1]), np.array([1])], [(0, 1, np.array([[7, 1], [1, 7]]))])
    assert [part.tolist() for part in numbers] == [[1], [2]] and num_objects == 2


@pytest.mark.parametrize("size", [(5, 7), (9, 4), (3, 3)])
@settings(max_examples=25)
@given(mask=masks)
def test_blocks_that_see_all_give_the_objects_of_the_whole_image(size, mask):
    whole, num_objects = ndimage.label(mask)
    blocks = cut(mask.shape, size, (11, 11))
    parts = [ndimage.label(mask[within(block.region, ((0, 9), (0, 11)))])[0] for block in blocks]
    labels = joined(blocks, parts, mask.shape)
    assert labels.max() == num_objects
    assert len(np.unique(np.stack([whole, labels]).reshape(2, -1), axis=1).T) == len(np.unique(whole))


def joined(blocks, parts, shape):
    """What blocks found, put together."""
    cores = [part[within(block.core, block.region)] for block, part in zip(blocks, parts, strict=True)]
    present = [np.unique(core[core > 0]) for core in cores]
    pairs = []
    for first, second in itertools.combinations(blocks, 2):
        common = overlap(first, second)
        if common:
            a, b = (parts[block.number][within(common, block.region)] for block in (first, second))
            pairs.append((first.number, second.number, same_objects(a, b)))
    numbers, _ = number_through(present, pairs)
    labels = np.zeros(shape, int)
    for block, core, old, new in zip(blocks, cores, present, numbers, strict=True):
        table = np.zeros(core.max(initial=0) + 1, int)
        table[old] = new
        labels[within(block.core, tuple((0, length) for length in shape))] = table[core]
    return labels
