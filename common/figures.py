"""Plots as PNG."""

from pathlib import Path

from matplotlib.figure import Figure

from .files import replacing

__all__ = ["save_figure"]

DOTS_PER_INCH = 110


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all; equal figures give equal files.

    Parameters
    ----------
    figure : Figure
        Made without pyplot, so that no window and no state is left.
    path : Path
        Its folder is made if need be.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        figure.savefig(partial, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
