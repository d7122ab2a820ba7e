"""Share of a training in which its loop waits for data, its steps a second, and its peak memory.

Time until a batch is there, of the time until it is there and trained on, in all epochs after the first, which fills
caches; none is followed by a validation. Everything else is as the bundle's train.json has it.
"""

import resource
from collections.abc import Iterator
from pathlib import Path

from fire.parser import DefaultParseValue  # as MONAI reads its command line
from ignite.handlers import BasicTimeProfiler

from benchmarks.bundles import about, dataset, open_config, overrides_of
from benchmarks.harness import Row, goal


def compare(
    folder: Path, *, bundle: str = "devonet_nsn", dataset_dir: str = "", max_epochs: int = 3, overrides: str = ""
) -> Iterator[str | list[Row]]:
    """Options: bundle; dataset_dir, with images under training; max_epochs, at least 2; and overrides.

    These are of train.json, as in ``--overrides cache_dir=/scratch/cells,patches_per_epoch=160``.
    """
    data = dataset(bundle, dataset_dir, folder)
    yield about(data, data.training)
    knobs: dict[str, object] = {key: DefaultParseValue(value) for key, value in overrides_of(overrides).items()}
    knobs |= {"dataset_dir": str(data.folder), "output_dir": str(folder / "training")}
    parser = open_config(bundle, "train", **knobs, max_epochs=max_epochs, val_interval=max_epochs + 1)
    profiler = BasicTimeProfiler()
    profiler.attach(parser.get_parsed_content("train#trainer"))
    parser.get_parsed_content("run")
    num_first = len(profiler.dataflow_times) // max_epochs
    waited, trained = (float(times[num_first:].sum()) for times in (profiler.dataflow_times, profiler.processing_times))
    share = waited / (waited + trained)
    num_steps = len(profiler.dataflow_times) - num_first
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # of KiB
    yield [
        Row(f"{bundle}: share of time waiting for data", f"{share:.1%}", target=goal("< 5 %", share < 0.05)),
        Row(f"{bundle}: steps a second", f"{num_steps / (waited + trained):.2f}"),
        Row(f"{bundle}: peak memory", f"{peak:.2f} GiB"),
    ]
