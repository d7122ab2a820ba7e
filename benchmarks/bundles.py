"""A bundle as a comparison opens it: its own config and weights, a dataset that it reads, a run as a user starts it."""

import sys
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from ignite.engine import Engine
from monai.bundle import ConfigParser, ConfigWorkflow
from torch import nn

from common.datalist import Dataset, Item, read_dataset
from common.metrics.ratios import f1_ratio, iou_ratio, seg_ratio
from common.names import stem
from tools.__main__ import VERBS
from tools.bundles import find_bundle
from tools.command_line import run
from tools.quickstart import commands
from tools.runs.words import bundle_command
from tools.segment.description import Description
from tools.segment.files import segment_file
from tools.segment.loaded import Loaded
from tools.segment.results import read_mask
from tools.toolbox import read_toolbox

__all__ = [
    *("about", "command", "dataset", "load_network", "open_config", "open_loop", "repeated", "spread"),
    *("SCORES", "segmented", "testing_data", "tools_command"),
]

SCORES = {"SEG": seg_ratio, "F1": f1_ratio, "IoU": iou_ratio}  # of labels, by title


def open_config(bundle: str, *names: str, **overrides: object) -> ConfigParser:
    """A bundle's config (inference, or the named ones, a later one over an earlier) after its ``initialize``.

    Overrides are those of ``monai.bundle run``; what is empty is left out.
    """
    root = find_bundle(bundle)
    files = [str(root / "configs" / f"{name}.json") for name in names or ("inference",)]
    given = {"bundle_root": str(root)} | {key: value for key, value in overrides.items() if value != ""}
    workflow = ConfigWorkflow(files, workflow_type=None, logging_file=False, **given)
    workflow.initialize()
    return workflow.parser


def load_network(parser: ConfigParser) -> nn.Module:
    """The config's network, with the weights that its loader puts in when an engine starts."""
    engine = Engine(lambda engine, batch: None)
    parser.get_parsed_content("checkpoint_loader").attach(engine)
    engine.run([None])
    return parser.get_parsed_content("network").eval()


def command(bundle: str, config: str, workflow: str = "", **overrides: object) -> list[str]:
    """A run of a bundle as a user types it."""
    root = find_bundle(bundle)
    words = bundle_command([root / f"configs/{config}.json"], {"bundle_root": root, **overrides}, workflow=workflow)
    return [sys.executable, *words[1:]]


def tools_command(*words: object) -> list[str]:
    """A verb of the toolbox as a user types it."""
    return [sys.executable, "-m", "tools", *map(str, words)]


def open_loop(served: Description, images: Path, output: Path) -> Engine:
    """What segments all images of a folder at each call of ``run``: the bundle's own loop, its weights loaded once."""
    output.mkdir(parents=True)
    given = {"dataset_dir": str(images), "output_dir": str(output), **served.overrides}
    parser = open_config(served.name, *(path.stem for path in served.configs), **given)
    load_network(parser)
    return parser.get_parsed_content("evaluator")


def repeated(images: Sequence[Path], number: int, folder: Path) -> list[Path]:
    """So many images in a new folder, which are the given ones again and again."""
    folder.mkdir(parents=True)
    links = [folder / f"{place:04d}{''.join(images[0].suffixes)}" for place in range(number)]
    for link, image in zip(links, cycle(images), strict=False):
        link.symlink_to(image.resolve())
    return links


def dataset(bundle: str, given: str, folder: Path) -> Dataset:
    """The dataset in the folder that was given; without one the quick start's synthetic sample, made in ``folder``."""
    if given:
        return read_dataset(given)
    root = find_bundle(bundle)
    steps = dict(commands(root, read_toolbox(root), folder))
    for step in ("sample", "convert"):
        if run(VERBS, steps[step][3:]) != 0:
            raise ValueError(f"{bundle}: no sample; see above")
    return read_dataset(folder / "dataset")


def testing_data(bundle: str, given: str, folder: Path, count: int | None = None) -> tuple[list[dict[str, str]], str]:
    """Image and label of complete items under ``testing`` of a `dataset`, ``count`` at most, and a line about them."""
    data = dataset(bundle, given, folder)
    items = [item for item in data.testing if item.is_complete]
    if not items:
        raise ValueError(f"{data.path}: no labelled image under testing; give another --dataset_dir")
    items = spread(items, count or len(items))
    return [{key: str(item.file(key)) for key in ("image", "label")} for item in items], about(data, items)


def segmented(network: Loaded, image: Path, folder: Path, kind: str) -> np.ndarray:
    """What a loaded bundle finds in an image, whose files go into a folder that exists: the labels of a kind."""
    segment_file(network, image, folder, {})
    (found,) = folder.glob(f"{stem(image)}_{kind}.*")
    return read_mask(found)[0]


def spread(things: Sequence, count: int) -> list:
    """At most so many of them, evenly from the first to the last."""
    return [things[index] for index in np.linspace(0, len(things) - 1, min(count, len(things))).round().astype(int)]


def overrides_of(text: str) -> dict[str, str]:
    """Values of an option such as ``batch_size=2,patches_per_epoch=8``, by their keys."""
    return dict(pair.split("=", 1) for pair in text.split(",") if pair)


def about(data: Dataset, items: Sequence[Item]) -> str:
    """Which data were used."""
    return f"data: {data.name}: n = {len(items)}"
