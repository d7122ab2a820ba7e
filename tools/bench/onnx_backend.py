"""Every bundle in ONNX Runtime against PyTorch, as the server runs them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from fire.decorators import SetParseFns
from tqdm import tqdm

from tools.bench.in_turns import as_time
from tools.bench.table import Row, as_text
from tools.bundles import all_bundles, find_bundle
from tools.command_line import reject
from tools.segment.onnx_export import MAX_MASK, MAX_PROBABILITY, export_bundle

__all__ = ["onnx", "rows_of"]


@SetParseFns(bundles=str)
def onnx(*extra, bundles: str = "", **unknown) -> str:
    """Print time and differences of ONNX Runtime against PyTorch on the CPU, on a sample image of each bundle.

    Parameters
    ----------
    bundles : str
        Names, separated by commas; all six if not given.
    """
    reject(unknown, onnx, extra)
    roots = [find_bundle(name) for name in bundles.split(",")] if bundles else all_bundles()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for root in tqdm(roots, desc="bundles"):
            rows += rows_of(export_bundle(root.resolve(), Path(folder, f"{root.name}.onnx")))
    return as_text(rows)


def rows_of(record: dict[str, object]) -> Sequence[Row]:
    """Rows of one bundle, from the record of its export."""
    name, ours = record["bundle"], float(record["seconds_onnx"])
    others = {
        "PyTorch in float32": float(record["seconds_torch_float32"]),
        "PyTorch as served, in bfloat16 where the CPU has it": float(record["seconds_torch"]),
    }
    probability, mask = float(record["probability_difference"]), float(record["mask_difference"])
    as_served = float(record["mask_difference_as_served"])
    return [
        *(_time_row(f"{name}: ONNX Runtime against {way}", ours, other) for way, other in others.items()),
        Row(f"{name}: largest difference of a probability", f"{probability:.1e}", "", "", f"<= {MAX_PROBABILITY:g}",
            "yes" if probability <= MAX_PROBABILITY else "no"),
        Row(f"{name}: pixels of the mask that differ from float32", f"{mask:.3%}", "", "", f"< {MAX_MASK:.1%}",
            "yes" if mask < MAX_MASK else "no"),
        Row(f"{name}: pixels of the mask that differ from PyTorch as served", f"{as_served:.3%}"),
    ]  # fmt: skip


def _time_row(what: str, ours: float, other: float) -> Row:
    speed = f"{other / ours:.2f} x faster" if other >= ours else f"{ours / other:.2f} x slower"
    return Row(f"{what}, time per sample", as_time(ours), as_time(other), speed)
