"""The table of all bundles in the README, from their metadata."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.files import write_text
from tools.bundles import METADATA, read_metadata
from tools.card.numbers import number_of, rounded
from tools.card.sections import replace_section, section
from tools.toolbox import KEY, Toolbox, metric_named, metrics_of, parse_toolbox

__all__ = ["overview_is_current", "overview_table", "renew_overview"]

COLUMNS = ("bundle", "finds", "in", "does badly on", "score", "measured on", "data licence")
HEAD = [f"| {' | '.join(COLUMNS)} |", f"| {' | '.join(['---'] * len(COLUMNS))} |"]
PICTURE, PICTURE_PX = "docs/overlay.png", 180
DECIMALS = 2  # the card has more


def overview_table(bundles: Path) -> str:
    """Markdown table with a row for every bundle in a folder."""
    folders = sorted(path.parents[1] for path in bundles.glob(f"*/{METADATA}"))
    return "\n".join([*HEAD, *(_row(folder) for folder in folders)])


def renew_overview(readme: Path, bundles: Path) -> None:
    """Write `overview_table` between the README's markers."""
    text = replace_section(readme.read_text(encoding="utf-8"), overview_table(bundles))
    write_text(readme, text)


def overview_is_current(readme: Path, bundles: Path) -> bool:
    """Whether the README's table is what the bundles' metadata say."""
    return section(readme.read_text(encoding="utf-8")) == overview_table(bundles)


def _row(bundle: Path) -> str:
    metadata = read_metadata(bundle)
    toolbox = parse_toolbox(metadata[KEY]) if KEY in metadata else None
    card = f"{bundle.parent.name}/{bundle.name}/docs/README.md"
    cells = [
        f"[{bundle.name}]({card}){_picture(bundle)}",
        toolbox.purpose if toolbox else metadata["task"],
        _images(toolbox) if toolbox else "not stated",
        (toolbox.weak_on if toolbox else "") or "not stated",
        *_score(metadata, card),
        metadata["licences"]["data"],
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _picture(bundle: Path) -> str:
    """Its figure, small; nothing for a bundle that has none."""
    path = f"{bundle.parent.name}/{bundle.name}/{PICTURE}"
    return f'<br><img src="{path}" alt="{bundle.name}" width="{PICTURE_PX}">' if (bundle / PICTURE).is_file() else ""


def _images(toolbox: Toolbox) -> str:
    """Which images a bundle is for: their kind, and the pixels of those that it was trained on."""
    sizes = [f"{low:g}" if low == high else f"{low:g} to {high:g}" for low, high in toolbox.pixel_size_um]
    if not sizes:
        return toolbox.modality
    pixels = sizes[0] if len(set(sizes)) == 1 else " x ".join(sizes)
    return f"{toolbox.modality}; trained on {'voxels' if toolbox.num_axes == 3 else 'pixels'} of {pixels} µm"


def _score(metadata: Mapping[str, Any], card: str) -> tuple[str, str]:
    """The most important score in short, which leads to the card with all of them, and what it was measured on."""
    about, metrics = metrics_of(metadata), metadata["eval_metrics"]
    name = next((name for name in (*about, *metrics) if name in metrics), None)
    if name is None:
        return "not measured", "not measured"
    metric, entry = metric_named(name, about), metrics[name]
    origin = f"{entry['dataset']}: n = {entry['n']}, {number_of(entry['units'], entry['unit'])}"
    held_out = ", left out of the training" if entry.get("held_out_sha256") else ""
    score = rounded(entry["mean"], metric.unit, DECIMALS)
    return f"[{metric.title} {score}]({card}#performance)", origin + held_out
