"""Fibres drawn by hand: round ones, and one whose axon is curved."""

import numpy as np
import pytest


def disc(shape: tuple[int, int], y: float, x: float, radius: float) -> np.ndarray:
    """Pixels whose centres are within a circle."""
    rows, columns = np.indices(shape)
    return np.hypot(rows - y, columns - x) <= radius


@pytest.fixture
def fibres() -> tuple[np.ndarray, np.ndarray]:
    """Labels (48, 64) of three fibres and the mask of their axons.

    Fibre 3 is round, 7 has a C for an axon, whose centroid is outside, and 9 has no axon.
    """
    labels, axon = np.zeros((48, 64), np.uint16), np.zeros((48, 64), bool)
    labels[disc(labels.shape, 14, 14, 11)] = 3
    axon |= disc(labels.shape, 14, 14, 7)
    labels[20:46, 30:60] = 7
    axon[23:43, 33:37] = axon[23:27, 33:57] = axon[39:43, 33:57] = True
    labels[2:6, 50:60] = 9
    return labels, axon
