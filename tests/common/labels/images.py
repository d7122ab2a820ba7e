"""What the tests of the measures share: label images to draw from, and the independent program that they agree with."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import hypothesis.extra.numpy as npst
import numpy as np
import tifffile
from ctc_metrics.metrics import det, seg
from ctc_metrics.utils.representations import count_acyclic_graph_correction_operations, match
from hypothesis import strategies as st

NUM_LABELS = 6
SHAPES = st.one_of(st.tuples(st.integers(2, 9), st.integers(2, 9)), st.tuples(*[st.integers(2, 5)] * 3))


@st.composite
def label_pairs(draw: st.DrawFn, shapes: st.SearchStrategy[tuple] = SHAPES) -> tuple[np.ndarray, np.ndarray]:
    """A reference, and a result in which objects are renamed, merged, dropped and overwritten; both have background."""
    shape = draw(shapes)
    labels = npst.arrays(np.uint16, shape, elements=st.integers(0, NUM_LABELS - 1))
    names = draw(npst.arrays(np.uint16, NUM_LABELS, elements=st.integers(0, NUM_LABELS - 1)))
    reference, noise, changed = draw(labels), draw(labels), draw(npst.arrays(bool, shape))
    reference.flat[0] = 0
    result = np.where(changed, noise, names[reference])
    result.flat[-1] = 0
    return reference, result


def has_object(pair: tuple[np.ndarray, np.ndarray]) -> bool:
    """Whether there is a reference object."""
    return bool(pair[0].any())


def oracle(reference: np.ndarray, result: np.ndarray) -> tuple[float, float]:
    """SEG and DET as py-ctcmetrics computes them from files; both images need some background."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("reference.tif", "result.tif")]
        for path, labels in zip(paths, (reference, result), strict=True):
            tifffile.imwrite(path, labels, photometric="minisblack")
        return oracle_of_files(paths[:1], paths[1:])


def oracle_of_files(references: Sequence[Path], results: Sequence[Path]) -> tuple[float, float]:
    """SEG and DET of a sequence as py-ctcmetrics computes them."""
    matches = [match(str(reference), str(result)) for reference, result in zip(references, results, strict=True)]
    *found, ious = (list(column) for column in zip(*matches, strict=True))
    return seg(found[0], ious), det(**count_acyclic_graph_correction_operations(None, None, *found))
