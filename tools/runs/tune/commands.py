"""The verb that searches for better values of a bundle's train.json."""

import logging
import os
from functools import partial
from pathlib import Path

import optuna
from fire.decorators import SetParseFn

from common.errors import InputError
from common.json_file import read_json
from tools.bundles import find_bundle
from tools.checksum import checksum
from tools.command_line import as_verb, at_least, needed
from tools.runs.bundles import key_metric
from tools.runs.folds import Folds, read_folds, warn_of_leaks
from tools.runs.overrides import check_overrides, choose
from tools.runs.steps import Training
from tools.runs.tune.results import as_text, one_line, write_results
from tools.runs.tune.space import Space, check_fixed, read_space
from tools.runs.tune.storage import URL_VARIABLE, check_url, open_storage, open_study
from tools.runs.tune.trials import check_bundle, check_folder, run_trial, search

__all__ = ["tune"]

logger = logging.getLogger(__name__)

EXPLAINED = "python -m tools tune --help explains it"
OF_MACHINE = ("device", "num_workers", "cache_rate")  # may differ between those who share a study


@SetParseFn(str)  # overrides go on to monai.bundle as they were typed
@as_verb(
    dataset_dir=needed(EXPLAINED),
    space=needed(EXPLAINED),
    trials=at_least(1),
    sampler_seed=at_least(0),
    prune_after=at_least(0),
)
def tune(
    bundle: str,
    *,
    dataset_dir: Path,
    space: Path,
    trials: int = 20,
    fold: str = "0",
    study_name: str = "",
    storage: str = "",
    output_dir: str = "",
    sampler_seed: int = 0,
    prune_after: int = 0,
    **overrides,
) -> str:
    """Search for values of any keys of train.json that give a better validation, by Optuna.

    The space is a JSON file, {"learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": true}, "batch_size":
    {"type": "int", "low": 1, "high": 4}, "loss": {"type": "categorical", "choices": ["@losses::dice",
    "@losses::dicece"]}, "optimizer#weight_decay": ...}. Every trial is a training of its own. After five complete ones,
    a trial that is worse than their median is pruned. A later call continues the search; calls with the same --storage
    share it, also from several machines. Further options, such as --max_epochs 5, override other keys in all trials.

    Parameters
    ----------
    bundle : str
        A name in bundles/, or a bundle's folder.
    dataset_dir : str
        Converted dataset with folds.
    space : str
        The JSON file.
    trials : int
        Stop when this many have finished, complete or pruned, including those of earlier calls and other machines.
        Others take the place of those that fail, until three more have failed than finished, or the first ones are
        refused for what they are given.
    fold : str
        Validate on this fold.
    study_name : str
        By default the bundle's name.
    storage : str
        Database URL, such as postgresql://user:password@host/name; by default a file in output_dir.
    output_dir : str
        Folder for best.json, trials.csv and trial_NNNN/ with model.pt and logs; by default tune/STUDY_NAME.
    sampler_seed : int
        Another seed draws other values.
    prune_after : int
        Prune no training before this epoch.
    """
    root = find_bundle(bundle).resolve()
    check_overrides(overrides, root, tune)
    check_bundle(root)
    dimensions = read_space(space, read_json(root / "configs/train.json"))
    check_fixed(dimensions, overrides)
    known = read_folds(dataset_dir, root)
    name, chosen = study_name or root.name, _one_fold(known, fold)
    warn_of_leaks(known.dataset, root)
    training = Training(
        title=f"{root.name}, fold {chosen}",
        bundle=root,
        dataset_dir=dataset_dir,
        folder=Path(output_dir or Path("tune", name)),
        fold=chosen,
        overrides=dict(sorted(overrides.items())),
    )
    metric = key_metric(root)
    url = check_url(storage or f"sqlite:///{(training.folder / 'study.db').resolve()}")
    if not storage:  # a wrong one shall leave no folder behind
        training.folder.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = open_study(open_storage(url), name, _record(training, dimensions, metric))
    check_folder(training.folder, study)
    training.folder.mkdir(parents=True, exist_ok=True)
    os.environ[URL_VARIABLE] = url
    objective = partial(
        run_trial, training=training, space=dimensions, sampler_seed=sampler_seed, prune_after=prune_after
    )
    search(study, objective, trials, lambda trial: logger.info(one_line(trial, metric)))
    write_results(study, training)
    logger.info("written: best.json and trials.csv in %s", training.folder)
    return as_text(study, training, metric)


def _record(training: Training, dimensions: Space, metric: str) -> dict[str, object]:
    """What all trials of a study have in common, so that their scores compare."""
    return {
        "bundle": training.bundle.name,
        "metric": metric,
        "fold": training.fold,
        "dataset.json": checksum(training.dataset_dir / "dataset.json"),
        "space": {key: repr(of) for key, of in sorted(dimensions.items())},
        "overrides": {key: value for key, value in training.overrides.items() if key not in OF_MACHINE},
    }


def _one_fold(known: Folds, fold: str) -> int:
    chosen = choose(f"fold {fold}", fold, known.folds)
    if len(chosen) != 1:
        raise InputError(f"--fold {fold}: expected one fold; there are {', '.join(map(str, chosen))}")
    return chosen[0]
