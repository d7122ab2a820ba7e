"""Slices linked into objects by maskrcnn_2p5d: SEG against connected components.

SEG, pooled over the reference objects: all ways get the same detections, found once. ours: as inference.json does it;
without cuts: not at dark slices, and without ends taken off; without smoothing: as painted slice by slice. other:
connected components of the volume that the detections cover.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose
from scipy import ndimage
from torch import nn
from tqdm import tqdm

from benchmarks.bundles import load_network, open_config, testing_data
from benchmarks.harness import Row
from common.labels.seg import count_overlaps, match

# components: of every detection of every slice, whatever became of it in 3D
UNCUT = {"max_valley": 0, "min_tail": 0}
ROUGH = {"smoothing": [0, 0, 0]}
WAYS = {
    "linked, cut and smoothed": {},
    "without cuts": UNCUT,
    "without smoothing": ROUGH,
    "components": {"max_gap": 0, "min_slices": 1, **UNCUT, **ROUGH},
}


def compare(folder: Path, *, dataset_dir: str = "", ckpt_path: str = "") -> Iterator[str | list[Row]]:
    """Options: dataset_dir, with labelled volumes under testing; ckpt_path, other weights."""
    items, about = testing_data("maskrcnn_2p5d", dataset_dir, folder)
    yield about
    ious = _score({way: open_config("maskrcnn_2p5d", ckpt_path=ckpt_path, **WAYS[way]) for way in WAYS}, items)
    seg = {way: values.mean() for way, values in ious.items()}
    other = seg.pop("components")
    what = f"{len(ious['components'])} objects"
    yield [
        Row(f"SEG, {way}, {what}", f"{ours:.4f}", f"{other:.4f}", f"{ours - other:+.4f}") for way, ours in seg.items()
    ]


def _score(parsers: Mapping[str, ConfigParser], items: Sequence[Mapping[str, str]]) -> dict[str, np.ndarray]:
    """For each way the IoU of every reference object of all volumes with its match."""
    first = parsers["linked, cut and smoothed"]
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
