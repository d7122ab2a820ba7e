"""Images with different numbers of prompts in one batch."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F

from .losses import PADDING

__all__ = ["FILLERS", "pad_prompts"]

# what stands for a prompt that only fills up the batch, under the names that the network and the loss know
FILLERS = {"boxes": 0.0, "points": 0.0, "point_labels": -1, "targets": PADDING}


def pad_prompts(items: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Stack items whose prompts are filled up to the largest number among them, and note which are real.

    Parameters
    ----------
    items : sequence of mapping
        Under each key of `FILLERS` that they have, tensors whose first axis counts the prompts, the same number for
        all keys of an item, 0 allowed; under other keys, tensors of one shape.

    Returns
    -------
    dict of str to Tensor
        The same keys, with an axis for the items in front, and ``present``, bool (B, n); n is at least 1.

    Raises
    ------
    ValueError
        If an item has different numbers of prompts under different keys.
    """
    numbers = [_num_prompts(item) for item in items]
    longest = max(1, *numbers)
    batch = {"present": torch.arange(longest) < torch.tensor(numbers)[:, None]}
    for key in items[0]:
        values = [torch.as_tensor(item[key]) for item in items]
        if key in FILLERS:
            values = [
                F.pad(value, (0, 0) * (value.ndim - 1) + (0, longest - len(value)), value=FILLERS[key])
                for value in values
            ]
        batch[key] = torch.stack(values)
    return batch


def _num_prompts(item: Mapping[str, torch.Tensor]) -> int:
    numbers = {key: len(item[key]) for key in FILLERS if key in item}
    if len(set(numbers.values())) != 1:
        raise ValueError(f"numbers of prompts {numbers}; an item needs the same under every key")
    return next(iter(numbers.values()))
