"""The model card at another place than docs/: its links to the bundle's files have to follow."""

import re
from collections.abc import Callable
from pathlib import Path

__all__ = ["MODEL_CARD", "relink"]

MODEL_CARD = "docs/README.md"
LINK = re.compile(r"\]\(([^)\s#]+)\)")


def relink(bundle: Path, place: Callable[[Path], str]) -> str:
    """Text of a bundle's model card, in which links to files of the bundle become what ``place`` makes of their path.

    The path is absolute; links to anything else stay.
    """
    root = bundle.resolve()

    def follow(link: re.Match) -> str:
        target = ((root / MODEL_CARD).parent / link[1]).resolve()
        return f"]({place(target)})" if target.is_file() and target.is_relative_to(root) else link[0]

    return LINK.sub(follow, (root / MODEL_CARD).read_text(encoding="utf-8"))
