"""Where the foreground mask of a volume is wrong: at borders, in dim nuclei, in deep slices."""

from collections import Counter
from pathlib import Path

import numpy as np
from scipy import ndimage
from tqdm import tqdm

from common.datalist import read_dataset
from common.errors import InputError
from common.names import stem
from common.reading import nifti
from common.reading.images import is_volume
from tools.command_line import as_verb

__all__ = ["count_errors", "errors", "isolated_offsets"]

THIRDS = ("first", "middle", "last")
FREE_PX = 4


def count_errors(image: np.ndarray, labels: np.ndarray, mask: np.ndarray) -> Counter:
    """Count right and wrong voxels of a mask by place, and found voxels of nuclei by brightness.

    Parameters
    ----------
    image : ndarray, shape (Z, Y, X)
        Intensities.
    labels : ndarray of int, shape (Z, Y, X)
        Truth, one positive integer per nucleus.
    mask : ndarray of bool, shape (Z, Y, X)
        Result.

    Returns
    -------
    Counter
        ``wrong`` and ``wrong at border`` (within one voxel, by faces, of the truth's surface, on either side),
        ``missing`` and ``extra`` voxels; ``both``/``either`` (intersection and union) in total, ``inside`` (without
        the border's voxels) and for each third of the depth that nuclei occupy; ``found``/``voxels`` of the nuclei in
        each third of brightness within the volume; ``nuclei`` and ``nuclei missed`` (less than half of it found);
        ``offset z``, ``y``, ``x``: sums of `isolated_offsets` over that many ``isolated nuclei``.
    """
    truth = labels > 0
    wrong = truth != mask
    border = ndimage.binary_dilation(truth) & ~ndimage.binary_erosion(truth, border_value=1)
    counts = Counter(
        {
            "wrong": wrong.sum(),
            "wrong at border": (wrong & border).sum(),
            "missing": (truth & ~mask).sum(),
            "extra": (mask & ~truth).sum(),
            "both": (truth & mask).sum(),
            "either": (truth | mask).sum(),
            "inside both": (truth & mask & ~border).sum(),
            "inside either": ((truth | mask) & ~border).sum(),
        }
    )
    for third, planes in zip(THIRDS, np.array_split(np.flatnonzero(truth.any(axis=(1, 2))), 3), strict=True):
        counts[f"{third} third both"] = (truth & mask)[planes].sum()
        counts[f"{third} third either"] = (truth | mask)[planes].sum()
    offsets = isolated_offsets(labels, mask)
    counts.update({f"offset {axis}": values.sum() for axis, values in zip("zyx", offsets.T, strict=True)})
    counts["isolated nuclei"] = len(offsets)
    _count_nuclei(counts, image, labels, mask)
    return counts


def isolated_offsets(labels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Centroid of each isolated, found nucleus in the truth minus its centroid in the mask.

    A truth that was resampled onto another grid than its image shows here: the offsets have a common direction.

    Parameters
    ----------
    labels : ndarray of int, shape (Z, Y, X)
    mask : ndarray of bool, shape (Z, Y, X)

    Returns
    -------
    ndarray of float, shape (n, 3)
        Voxels along Z, Y, X, for nuclei with no other one within `FREE_PX` voxels.
    """
    offsets = []
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        window = tuple(slice(max(0, side.start - FREE_PX), side.stop + FREE_PX) for side in box)
        nucleus = labels[window] == label
        around = ndimage.binary_dilation(nucleus, iterations=FREE_PX)
        found = mask[window] & around
        if not ((labels[window] > 0) & ~nucleus & around).any() and 2 * found.sum() >= nucleus.sum():
            offsets.append(np.subtract(ndimage.center_of_mass(nucleus), ndimage.center_of_mass(found)))
    return np.array(offsets).reshape(-1, 3)


def _count_nuclei(counts: Counter, image: np.ndarray, labels: np.ndarray, mask: np.ndarray) -> None:
    ids = np.unique(labels[labels > 0])
    voxels = ndimage.sum_labels(np.ones_like(mask, dtype=np.int64), labels, ids)
    found = ndimage.sum_labels(mask, labels, ids)
    by_brightness = np.argsort(ndimage.mean(image, labels, ids))
    for third, members in zip(("dim", "medium", "bright"), np.array_split(by_brightness, 3), strict=True):
        counts[f"{third} found"] = found[members].sum()
        counts[f"{third} voxels"] = voxels[members].sum()
    counts["nuclei"], counts["nuclei missed"] = len(ids), int(np.count_nonzero(2 * found < voxels))


@as_verb(dataset_dir=Path, results_dir=Path)
def errors(dataset_dir: Path, results_dir: Path) -> dict[str, str]:
    """Show where masks differ from the truth: borders, dim nuclei, depth (pooled over all labelled test volumes).

    Parameters
    ----------
    dataset_dir : str
        Folder with dataset.json, whose labelled testing items are compared.
    results_dir : str
        Folder with <stem>_mask.nii.gz of each.
    """
    items = [item for item in read_dataset(dataset_dir).testing if item.is_complete]
    if not items:
        raise InputError(
            f"{dataset_dir / 'dataset.json'}: no labelled image under 'testing'; there is nothing to compare with"
        )
    flat = next((item for item in items if not is_volume(item.file("image"))), None)
    if flat:
        raise InputError(f"{flat.file('image')}: no NIfTI volume, which is all that is compared here; use overlay")
    total: Counter[str] = Counter()
    for item in tqdm(items, desc="comparing"):
        mask = results_dir / f"{stem(item.name)}_mask.nii.gz"
        if not mask.is_file():
            raise InputError(f"{mask}: no such file; run inference on the whole of {dataset_dir} first")
        image = nifti.read_volume(item.file("image"))
        labels = nifti.read_volume_onto(item.file("label"), item.file("image"))
        result = nifti.read_volume_onto(mask, item.file("image"), "the mask")
        total.update(count_errors(image, labels, result > 0))
    return _summary(total, len(items))


def _summary(total: Counter, num_volumes: int) -> dict[str, str]:
    def share(part: str, whole: str) -> str:
        return f"{total[part] / total[whole]:.4f}" if total[whole] else "undefined"

    return {
        "volumes": str(num_volumes),
        "IoU, voxels pooled": share("both", "either"),
        "wrong voxels within 1 of the border": share("wrong at border", "wrong"),
        "wrong voxels that are missing": share("missing", "wrong"),
        "IoU without the border's voxels": share("inside both", "inside either"),
        **{
            f"IoU in the {third} third of depth": share(f"{third} third both", f"{third} third either")
            for third in THIRDS
        },
        **{
            f"recall of {kind} nuclei's voxels": share(f"{kind} found", f"{kind} voxels")
            for kind in ("dim", "medium", "bright")
        },
        "nuclei missed": f"{total['nuclei missed']} of {total['nuclei']}",
        f"truth beside mask, voxels (Z, Y, X), {total['isolated nuclei']} isolated nuclei": ", ".join(
            f"{total[f'offset {axis}'] / total['isolated nuclei']:+.2f}" if total["isolated nuclei"] else "undefined"
            for axis in "zyx"
        ),
    }
