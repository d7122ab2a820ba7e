"""What a bundle made by a test says of itself to the tools."""

from typing import Any

__all__ = ["toolbox_section"]


def toolbox_section(**changes: Any) -> dict[str, Any]:
    """The least section ``toolbox`` of a metadata.json, with other or further keys."""
    section = {
        "purpose": "spots",
        "modality": "drawing",
        "input": "picture",
        "result": "mask",
        "unit": "sheet",
        "metrics": {"iou": {"title": "IoU"}},
        "source": {"format": "livecell"},
    }
    return section | changes
