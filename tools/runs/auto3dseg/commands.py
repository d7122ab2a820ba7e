"""The verb that registers bundles as algorithms of Auto3DSeg."""

import logging
from collections.abc import Sequence
from pathlib import Path

import yaml
from fire.decorators import SetParseFn

from common.datalist import read_dataset
from common.errors import InputError
from tools.bundles import all_bundles
from tools.command_line import as_verb
from tools.runs.auto3dseg.templates import algo_name, check_free, template_settings, write_template
from tools.runs.bundles import find_bundles
from tools.runs.crossval.datastats import write_datastats
from tools.runs.files import write_text
from tools.runs.folds import Folds, fitting, read_separate_folds

__all__ = ["auto3dseg"]

logger = logging.getLogger(__name__)

WORK_DIR = Path("work_dir")  # as AutoRunner calls it


@SetParseFn(str)
@as_verb(dst=Path, dataset_dir=Path, work_dir=Path)
def auto3dseg(
    dst: Path, *bundles: str, dataset_dir: Path | None = None, work_dir: Path = WORK_DIR
) -> dict[str, object]:
    """Write templates of bundles for MONAI's Auto3DSeg, and what its AutoRunner needs to train them on a dataset.

    BundleGen and AutoRunner take DST as templates_path_or_url and then need no internet. An algorithm has the name of
    its bundle without underscores.

    Parameters
    ----------
    dst : str
        Folder for the templates, one folder each, followed by names of bundles, or their folders. By default all
        bundles that give probabilities of a mask, or instances that SEG measures.
    dataset_dir : str
        Converted dataset with folds. With it, AutoRunner's input.yaml and datastats.yaml are written too, since its
        own analysis of the data cannot read large TIFF files and takes every object for a class.
    work_dir : str
        AutoRunner's folder, for these two; only with a dataset.
    """
    if work_dir != WORK_DIR and not dataset_dir:
        raise InputError("--work_dir without --dataset_dir: give the dataset that AutoRunner should train on")
    roots = _choose(bundles)
    names = [algo_name(root) for root in roots]
    for name in names:
        check_free(dst / name)
    # AutoRunner leaves out what cannot read the dataset
    found = read_separate_folds(dataset_dir, bundles=fitting(read_dataset(dataset_dir), roots)) if dataset_dir else None
    if found and (work_dir / "input.yaml").exists():
        raise InputError(f"{work_dir}: holds an input.yaml of Auto3DSeg already; give another --work_dir")
    dst.mkdir(parents=True, exist_ok=True)
    for root in roots:
        logger.info("wrote %s", write_template(root, dst))
    written = {"templates": dst, "algos": ", ".join(names)}
    return written | (_write_input(found, dst, work_dir, names) if found else {})


def _choose(names: Sequence[str]) -> list[Path]:
    """Folders of the named bundles; without a name, of all that can be algorithms."""
    if names:
        roots = list(find_bundles(tuple(names)).values())
        for root in roots:
            template_settings(root)
        return roots
    chosen = []
    for bundle in all_bundles():
        try:
            template_settings(bundle)
            chosen.append(bundle)
        except InputError as error:
            logger.info("left out: %s", error)
    return chosen


def _write_input(found: Folds, folder: Path, work: Path, names: Sequence[str]) -> dict[str, object]:
    """Write datastats.yaml and input.yaml; what to run then."""
    write_datastats(found, work / "datastats.yaml")
    content = {
        "modality": "microscopy",
        "dataroot": str(found.dataset.folder.resolve()),
        "datalist": str(found.dataset.path.resolve()),
        "templates_path_or_url": str(folder.resolve()),
        "algos": list(names),
        "work_dir": str(work.resolve()),
        "analyze": False,
    }
    write_text(work / "input.yaml", yaml.safe_dump(content, sort_keys=False))
    return {"then run": f"python -m monai.apps.auto3dseg AutoRunner run --input {work / 'input.yaml'}"}
