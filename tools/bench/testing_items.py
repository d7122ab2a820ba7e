"""The images that a benchmark segments: those under testing, with a label where they have one."""

from __future__ import annotations

import json
from pathlib import Path

from common.errors import InputError

__all__ = ["read_testing_items"]


def read_testing_items(dataset_dir: Path) -> tuple[str, list[dict[str, Path]]]:
    """Name of a dataset, and paths of the images under testing and of their labels.

    Parameters
    ----------
    dataset_dir : Path
        Folder with dataset.json.

    Returns
    -------
    name : str
        As the dataset calls itself, else its folder's.
    items : list of dict of str to Path
        Paths under ``image``, and ``label`` where there is a truth; at least one item.

    Raises
    ------
    InputError
        If there is no datalist, nothing under testing, or a file is missing.
    """
    path = dataset_dir / "dataset.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        testing = content.get("testing", [])
        keys = [("image", "label") if "label" in item else ("image",) for item in testing]
        items = [{key: dataset_dir / item[key] for key in chosen} for item, chosen in zip(testing, keys, strict=True)]
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a MONAI datalist ({error!r}); give a converted dataset") from error
    if not items:
        raise InputError(f"{path}: nothing under testing; convert with --test, or give another --dataset_dir")
    for file in (file for item in items for file in item.values()):
        if not file.is_file():
            raise InputError(f"{file}: no such file, but {path} lists it; convert the data again")
    return content.get("name", dataset_dir.name), items
