"""MONAI's DataAnalyzer on a dataset of volumes or planes, with all instances as one foreground."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import yaml

from common.datalist import Item
from common.errors import InputError
from common.files import replacing
from common.reading import images, nifti
from tools.overlay import read_image
from tools.runs.files import is_newer
from tools.runs.folds import Folds

if TYPE_CHECKING:
    import torch
    from monai.data import MetaTensor

__all__ = ["ReadCase", "analyse", "summarise_datastats", "write_datastats"]

logger = logging.getLogger(__name__)

MAX_PLANE_PX = 4096
SPREAD = ("min", "median", "max")


class ReadCase:
    """Reads an item's image and label, channels first; the label is 1 wherever there is an object.

    A volume comes as (1, X, Y, Z), turned to the orientation RAS, a plane as (C, Y, X), of which at most 4096 pixels
    along an axis are kept: of a slide every n-th row and column.
    """

    def __call__(self, item: Mapping[str, str]) -> dict[str, torch.Tensor]:
        image, label = (self._read(Path(item[key])) for key in ("image", "label"))
        if label.shape[1:] != image.shape[1:]:
            raise InputError(f"{item['label']}: shape {tuple(label.shape[1:])}, its image {tuple(image.shape[1:])}")
        label[:] = label > 0
        return {"image": image, "label": label[:1]}

    def _read(self, path: Path) -> MetaTensor:
        import torch
        from monai.data import MetaTensor  # slow to import, and not needed where everything is done

        meta = {"filename_or_obj": str(path)}
        if images.is_volume(path):
            volume = nib.as_closest_canonical(nifti.open_nifti(path))
            array, affine = np.asanyarray(volume.dataobj)[None], volume.affine
        else:
            plane = read_image(path)
            step = -(-max(plane.shape[:2]) // MAX_PLANE_PX)
            plane = plane[::step, ::step]
            array = plane[None] if plane.ndim == 2 else np.moveaxis(plane, -1, 0)
            affine = np.diag([step, step, 1.0])
        return MetaTensor(torch.tensor(array.astype(np.float32)), affine=torch.tensor(affine), meta=meta)


def write_datastats(data: Folds, path: Path) -> dict[str, Any]:
    """Content of datastats.yaml; it is written with datastats_by_case.yaml unless it is newer than the datalist.

    InputError if images cannot be read or summarised.
    """
    if not is_newer(path, [data.dataset.path]):
        from monai.bundle import ConfigParser

        logger.info("DataAnalyzer: %d labelled images", len(data.training))
        summary, by_case = analyse(data.training)
        for target, content in (
            (path.with_name("datastats_by_case.yaml"), {"stats_summary": summary, "stats_by_cases": by_case}),
            (path, {"stats_summary": summary}),
        ):
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as partial:
                ConfigParser.export_config_file(
                    content, str(partial), fmt="yaml", default_flow_style=None, sort_keys=False
                )
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def analyse(items: Sequence[Item]) -> tuple[dict, list[dict]]:
    """MONAI's statistics of labelled images: of all, and of each.

    InputError if an image cannot be analysed, or they differ so much that they cannot be summarised.
    """
    from monai.apps.auto3dseg import DataAnalyzer

    files = [{key: str(item.file(key)) for key in ("image", "label")} for item in items]
    analyzer = DataAnalyzer({"training": files}, output_path="", device="cpu", worker=0)
    try:
        result = analyzer.get_all_case_stats(transform_list=[ReadCase()])
    except InputError:
        raise
    except Exception as error:  # a transform raises RuntimeError, a summary of unlike cases many kinds
        if isinstance(error.__cause__, InputError):
            raise error.__cause__ from error
        raise InputError(
            f"{items[0].dataset}: DataAnalyzer cannot summarise these images ({error}); are all alike?"
        ) from error
    summary, by_case = result["stats_summary"], result["stats_by_cases"]
    if len(by_case) != len(files):
        read = {case["image_filepath"] for case in by_case}
        lost = next(file["image"] for file in files if file["image"] not in read)
        raise InputError(f"{lost}: DataAnalyzer cannot analyse it; is it an image with a label of the same shape?")
    return summary, by_case


def summarise_datastats(content: Mapping[str, Any]) -> dict[str, Any]:
    """What a report shows of datastats.yaml.

    ``cases``; ``shape`` and ``spacing`` as [smallest, median, largest] of each axis; ``intensity`` and
    ``foreground_intensity`` as percentile -> value over all cases, ``foreground_share`` of the pixels, 0 to 1.
    """
    summary = content["stats_summary"]
    image, foreground = summary["image_stats"], summary["image_foreground_stats"]
    shares = {  # named a percentage by MONAI, and between 0 and 1
        str(label): of["foreground_percentage"]["mean"]
        for label, of in zip(summary["label_stats"]["labels"], summary["label_stats"]["label"], strict=False)
    }
    num_axes = len(_as_list(image["shape"]["max"]))
    return {
        "cases": summary["n_cases"],
        "shape": [_as_list(image["shape"][of]) for of in SPREAD],
        "spacing": [_as_list(image["spacing"][of])[:num_axes] for of in SPREAD],
        "intensity": _percentiles(image["intensity"]),
        "foreground_intensity": _percentiles(foreground["intensity"]),
        "foreground_share": shares.get("1", 0.0),
    }


def _percentiles(intensity: Mapping[str, Any]) -> dict[str, float]:
    """Mean over the cases of each percentile, as DataAnalyzer names them, and of the mean."""
    return {key: float(intensity[key]) for key in intensity if key.startswith("percentile") or key == "mean"}


def _as_list(value: Any) -> list[float]:
    return [float(number) for number in np.ravel(value)]
