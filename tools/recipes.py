"""How each bundle gets from its synthetic sample to a run that takes minutes: what a new bundle adds here."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["RECIPES", "Recipe"]


@dataclass(frozen=True)
class Recipe:
    """The road from a bundle's synthetic sample to a first result.

    Attributes
    ----------
    convert : tuple of str
        Format and options of ``tools convert``, without source and destination.
    train : mapping of str to str
        Overrides of train.json that make a training useful on the sample within the quick start's minutes.
    result_kind : str
        Kind of the result that is drawn over the image: ``<stem>_<kind>``.
    offline : mapping of str to str
        Overrides of train.json without which a training would fetch something.
    brief : mapping of str to str
        Further overrides with which an epoch takes seconds, where it would take minutes.
    """

    convert: tuple[str, ...]
    train: dict[str, str] = field(default_factory=dict)
    result_kind: str = "mask"
    offline: dict[str, str] = field(default_factory=dict)
    brief: dict[str, str] = field(default_factory=dict)


EMBRYOS = ("ctc", "--spacing", "2.0,0.8,0.8", "--folds", "3", "--test", "04")

RECIPES = {
    "devonet_nsn": Recipe(
        convert=EMBRYOS,
        train={
            "spacing": "[2.0, 0.8, 0.8]",
            "init_channels": "8",
            "max_epochs": "30",
            "val_interval": "10",
            "patch_size": "[24, 64, 64]",
        },
        brief={"patches_per_volume": "1"},
    ),
    "devonet_ndn": Recipe(
        convert=EMBRYOS,
        train={
            "spacing": "[2.0, 1.6, 1.6]",
            "max_epochs": "30",
            "val_interval": "10",
            "patch_size": "[24, 32, 32]",
        },
        result_kind="markers",
    ),
    "crypt_unet": Recipe(
        convert=("crypts", "--folds", "3", "--test", "slide_04"),
        train={
            "encoder": "resnet18",
            "downsample": "4",
            "patch_size": "[128, 128]",
            "batch_size": "4",
            "learning_rate": "0.002",
            "max_epochs": "30",
            "val_interval": "10",
        },
        offline={"encoder_weights": "none"},
    ),
    "swinunet_livecell": Recipe(
        convert=("livecell",),
        train={
            "pretrained": "True",
            "batch_size": "8",
            "learning_rate": "0.0005",
            "max_epochs": "16",
            "val_interval": "8",
        },
    ),
    "maskrcnn_2p5d": Recipe(
        convert=EMBRYOS,
        train={
            "pretrained": "True",
            "spacing": "[2.0, 0.4, 0.4]",
            "max_epochs": "8",
            "val_interval": "4",
        },
        result_kind="instances",
    ),
    "sam_myelin": Recipe(
        convert=("myelin", "--folds", "3", "--test", "sub-04"),
        train={"max_epochs": "8", "val_interval": "4", "patches_per_epoch": "24", "prompts_per_image": "8"},
        result_kind="fibres",
        brief={"patches_per_epoch": "4", "prompts_per_image": "4", "views": "1"},
    ),
}
