"""From the weights that a bundle ships to those for your own images."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from fire.decorators import SetParseFn

from common.datalist import read_dataset
from common.errors import InputError
from tools.bundles import WEIGHTS, find_bundle
from tools.card.evaluation import read_overall
from tools.command_line import as_verb, needed
from tools.runs.bundles import titles
from tools.runs.executor import run_steps
from tools.runs.folds import check_dataset, warn_of_leaks
from tools.runs.overrides import check_overrides
from tools.runs.steps import Training
from tools.toolbox import read_toolbox

__all__ = ["finetune", "scores_of", "training_from_shipped"]

BEFORE, AFTER = "before", "after"


@SetParseFn(str)  # overrides go on to monai.bundle as they were typed
@as_verb(dataset_dir=needed("give the dataset that `correct` or `convert` made"), output_dir=Path)
def finetune(
    bundle: str, *, dataset_dir: Path, output_dir: Path = Path("tuned"), max_epochs: str = "20", **overrides
) -> dict[str, object]:
    """Train on from the weights that a bundle ships, on few images of your own.

    It trains on all images under training, such as those that `correct` or `convert` put there, and keeps the weights
    of the last epoch. If there are labelled images under testing, it measures on them what that gained. An interrupted
    call continues. Further options, such as --freeze encoder, override keys of the bundle's train.json.

    Parameters
    ----------
    bundle : str
        Name of the bundle, or its folder; its weights are not changed.
    dataset_dir : str
        Dataset with at least one labelled image under training.
    output_dir : str
        Folder for model.pt, logs and scores.
    max_epochs : str
        How often the training goes over the images; a longer one continues a shorter one.
    """
    root = find_bundle(bundle)
    check_overrides(overrides, root, finetune, {"finetune_checkpoint": "it is the bundle's own models/model.pt"})
    dataset = read_dataset(dataset_dir)
    check_dataset(dataset, root, ["training_items"])  # it validates on none
    if not any(item.is_complete for item in dataset.training):
        raise InputError(f"{dataset.path}: no completely labelled image under training; add one with `correct`")
    overrides = {"max_epochs": max_epochs, **dict(sorted(overrides.items()))}
    training = training_from_shipped(f"{root.resolve().name}, fine-tuned", root, dataset_dir, output_dir, overrides)
    tested = [item for item in dataset.testing if item.is_complete]
    if tested:
        warn_of_leaks(dataset, root, by_fold=False)
    run_steps([training.train()])
    gains = {"gain": "not measured, no image is kept back to test on"}
    if tested:
        run_steps([training.evaluate(BEFORE, weights=root / WEIGHTS), training.evaluate(AFTER)])
        before, after = (scores_of(training.folder / name, root) for name in (BEFORE, AFTER))
        gains = {title: f"{before[title]:.4f} before, {after[title]:.4f} after, n = {len(tested)}" for title in after}
    weights = f"--{training.weights_key} {shlex.quote(str(training.weights))}"
    return {
        "trained on": sum(item.is_complete for item in dataset.training),
        **gains,
        "weights": training.weights,
        "use them": f"python -m tools segment {bundle} IMAGES results {weights}",
    }


def training_from_shipped(
    title: str, bundle: Path, dataset_dir: Path, folder: Path, overrides: Mapping[str, str]
) -> Training:
    """A training of all images from the weights that a bundle ships, of the part that its toolbox names."""
    part = read_toolbox(bundle).finetuning
    return Training(
        title,
        bundle,
        dataset_dir,
        folder,
        fold="none",
        overrides={"finetune_checkpoint": str(bundle / WEIGHTS), **overrides},
        configs=(Path(part.config).stem,) if part else (),
        weights_key=part.weights if part else "ckpt_path",
    )


def scores_of(folder: Path, bundle: Path) -> dict[str, float]:
    """Title of a metric -> what an evaluation measured of all images together."""
    known = titles(bundle)
    return {known[name]: value for name, value in read_overall(folder, known, allow_undefined=True).items()}
