"""Measured scores as text: the Performance section of a model card, and eval_metrics inside metadata.json."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import ROUND_DOWN, Decimal

from common.errors import InputError

__all__ = ["cut", "performance_table", "replace_eval_metrics", "replace_section", "section"]

START = "<!-- performance: written by python -m tools card -->"
END = "<!-- /performance -->"
TITLES = {
    "iou": "IoU",
    "dice": "Dice",
    "seg": "SEG",
    "det": "DET",
    "f1": "F1",
    "patch_dice": "Dice on patches",
    "patch_iou": "IoU on patches",
    "fibre_dice": "Dice of each fibre, from its box",
    "box_dice": "Dice, from boxes",
    "box_iou": "IoU, from boxes",
}
COLUMNS = ["metric", "score", "per case, mean ± std", "95 % interval", "cases", "units", "data"]
COMMAND = """\
python -m monai.bundle run --config_file "['configs/train.json','configs/evaluate.json']" \\
    --dataset_dir DATASET_DIR --output_dir OUTPUT_DIR"""


def performance_table(eval_metrics: Mapping[str, Mapping], eval_commands: Mapping[str, str] | None = None) -> str:
    """The Performance section that belongs to a metadata.json.

    Parameters
    ----------
    eval_metrics : mapping
        ``eval_metrics`` as `tools.card` writes it: metric -> mean, std, n, ...
    eval_commands : mapping, optional
        Metric -> the command that measures it, where that is not evaluate.json.

    Returns
    -------
    str
        Markdown; empty where nothing is measured.
    """
    if not eval_metrics:
        return ""
    checksums = sorted({entry["checkpoint_sha256"] for entry in eval_metrics.values()})
    note = (
        "Score: as the evaluation pools it. Interval: of the mean per case, by bootstrap over whole units (10000 "
        "draws), of which it needs two. Numbers are cut, not rounded. Measured with `models/model.pt` (sha256 "
        f"{', '.join(f'`{checksum[:16]}`' for checksum in checksums)}) by, from the bundle's root:"
    )
    overall = _table(COLUMNS, [_overall_row(metric, entry) for metric, entry in eval_metrics.items()])
    commands: dict[str, list[str]] = {}
    for metric in eval_metrics:
        commands.setdefault((eval_commands or {}).get(metric, COMMAND), []).append(TITLES[metric])
    blocks = [
        f"{', '.join(titles)}:\n\n```bash\n{command}\n```" if len(commands) > 1 else f"```bash\n{command}\n```"
        for command, titles in commands.items()
    ]
    return "\n\n".join([overall, *_unit_tables(eval_metrics), note, *blocks])


def section(text: str) -> str:
    """What stands between the two markers of a model card.

    Raises
    ------
    InputError
        If the markers are not there, once each and in order.
    """
    return _parts(text)[1].strip()


def replace_section(text: str, new: str) -> str:
    """A model card with other text between its markers; see `section`."""
    before, _, after = _parts(text)
    return f"{before}{START}\n\n{new}\n\n{END}{after}"


def replace_eval_metrics(text: str, eval_metrics: Mapping[str, Mapping]) -> str:
    """The text of a metadata.json with other ``eval_metrics``; everything else keeps its bytes.

    Parameters
    ----------
    text : str
        JSON with 4 spaces of indentation and the key ``eval_metrics`` at the top level.
    eval_metrics : mapping
        What to put there.

    Returns
    -------
    str

    Raises
    ------
    InputError
        If the key is not there.
    """
    found = re.search(r'^ {4}"eval_metrics":\s*', text, re.MULTILINE)
    if not found:
        raise InputError('no line that starts with 4 spaces and "eval_metrics":; add it, with the value {}')
    _, end = json.JSONDecoder().raw_decode(text, found.end())
    return text[: found.end()] + _format_json(eval_metrics, indent=4) + text[end:]


def cut(number: float) -> str:
    """Four decimals, never rounded up."""
    return str(Decimal(repr(number)).quantize(Decimal("0.0001"), ROUND_DOWN))


def _format_json(value: object, *, indent: int) -> str:
    """JSON with a line for each key of a mapping; lists of scalars stay on one line."""
    if not (isinstance(value, Mapping) and value):
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    inner = " " * (indent + 4)
    lines = [f"{inner}{json.dumps(key)}: {_format_json(item, indent=indent + 4)}" for key, item in value.items()]
    return "{\n" + ",\n".join(lines) + "\n" + " " * indent + "}"


def _parts(text: str) -> tuple[str, str, str]:
    """Text before, between and after the markers."""
    before, start, rest = text.partition(START)
    between, end, after = rest.partition(END)
    if not (start and end) or START in rest or END in before + after:
        raise InputError(f"expected the lines {START} and {END}, once each; put them under the heading Performance")
    return before, between, after


def _overall_row(metric: str, entry: Mapping) -> list[str]:
    undefined = f" ({entry['n_undefined']} more undefined)" if entry["n_undefined"] else ""
    return [
        TITLES[metric],
        cut(entry["mean"]),
        f"{cut(entry.get('mean_per_case', entry['mean']))} ± {cut(entry['std'])}",
        " to ".join(map(cut, entry["ci95"])) if entry["ci95"] else "one unit: none",
        f"{entry['n']}{undefined}",
        f"{entry['units']} ({entry['unit']})",
        f"{entry['dataset']}, {entry['split']}",
    ]


def _unit_tables(eval_metrics: Mapping[str, Mapping]) -> list[str]:
    """One table of unit means for each dataset and kind of unit."""
    together: dict[tuple[str, str], dict[str, Mapping]] = {}
    for metric, entry in eval_metrics.items():
        if entry.get("unit_means"):
            together.setdefault((entry["dataset"], entry["unit"]), {})[metric] = entry["unit_means"]
    tables = []
    for (_, unit), means in together.items():
        names = sorted(set().union(*means.values()))
        rows = [[name, *(cut(of[name]) if name in of else "undefined" for of in means.values())] for name in names]
        tables.append(_table([unit, *(TITLES[metric] for metric in means)], rows))
    return tables


def _table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
