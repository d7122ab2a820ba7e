"""Parts of files that the tools write, the rest of which keeps its bytes."""

import json
import re
from collections.abc import Mapping

from common.errors import InputError

__all__ = ["END", "START", "replace_eval_metrics", "replace_section", "section"]

START = "<!-- performance: written by python -m tools card -->"
END = "<!-- /performance -->"


def section(text: str) -> str:
    """The text between the two markers of a model card.

    InputError if the markers are not there, once each and in order.
    """
    return _parts(text)[1].strip()


def replace_section(text: str, new: str) -> str:
    """A model card with other text between its markers; see `section`."""
    before, _, after = _parts(text)
    return f"{before}{START}\n\n{new}\n\n{END}{after}"


def replace_eval_metrics(text: str, eval_metrics: Mapping[str, Mapping]) -> str:
    """The text of a metadata.json, of 4 spaces of indentation, with other ``eval_metrics``; the rest keeps its bytes.

    InputError if that key is not at the top level.
    """
    found = re.search(r'^ {4}"eval_metrics":\s*', text, re.MULTILINE)
    if not found:
        raise InputError('no line that starts with 4 spaces and "eval_metrics":; add it, with the value {}')
    _, end = json.JSONDecoder().raw_decode(text, found.end())
    return text[: found.end()] + _format_json(eval_metrics, indent=4) + text[end:]


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
