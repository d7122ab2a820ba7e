"""Training of sam_myelin: steps on kept embeddings against the full image encoder.

A step: masks of the prompts of one image, loss, gradients and an optimiser's step of what is trained; the image encoder
is frozen. Prompts are boxes of fibres, the same in both ways; weights are random, which are as fast. ours: the image's
embedding is read from disk, where an earlier epoch left it. other: the image encoder computes it again. The more
prompts an image has, the larger the decoder's part of the work, and the smaller the gain.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from monai.bundle import ConfigParser
from PIL import Image

from benchmarks.bundles import open_config, spread, testing_data
from benchmarks.harness import Row, speed, take_turns

CALLABLES = {
    "freeze": "network.freeze_for_training",
    "normalise": "normalisation.normalise",
    "to_input": "normalisation.to_input",
    "boxes_of": "prompts.boxes_of",
    "soft_targets": "targets.soft_targets",
}


def compare(
    folder: Path, *, dataset_dir: str = "", variant: str = "efficient", image_size: int = 672, images: int = 4,
    prompts: int = 8, rounds: int = 3,
) -> Iterator[str | list[Row]]:  # fmt: skip
    """Measure steps of the decoder on kept embeddings, boxes, and embeddings.

    Options: dataset_dir, with labelled images under testing; variant, efficient, vit_b, vit_l or vit_h; image_size, of
    the network's input, 1024 for all but efficient; images, at most; prompts, of an image at most.
    """
    items, about = testing_data("sam_myelin", dataset_dir, folder, images)
    yield about
    parts = _open(variant, image_size, folder / "embeddings")
    yield [_steps(parts, items, num, rounds) for num in sorted({1, prompts})]


def _open(variant: str, image_size: int, embeddings: Path) -> SimpleNamespace:
    """The bundle's network, loss, cache and functions, put together by a config as a run of the bundle does it."""
    device = open_config("sam_myelin").get_parsed_content("device")  # from here on its package is found
    cache = {"folder": str(embeddings), "variant": variant, "image_size": image_size, "weights_hash": "random"}
    config = {
        "network": {"_target_": "sam_myelin.network.SamMyelin", "variant": variant, "image_size": image_size},
        "loss": {"_target_": "sam_myelin.losses.PromptLoss"},
        "cache": {"_target_": "sam_myelin.embeddings.EmbeddingCache", **cache},
        **{key: {"_target_": f"sam_myelin.{path}", "_mode_": "callable"} for key, path in CALLABLES.items()},
    }
    parser = ConfigParser(config)
    parts = SimpleNamespace(**{key: parser.get_parsed_content(key) for key in config}, device=device, size=image_size)
    parts.network = parts.freeze(parts.network).to(device).eval()
    return parts


def _steps(parts: SimpleNamespace, items: Sequence[Mapping[str, str]], num_prompts: int, rounds: int) -> Row:
    """Time of training steps on kept embeddings, and with the image encoder computing them."""
    examples = [_example(parts, item, num_prompts) for item in items]
    optimizer = torch.optim.AdamW([weight for weight in parts.network.parameters() if weight.requires_grad], lr=1e-4)

    @torch.no_grad()
    def embed(image: np.ndarray) -> torch.Tensor:
        pixels, _ = parts.normalise(image, size=parts.size)
        return parts.network.encode(pixels[None].to(parts.device))[0]

    def not_kept(image: np.ndarray) -> torch.Tensor:
        raise RuntimeError("an embedding that was kept is not found again: these are no steps of the decoder alone")

    def step(embedding: torch.Tensor, boxes: torch.Tensor, targets: torch.Tensor) -> None:
        optimizer.zero_grad()
        logits = parts.network(embedding[None].to(parts.device).float(), boxes[None].to(parts.device))
        parts.loss(logits, targets[None].to(parts.device)).backward()
        optimizer.step()

    for image, *_ in examples:
        parts.cache.get(image, embed)
    ways = {
        "ours": lambda example: step(parts.cache.get(example[0], not_kept), *example[1:]),
        "full": lambda example: step(embed(example[0]), *example[1:]),
    }
    seconds, _ = take_turns(ways, examples, rounds=rounds, desc=f"steps, {num_prompts} prompts")
    mean = np.mean([len(boxes) for _, boxes, _ in examples])
    return speed(f"training step, {mean:g} prompts per image", seconds["ours"], seconds["full"], 10)


def _example(parts: SimpleNamespace, item: Mapping[str, str], num_prompts: int) -> tuple:
    """An image, and boxes and targets of fibres that are spread evenly over the ids."""
    image, labels = (np.asarray(Image.open(item[key])) for key in ("image", "label"))
    _, fit = parts.normalise(image, size=parts.size)
    ids, boxes = parts.boxes_of(labels)
    if not len(ids):
        raise ValueError(f"{item['label']}: no fibre in it; give --dataset_dir with fibres in every image of testing")
    chosen = np.array(spread(range(len(ids)), num_prompts))
    nothing = np.zeros(labels.shape, bool)
    targets = parts.soft_targets(labels, nothing, ids[chosen], boxes[chosen], fit, part="fibre")
    return image, torch.from_numpy(parts.to_input(boxes[chosen], fit)), torch.from_numpy(targets)
