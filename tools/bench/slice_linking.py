"""What linking makes of detections in slices, against connected components of the same detections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from fire.decorators import SetParseFns
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose
from scipy import ndimage
from torch import nn
from tqdm import tqdm

from common.errors import InputError
from common.labels.seg import count_overlaps, match
from tools.bench.bundle_config import existing_weights, network_with_weights, parse_config
from tools.bench.device import describe_device
from tools.bench.progress import progress_on_stderr
from tools.bench.table import align_columns
from tools.bench.testing_items import read_testing_items
from tools.command_line import reject

__all__ = ["Remembering", "as_components", "as_table", "linking"]

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "maskrcnn_2p5d"
CONFIG = BUNDLE / "configs" / "inference.json"
LINKED, UNCUT, COMPONENTS = "linked and cut", "linked", "components"
# every detection of every slice, whatever became of it in 3D
EVERYTHING = {"max_gap": 0, "min_slices": 1, "max_valley": 0, "min_tail": 0}
WAYS = {LINKED: {}, UNCUT: {"max_valley": 0, "min_tail": 0}, COMPONENTS: EVERYTHING}
ABOUT = (
    "All ways get the same detections, found once. linked and cut: as inference.json does it; linked: without cuts at\n"
    "dark slices and without ends taken off; components: connected components of the volume that the detections cover."
)


@SetParseFns(dataset_dir=str, ckpt_path=str)
def linking(*extra, dataset_dir: str = "", ckpt_path: str = "", **unknown) -> str:
    """Print SEG of maskrcnn_2p5d's linking and of connected components, of the same detections.

    Parameters
    ----------
    dataset_dir : str
        Dataset with labelled volumes under testing.
    ckpt_path : str
        Weights to use instead of the shipped ones.
    """
    reject(unknown, linking, extra)
    if not dataset_dir:
        raise InputError("--dataset_dir missing; give a converted dataset with labelled volumes under testing")
    name, items = read_testing_items(Path(dataset_dir))
    labelled = [item for item in items if "label" in item]
    if not labelled:
        raise InputError(f"{dataset_dir}: no labels under testing, so there is nothing to judge by; convert with truth")
    overrides = {"bundle_root": str(BUNDLE), "ckpt_path": str(existing_weights(BUNDLE, ckpt_path))}
    parsers = {way: parse_config(CONFIG, {**overrides, "inferer#progress": False, **WAYS[way]}) for way in WAYS}
    with progress_on_stderr():
        rows = _score(parsers, labelled)
    about = [f"data: {name}: n = {len(labelled)}", f"device: {describe_device()}", f"weights: {overrides['ckpt_path']}"]
    return "\n".join([*about, "", as_table(rows), "", ABOUT])


class Remembering(nn.Module):
    """A detector that looks at a volume once, however often it is asked in a row."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.volume, self.found = network, None, []

    def detect_volume(self, volume: torch.Tensor, *, batch_size: int) -> Iterator[Mapping[str, torch.Tensor]]:
        """As the detector's own."""
        if self.volume is None or not torch.equal(self.volume, volume):
            self.volume, self.found = volume, list(self.network.detect_volume(volume, batch_size=batch_size))
        yield from self.found


def as_components(labels: np.ndarray) -> np.ndarray:
    """Connected components of everything that is labelled.

    Parameters
    ----------
    labels : ndarray of int, shape (Z, Y, X)

    Returns
    -------
    ndarray of int32, shape (Z, Y, X)
        Components 1..n, connected through faces; 0 is background.
    """
    return ndimage.label(labels > 0)[0].astype(np.int32)


def as_table(rows: Mapping[str, Sequence[tuple[np.ndarray, int]]]) -> str:
    """Aligned text: SEG of each way, pooled over the reference objects, and how many objects it found.

    Parameters
    ----------
    rows : mapping of str to sequence of (ndarray of float, int)
        Way -> for each volume the IoU of each reference object with its match, 0 without one, and the number of
        results.

    Returns
    -------
    str
    """
    lines = [("", *rows)]
    pooled = [np.concatenate([ious for ious, _ in volumes]) for volumes in rows.values()]
    lines.append(("SEG", *(f"{ious.mean():.4f}" for ious in pooled)))
    lines.append(("objects found", *(f"{sum(number for _, number in volumes)}" for volumes in rows.values())))
    lines.append(("reference objects", *(f"{len(ious)}" for ious in pooled)))
    lines.append(("without a match", *(f"{np.count_nonzero(ious == 0)}" for ious in pooled)))
    return align_columns(lines)


def _score(parsers: Mapping[str, ConfigParser], items: Sequence[Mapping[str, Path]]) -> dict[str, list]:
    """For each way, of each volume: IoU of the reference objects, and number of results."""
    first = parsers[LINKED]
    network = Remembering(network_with_weights(first))
    preprocess, device = first.get_parsed_content("preprocessing"), first.get_parsed_content("device")
    *restoring, _ = first.get_parsed_content("postprocessing").transforms  # the last one writes files
    restore = Compose(restoring)
    inferers = {way: parser.get_parsed_content("inferer") for way, parser in parsers.items()}
    rows = {way: [] for way in parsers}
    for item in tqdm(items, desc="volumes"):
        image = preprocess({"image": str(item["image"])})
        truth = np.asarray(nib.load(item["label"]).dataobj)
        for way, inferer in inferers.items():
            labels = inferer(image["image"][None].to(device), network)[0].cpu()
            if way == COMPONENTS:
                labels = _with_components(labels)
            restored = restore({"image": image["image"], "pred": labels})["pred"][0].numpy()
            if restored.shape != truth.shape:
                raise InputError(f"{item['label']}: shape {truth.shape}, its image {restored.shape}; convert again")
            try:
                overlaps = count_overlaps(truth, restored.astype(np.int64))
            except ValueError as error:
                raise InputError(f"{item['label']}: {error}") from error
            rows[way].append((match(overlaps).ious, len(overlaps.result_labels)))
    return rows


def _with_components(labels: MetaTensor) -> MetaTensor:
    """Replace the objects in place, with the metadata left as they are."""
    labels[0] = torch.from_numpy(as_components(labels[0].numpy()))
    return labels
