"""The verb ``card``."""

from pathlib import Path
from typing import Any

from tools.bundles import METADATA, all_bundles, bundles_dir, find_bundle
from tools.card.files import MODEL_CARD, write_measured
from tools.card.measured import held_out_metrics, measured_metrics
from tools.card.numbers import rounded
from tools.card.overview import renew_overview
from tools.command_line import as_verb
from tools.toolbox import metric_named, read_toolbox

__all__ = ["card"]


@as_verb()
def card(bundle: str, output_dir: str = "", *, held_out: str = "") -> dict[str, Any]:
    """Write the scores of an evaluation into a bundle's metadata, its model card and the README's table.

    Metrics that come from another evaluation of the same weights stay.

    Parameters
    ----------
    bundle : str
        A name in bundles/, a bundle's folder, or all.
    output_dir : str
        Folder with metrics.csv and <metric>_raw.csv of its evaluation. Without it, the card and the README's table are
        written again from the metadata, for example after a metric's title changed.
    held_out : str
        If the shipped weights have seen every unit: weights of the same recipe, each trained without the units that it
        was evaluated on, separated by commas. OUTPUT_DIR then names as many folders, in the same order.
    """
    folders = all_bundles() if bundle == "all" and not output_dir else [find_bundle(bundle)]
    measured = _measured(output_dir, held_out, folders[0])
    for folder in folders:
        write_measured(folder, measured)
    readme = bundles_dir().parent / "README.md"
    if folders[0].parent == bundles_dir() and readme.is_file():
        renew_overview(readme, bundles_dir())
    if not output_dir:
        return {folder.name: folder / MODEL_CARD for folder in folders}
    metrics = read_toolbox(folders[0]).metrics
    scores = {
        name: f"{rounded(entry['mean'], metric_named(name, metrics).unit)}, n = {entry['n']}"
        for name, entry in measured.items()
    }
    return scores | {"metadata": folders[0] / METADATA, "model card": folders[0] / MODEL_CARD}


def _measured(output_dir: str, held_out: str, bundle: Path) -> dict[str, dict[str, Any]]:
    if not held_out:
        return measured_metrics(Path(output_dir), bundle) if output_dir else {}
    return held_out_metrics(_paths(output_dir), _paths(held_out), bundle)


def _paths(text: str) -> list[Path]:
    return [Path(part) for part in text.split(",")]
