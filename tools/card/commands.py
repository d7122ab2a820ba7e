"""The verb ``card``."""

from __future__ import annotations

from pathlib import Path

from fire.decorators import SetParseFns

from tools.bundles import METADATA, all_bundles, bundles_dir, find_bundle
from tools.card.files import MODEL_CARD, write_measured
from tools.card.measured import measured_metrics
from tools.card.numbers import rounded
from tools.card.overview import renew_overview
from tools.command_line import reject
from tools.toolbox import read_toolbox

__all__ = ["card"]


@SetParseFns(bundle=str, output_dir=str)
def card(bundle: str, output_dir: str = "", *extra, **unknown) -> dict[str, object]:
    """Write what an evaluation measured into a bundle's metadata, its model card and the README's table.

    Metrics that another evaluation of the same weights measured are kept.

    Parameters
    ----------
    bundle : str
        A name in bundles/, a bundle's folder, or all.
    output_dir : str
        Folder that its evaluation wrote metrics.csv and <metric>_raw.csv to. Without it the card and the README's
        table are written again from what the metadata say, as after a change of a metric's title.
    """
    reject(unknown, card, extra)
    folders = all_bundles() if bundle == "all" and not output_dir else [find_bundle(bundle)]
    measured = measured_metrics(Path(output_dir), folders[0]) if output_dir else {}
    for folder in folders:
        write_measured(folder, measured)
    readme = bundles_dir().parent / "README.md"
    if folders[0].parent == bundles_dir() and readme.is_file():
        renew_overview(readme, bundles_dir())
    if not output_dir:
        return {folder.name: folder / MODEL_CARD for folder in folders}
    metrics = read_toolbox(folders[0]).metrics
    scores = {
        name: f"{rounded(entry['mean'], metrics[name].unit)}, n = {entry['n']}" for name, entry in measured.items()
    }
    return scores | {"metadata": folders[0] / METADATA, "model card": folders[0] / MODEL_CARD}
