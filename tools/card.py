"""Measured scores of an evaluation into a bundle's metadata.json and model card."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fire.decorators import SetParseFns

from common.errors import InputError
from common.files import replacing
from tools.bundles import METADATA, bundles_dir, find_bundle
from tools.checksum import checksum
from tools.command_line import reject
from tools.metrics_files import group_images, read_metric, read_overall
from tools.overview import renew_overview
from tools.performance import cut, performance_table, replace_eval_metrics, replace_section, section
from tools.scores import summarise

__all__ = ["card", "card_disagreements", "measured_metrics"]

WEIGHTS, MODEL_CARD = "models/model.pt", "docs/README.md"
MAX_UNITS_LISTED = 20
RAW_FILE_PRECISION = 1e-4  # MetricsSaver writes 64 bit scores with four decimals


@SetParseFns(bundle=str, output_dir=str)
def card(bundle: str, output_dir: str, *extra, **unknown) -> dict[str, object]:
    """Write what an evaluation measured into a bundle's metadata, its model card and the README's table.

    Metrics that another evaluation of the same weights measured are kept.

    Parameters
    ----------
    bundle : str
        A name in bundles/, or a bundle's folder.
    output_dir : str
        Folder that its evaluation wrote metrics.csv and <metric>_raw.csv to.
    """
    reject(unknown, card, extra)
    folder = find_bundle(bundle)
    measured = measured_metrics(Path(output_dir), folder / WEIGHTS)
    _write(folder, measured)
    readme = bundles_dir().parent / "README.md"
    if folder.parent == bundles_dir() and readme.is_file():
        renew_overview(readme, bundles_dir())
    scores = {metric: f"{cut(entry['mean'])}, n = {entry['n']}" for metric, entry in measured.items()}
    return scores | {"metadata": folder / METADATA, "model card": folder / MODEL_CARD}


def measured_metrics(output_dir: Path, weights: Path) -> dict[str, dict[str, object]]:
    """What an evaluation measured, as metadata.json keeps it.

    Parameters
    ----------
    output_dir : Path
        Folder that the evaluation wrote to.
    weights : Path
        The shipped weights, with which it was measured.

    Returns
    -------
    dict of str to dict
        Metric -> ``mean`` (the value in metrics.csv; where it pools over objects the mean over cases stands under
        ``mean_per_case``), ``std``, ``n``, ``n_undefined``, ``units``, ``unit``, ``ci95``, ``unit_means`` (for up to
        20 units), ``dataset``, ``split``, ``checkpoint_sha256``.

    Raises
    ------
    InputError
        If a file is missing, files contradict each other, a metric is undefined for all cases, or the weights are
        newer than the evaluation.
    """
    overall = read_overall(output_dir)
    scores = {metric: read_metric(output_dir, metric) for metric in overall}
    first, *others = scores
    for metric in others:
        if scores[metric].keys() != scores[first].keys():
            raise InputError(f"{output_dir}: {first}_raw.csv and {metric}_raw.csv list other images; evaluate again")
    cases = group_images(list(scores[first]))
    _check_weights(weights, output_dir / "metrics.csv")
    origin = {"dataset": cases.dataset, "split": "testing", "checkpoint_sha256": checksum(weights)}
    measured = {}
    for metric, score_of in scores.items():
        try:
            summary = summarise(list(score_of.values()), [cases.unit_of[image] for image in score_of])
        except ValueError as error:
            raise InputError(f"{output_dir / f'{metric}_raw.csv'}: {error}") from error
        measured[metric] = _entry(overall[metric], summary, cases.unit) | origin
    return measured


def card_disagreements(bundle: Path) -> list[str]:
    """What of a bundle's metadata, model card and weights does not belong together.

    Parameters
    ----------
    bundle : Path
        The bundle's folder.

    Returns
    -------
    list of str
        One message each; empty if the card's Performance section is what the metadata says, and the metadata belongs
        to the shipped weights.
    """
    metadata = json.loads((bundle / METADATA).read_text(encoding="utf-8"))
    eval_metrics = metadata["eval_metrics"]
    try:
        written = section((bundle / MODEL_CARD).read_text(encoding="utf-8"))
    except (OSError, InputError) as error:
        return [f"{bundle / MODEL_CARD}: {error}"]
    messages = []
    if written != performance_table(eval_metrics, metadata.get("eval_commands")):
        messages.append(f"{bundle / MODEL_CARD}: Performance is not what {METADATA} says; run python -m tools card")
    weights = bundle / WEIGHTS
    if eval_metrics and not weights.is_file():
        return [*messages, f"{weights}: no such file, but {METADATA} has scores of it"]
    for metric, entry in eval_metrics.items():
        if entry["checkpoint_sha256"] != checksum(weights):
            messages.append(f"{bundle / METADATA}: {metric} was measured with other weights than {WEIGHTS}")
    return messages


def _check_weights(weights: Path, metrics: Path) -> None:
    """Refuse weights that are missing, or were put there after the evaluation: it measured others."""
    if not weights.is_file():
        raise InputError(f"{weights}: no such file; ship the weights that were evaluated, then run card")
    if weights.stat().st_mtime > metrics.stat().st_mtime:
        raise InputError(f"{metrics}: older than {weights}, so of other weights; evaluate the shipped ones")


def _entry(overall: float, summary: dict[str, object], unit: str) -> dict[str, object]:
    """One metric, with metrics.csv's value for the mean and long breakdowns left out."""
    per_case = summary.pop("mean")
    unit_means = summary.pop("unit_means")
    pooled = {"mean_per_case": per_case} if abs(per_case - overall) > RAW_FILE_PRECISION else {}
    listed = {"unit_means": unit_means} if unit != "case" and len(unit_means) <= MAX_UNITS_LISTED else {}
    return {"mean": overall} | pooled | summary | {"unit": unit} | listed


def _write(bundle: Path, measured: dict[str, dict[str, object]]) -> None:
    """Renew both files; where one cannot be, neither is."""
    metadata, model_card = bundle / METADATA, bundle / MODEL_CARD
    if not model_card.is_file():
        raise InputError(f"{model_card}: no such file; write the model card first")
    old_metadata, old_card = metadata.read_bytes().decode(), model_card.read_bytes().decode()
    (sha256,) = {entry["checkpoint_sha256"] for entry in measured.values()}
    former = json.loads(old_metadata)
    kept = {
        metric: entry for metric, entry in former["eval_metrics"].items() if entry.get("checkpoint_sha256") == sha256
    }
    eval_metrics = kept | measured
    with _naming(metadata):
        new_metadata = replace_eval_metrics(old_metadata, eval_metrics)
    with _naming(model_card):
        new_card = replace_section(old_card, performance_table(eval_metrics, former.get("eval_commands")))
    with replacing(metadata) as metadata_partial, replacing(model_card) as card_partial:
        metadata_partial.write_bytes(new_metadata.encode())
        card_partial.write_bytes(new_card.encode())


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the file in front of errors about its text."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
