"""Slices linked into objects by maskrcnn_2p5d: SEG against connected components, time against full-frame masks.

SEG, pooled over the reference objects: all ways get the same detections, found once. ours: as inference.json does it;
without cuts: not at dark slices, and without ends taken off. other: connected components of the volume that the
detections cover. Time: on discs that drift, in memory; ours links the whole stack, with all that belongs to it. other:
IoU of every object with every object of the next slice from boolean masks of the full frame, then scipy's
linear_sum_assignment, on 4 pairs of slices spread over the stack, since all take minutes. On these pairs both find the
same links, which is checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from skimage.draw import disk
from torch import nn
from tqdm import tqdm

from benchmarks.bundles import load_network, open_config, spread, testing_data
from benchmarks.harness import Row, as_time, goal, speed, take_turns
from common.labels.seg import count_overlaps, match

# components: of every detection of every slice, whatever became of it in 3D
UNCUT = {"max_valley": 0, "min_tail": 0}
WAYS = {"linked and cut": {}, "without cuts": UNCUT, "components": {"max_gap": 0, "min_slices": 1, **UNCUT}}
LINK_STACK = {"link": {"_target_": "maskrcnn_2p5d.linking.link_stack", "_mode_": "callable"}}


def compare(
    folder: Path, *, dataset_dir: str = "", ckpt_path: str = "", slices: int = 200, discs: int = 100, size: int = 512
) -> Iterator[str | list[Row]]:
    """Compare the linking of slices with connected components.

    Options: dataset_dir, with labelled volumes under testing; ckpt_path, other weights; slices, discs and size, height
    and width, of the drawn stack.
    """
    items, about = testing_data("maskrcnn_2p5d", dataset_dir, folder)
    yield about
    parsers = {way: open_config("maskrcnn_2p5d", ckpt_path=ckpt_path, **WAYS[way]) for way in WAYS}
    ious = _score(parsers, items)
    seg = {way: values.mean() for way, values in ious.items()}
    other = seg.pop("components")
    what = f"{len(ious['components'])} objects"
    yield [
        Row(f"SEG, {way}, {what}", f"{ours:.4f}", f"{other:.4f}", f"{ours - other:+.4f}") for way, ours in seg.items()
    ]
    link_stack = ConfigParser(LINK_STACK).get_parsed_content("link")
    min_iou = parsers["linked and cut"].get_parsed_content("min_iou")
    stack, pairs = draw_drifting_discs(slices, discs, size), spread(range(slices - 1), 4)
    ways = {
        "ours": lambda stack: link_stack(stack, min_iou=min_iou).labels,
        "dense": lambda stack: [dense_links(*stack[z : z + 2], min_iou) for z in pairs],
    }
    seconds, results = take_turns(ways, [stack], rounds=3, desc="linking", judge=lambda _, result: result)
    _check(stack, *results["ours"], pairs, *results["dense"])
    whole, what = float(np.median(seconds["ours"])), "time per pair of neighbouring slices"
    yield [
        Row(f"time per stack of {slices} slices, {discs} discs", as_time(whole), target=goal("< 2 s", whole < 2)),
        speed(what, seconds["ours"] / (slices - 1), seconds["dense"] / len(pairs), 10),
    ]


def draw_drifting_discs(num_slices: int, num_objects: int, size: int) -> np.ndarray:
    """Discs that never overlap within a slice, and always overlap themselves in the next one: int32 (Z, Y, X).

    Those of a slice are 1..num_objects, in another order in every slice.
    """
    random, per_side = np.random.default_rng(0), int(np.ceil(np.sqrt(num_objects)))
    cell = size / per_side
    middles = (np.column_stack(np.divmod(np.arange(num_objects), per_side)) + 0.5) * cell
    radii = cell * random.uniform(0.25, 0.38, num_objects)  # two of the largest never touch
    stack = np.zeros((num_slices, size, size), np.int32)
    for labels in stack:
        centres = middles + cell * random.uniform(-0.04, 0.04, middles.shape)
        for label, centre, radius in zip(random.permutation(num_objects) + 1, centres, radii, strict=True):
            labels[disk(centre, radius, shape=labels.shape)] = label
    return stack


def dense_links(first: np.ndarray, second: np.ndarray, min_iou: float) -> np.ndarray:
    """Pairs of labels of two slices, int (m, 2), by the assignment with the largest total IoU."""
    firsts, seconds = (np.unique(labels[labels > 0]) for labels in (first, second))
    masks, others = [first == label for label in firsts], [second == label for label in seconds]
    ious = np.array([[np.count_nonzero(a & b) / np.count_nonzero(a | b) for b in others] for a in masks])
    ious[ious < min_iou] = 0
    rows, columns = linear_sum_assignment(ious, maximize=True)
    linked = ious[rows, columns] > 0
    return np.column_stack([firsts[rows[linked]], seconds[columns[linked]]])


def _check(stack: np.ndarray, volume: np.ndarray, pairs: Sequence[int], links: Sequence[np.ndarray]) -> None:
    """Refuse a volume, whose objects have one number in all slices, that has other links than the dense way's."""
    for z, expected in zip(pairs, links, strict=True):
        first, second = (dict(zip(volume[k].flat, stack[k].flat, strict=True)) for k in (z, z + 1))
        found = sorted((first[number], second[number]) for number in first.keys() & second.keys() if number)
        if not np.array_equal(found, expected):
            raise RuntimeError(f"slices {z} and {z + 1}: link_stack and the dense way find other links; one is wrong")


def _score(parsers: Mapping[str, ConfigParser], items: Sequence[Mapping[str, str]]) -> dict[str, np.ndarray]:
    """For each way the IoU of every reference object of all volumes with its match."""
    first = parsers["linked and cut"]
    network, device = load_network(first), first.get_parsed_content("device")
    restore = Compose(first.get_parsed_content("postprocessing").transforms[:-1])  # the last one writes files
    inferers = {way: parser.get_parsed_content("inferer") for way, parser in parsers.items()}
    ious: dict[str, list[np.ndarray]] = {way: [] for way in parsers}
    for item in tqdm(items, desc="volumes"):
        image = first.get_parsed_content("preprocessing")({"image": item["image"]})["image"]
        truth, once = np.asarray(nib.load(item["label"]).dataobj), _detect_once(network)
        for way, inferer in inferers.items():
            labels = inferer(image[None].to(device), once)[0].cpu()
            if way == "components":  # in place: the metadata stay as they are
                labels[0] = torch.from_numpy(ndimage.label(labels[0].numpy() > 0)[0].astype(np.int32))
            restored = restore({"image": image, "pred": labels})["pred"][0].numpy()
            ious[way].append(match(count_overlaps(truth, restored.astype(np.int64))).ious)
    return {way: np.concatenate(values) for way, values in ious.items()}


def _detect_once(network: nn.Module) -> SimpleNamespace:
    """A detector that looks at its volume once, however often it is asked."""
    found: list[Mapping[str, torch.Tensor]] = []

    def detect_volume(volume: torch.Tensor, *, batch_size: int) -> Iterator[Mapping[str, torch.Tensor]]:
        found.extend([] if found else network.detect_volume(volume, batch_size=batch_size))
        return iter(found)

    return SimpleNamespace(detect_volume=detect_volume)
