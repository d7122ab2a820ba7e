"""A bundle's metadata.json and model card: what was measured is written into both, and they agree."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from common.errors import InputError
from common.files import replacing
from tools.bundles import METADATA, WEIGHTS, read_metadata
from tools.card.performance import performance_table
from tools.card.sections import replace_eval_metrics, replace_section, section
from tools.checksum import checksum
from tools.toolbox import metrics_of

__all__ = ["MODEL_CARD", "card_disagreements", "write_measured"]

MODEL_CARD = "docs/README.md"


def write_measured(bundle: Path, measured: Mapping[str, Mapping]) -> None:
    """Write scores of `measured_metrics` into both files; where one cannot be written, neither is.

    Former metrics of the same weights are kept, all in the order of the metadata's ``toolbox``. Without scores the card
    is written again from what the metadata say. InputError if a file is missing, or has no place for the scores.
    """
    metadata, model_card = bundle / METADATA, bundle / MODEL_CARD
    if not model_card.is_file():
        raise InputError(f"{model_card}: no such file; write the model card first")
    old_metadata, old_card = metadata.read_bytes().decode(), model_card.read_bytes().decode()
    kept, former = {entry["checkpoint_sha256"] for entry in measured.values()}, json.loads(old_metadata)
    eval_metrics = {
        metric: entry
        for metric, entry in former["eval_metrics"].items()
        if not kept or entry.get("checkpoint_sha256") in kept
    } | dict(measured)
    about = metrics_of(former)
    rank = {metric: place for place, metric in enumerate(about)}
    eval_metrics = dict(sorted(eval_metrics.items(), key=lambda item: rank.get(item[0], len(rank))))
    with _naming(metadata):
        new_metadata = replace_eval_metrics(old_metadata, eval_metrics)
    with _naming(model_card):
        new_card = replace_section(old_card, performance_table(eval_metrics, about))
    with replacing(metadata) as metadata_partial, replacing(model_card) as card_partial:
        metadata_partial.write_bytes(new_metadata.encode())
        card_partial.write_bytes(new_card.encode())


def card_disagreements(bundle: Path) -> list[str]:
    """Where a bundle's metadata, model card and weights disagree, one message each.

    There is none if the card's Performance section is what the metadata says, and that belongs to the shipped weights.
    """
    metadata = read_metadata(bundle)
    eval_metrics = metadata["eval_metrics"]
    try:
        written = section((bundle / MODEL_CARD).read_text(encoding="utf-8"))
    except (OSError, InputError) as error:
        return [f"{bundle / MODEL_CARD}: {error}"]
    messages = []
    if written != performance_table(eval_metrics, metrics_of(metadata)):
        messages.append(f"{bundle / MODEL_CARD}: Performance is not what {METADATA} says; run python -m tools card")
    weights = bundle / WEIGHTS
    if eval_metrics and not weights.is_file():
        return [*messages, f"{weights}: no such file, but {METADATA} has scores of it"]
    for metric, entry in eval_metrics.items():
        if entry["checkpoint_sha256"] != checksum(weights):
            messages.append(f"{bundle / METADATA}: {metric} was measured with other weights than {WEIGHTS}")
    return messages


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the file in front of errors about its text."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
