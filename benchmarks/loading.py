"""Share of a training in which its loop waits for data.

Time until a batch is there, of the time until it is there and trained on, in all epochs after the first, which fills
caches; none is followed by a validation. Everything else is as the bundle's train.json has it.
"""

from collections.abc import Iterator
from pathlib import Path

from ignite.handlers import BasicTimeProfiler

from benchmarks.bundles import about, dataset, open_config
from benchmarks.harness import Row, goal


def compare(
    folder: Path, *, bundle: str = "devonet_nsn", dataset_dir: str = "", max_epochs: int = 3
) -> Iterator[str | list[Row]]:
    """Options: bundle; dataset_dir, with images under training; max_epochs, at least 2."""
    data = dataset(bundle, dataset_dir, folder)
    yield about(data, data.training)
    overrides = {"dataset_dir": str(data.folder), "output_dir": str(folder / "training")}
    parser = open_config(bundle, "train", **overrides, max_epochs=max_epochs, val_interval=max_epochs + 1)
    profiler = BasicTimeProfiler()
    profiler.attach(parser.get_parsed_content("train#trainer"))
    parser.get_parsed_content("run")
    num_first = len(profiler.dataflow_times) // max_epochs
    waited, trained = (float(times[num_first:].sum()) for times in (profiler.dataflow_times, profiler.processing_times))
    share = waited / (waited + trained)
    yield [Row(f"{bundle}: share of time waiting for data", f"{share:.1%}", target=goal("< 5 %", share < 0.05))]
