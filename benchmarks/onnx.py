"""Every bundle in ONNX Runtime against PyTorch on the CPU, as the server runs them, on a sample image of each.

Medians of the rounds that the export itself takes, from the image's file to the results. as served: in bfloat16 where
the CPU has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Row, goal, speed
from tools.bundles import all_bundles, find_bundle
from tools.segment.onnx_export import MAX_MASK, MAX_PROBABILITY, export_bundle


def compare(folder: Path, *, bundles: str = "") -> Iterator[list[Row]]:
    """Options: bundles, names with commas between them, all without it."""
    for name in bundles.split(",") if bundles else [path.name for path in all_bundles()]:
        record = export_bundle(find_bundle(name), folder / f"{name}.onnx")
        probability, mask = float(record["probability_difference"]), float(record["mask_difference"])
        yield [
            speed(f"{name}: time, PyTorch in float32", record["seconds_onnx"], record["seconds_torch_float32"]),
            speed(f"{name}: time, PyTorch as served", record["seconds_onnx"], record["seconds_torch"]),
            Row(f"{name}: largest difference of a probability", f"{probability:.1e}",
                target=goal(f"<= {MAX_PROBABILITY:g}", probability <= MAX_PROBABILITY)),
            Row(f"{name}: pixels of the mask that differ from float32", f"{mask:.3%}",
                target=goal(f"< {MAX_MASK:.1%}", mask < MAX_MASK)),
            Row(f"{name}: pixels that differ as served", f"{float(record['mask_difference_as_served']):.3%}"),
        ]  # fmt: skip
