"""What the tools need to know about a bundle: the section ``toolbox`` of its metadata.json, read and checked."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from common.errors import InputError
from tools.bundles import METADATA, all_bundles, read_metadata
from tools.typed_json import read_fields, read_mapping

__all__ = [
    *("Blocks", "Finetuning", "Instances", "Metric", "Networks", "Source", "Toolbox"),
    *("default_bundle", "fold_units", "metrics_of", "parse_toolbox", "read_toolbox"),
]

KEY = "toolbox"
INPUTS = ("volume", "picture", "slide")
LOADERS = {"checkpoint_loader": "ckpt_path"}
OPTIONS = ("boxes", "pixel_size_um", "points", "spacing")


@dataclass(frozen=True)
class Metric:
    """A metric as people read it.

    ``unit`` is what is counted, empty for a share between 0 and 1; ``command`` measures it from the bundle's root,
    where evaluate.json does not.
    """

    title: str
    unit: str = ""
    lower_is_better: bool = False
    command: str = ""


ALIGNED = "_aligned"
"""What the name of a metric ends with that was measured on truth which the converter moved onto its images."""


def metric_named(name: str, metrics: Mapping[str, Metric]) -> Metric:
    """The metric as people read it; one that the toolbox does not know goes by its own name."""
    if name in metrics:
        return metrics[name]
    base = metrics.get(name.removesuffix(ALIGNED))
    return replace(base, title=f"{base.title}, truth aligned") if base else Metric(name)


@dataclass(frozen=True)
class Source:
    """What the field ships for this task: a format of `sample` and `convert`, and options for its synthetic sample."""

    format: str
    convert: tuple[str, ...] = ()


@dataclass(frozen=True)
class Networks:
    """The networks that a bundle offers: the key of train.json that chooses one, and its values."""

    knob: str
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Instances:
    """How a bundle separates what another one finds into objects.

    ``config`` is its config file that does so, ``foreground`` the name of the bundle whose masks it separates, ``name``
    that of both together on the command line, used like a bundle's.
    """

    config: str
    foreground: str
    name: str


@dataclass(frozen=True)
class Finetuning:
    """The part of a network that makes its results without prompts, where another config trains it.

    ``config`` is read after train.json, ``weights`` the key of inference.json that takes what it trained.
    """

    config: str
    weights: str


@dataclass(frozen=True)
class Blocks:
    """How an image that is too large is segmented in blocks.

    Its inference.json has a key ``gray_sample``: a file of gray values that stand for all of the image. If it has a key
    ``part``, too, for `common.resampling.VolumeSpacingd`, its pixels lie where they do in the whole image, and for
    `common.inferers.VolumeInferer`, which then computes windows that several blocks see only once.

    Attributes
    ----------
    halo : tuple of int
        Pixels, of the size that the network works at, that a block has to see around its part: what decides a pixel,
        and the largest object.
    window : tuple of int
        That the network is slid over an image in; ``roi_size`` of inference.json, where that is given, goes before.
    overlap : float
        Of neighbouring windows, as a part of their sides.
    copies : float
        How many times the pixels of an image, in 32 bit, a run needs at its peak.
    mask, labels, classes : str
        Kinds of its results that are put together, a mask, numbered objects and classes from 0 to 255; empty if it has
        no such result.
    table : str
        Kind of its table of the objects, numbers alone, with their labels under ``id`` and places under ``y_px`` and
        the like, that is put together; empty for none. An object is as the block has it that holds most of it.
    look : int
        Side, in pixels, of the part of an image that is segmented before all others, for what has to be decided only
        once; 0 if nothing has to be. Then inference.json has a key ``looked``, a JSON file that this run writes, and
        that the blocks follow. Of it the tools read ``window_px``, the windows in pixels of the image, from which it
        follows how large the other pixels here are; and ``is_sure``: if not, another part may say more.
    only_with : mapping of str to object
        Values of inference.json without which an image cannot be cut.
    """

    halo: tuple[int, ...]
    window: tuple[int, ...]
    copies: float
    overlap: float = 0.25
    mask: str = ""
    labels: str = ""
    classes: str = ""
    table: str = ""
    look: int = 0
    only_with: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Toolbox:
    """A bundle as the tools see it.

    Attributes
    ----------
    purpose, modality : str
        For people: what it finds, and in what kind of images.
    weak_on : str
        For people: the images on which its shipped weights do badly; empty where nobody has looked.
    pixel_size_um : tuple of (float, float)
        Smallest and largest pixel of the images that it was trained on, along (Z, Y, X) or (Y, X), in micrometres;
        empty where the data did not say.
    input : {"volume", "picture", "slide"}
        What it reads: NIfTI, PNG or TIFF, large TIFF.
    options : tuple of str
        Fields that a request to segment an image may carry: ``spacing`` is written into a volume; ``pixel_size_um``
        overrides that key of inference.json; ``boxes`` and ``points`` become <image stem>_prompts.tsv beside the
        image, and ``prompt_source`` of inference.json becomes ``prompts``.
    beside : mapping of str to sequence of str
        Keys of inference.json that name a folder of files which belong to the images, such as tables of prompts -> how
        their names go on after the image's stem. Without such a folder they lie beside the image.
    result : str
        Kind of the result that counts, ``<image stem>_<kind>``. Of a ``mask`` the connected parts are the objects; one
        of any other kind numbers them, as ``<image stem>_instances`` does, which goes before it.
    object_name : str
        What one of the objects in it is, such as ``cell``.
    inference : mapping of str to object
        Overrides of inference.json with which it writes all that a user wants to look at.
    loaders : mapping of str to str
        Handlers of inference.json that load the network's weights, in order -> the key of the file that they read,
        which may be ``none``.
    instances : Instances or None
        For a bundle that separates the foreground of another.
    blocks : Blocks or None
        For a bundle that can segment an image in blocks.
    finetuning : Finetuning or None
        For a bundle of which train.json does not train what most users use.
    unit : str
        Key of a dataset's items by which folds are split, so that nothing leaks.
    metrics : mapping of str to Metric
        What its evaluation measures, the most important first.
    source : Source
    quickstart : mapping of str to object
        Overrides of train.json that make a training useful on the sample within minutes.
    offline : mapping of str to object
        Overrides of train.json without which a training would fetch something.
    brief : mapping of str to object
        Further overrides with which an epoch takes seconds, where it would take minutes.
    networks : Networks or None
        For a bundle that offers several.
    onnx_export : mapping of str to object
        Arguments that MONAI's onnx_export needs for its network.
    bioimage : mapping of str to object
        What its package for BioImage.IO holds: ``network`` (key of inference.json), ``weights`` (``torchscript`` or
        ``onnx``), ``free_size`` (pixels), ``pred_classes``, and ``channels``: names of what the network gives, where
        ``channel_def`` names the labels of the result, which MONAI Label shows.
    optional_packages : mapping of str to str
        Package -> version that only some uses need. They stand here because MONAI reads the key
        ``optional_packages_version`` instead of ``required_packages_version``.
    is_default : bool
        Whether it is the one to try first.
    """

    purpose: str
    modality: str
    input: str
    result: str
    unit: str
    metrics: Mapping[str, Metric]
    source: Source
    weak_on: str = ""
    pixel_size_um: tuple[tuple[float, float], ...] = ()
    options: tuple[str, ...] = ()
    beside: Mapping[str, Sequence[str]] = field(default_factory=dict)
    object_name: str = "object"
    inference: Mapping[str, object] = field(default_factory=dict)
    instances: Instances | None = None
    blocks: Blocks | None = None
    finetuning: Finetuning | None = None
    loaders: Mapping[str, str] = field(default_factory=lambda: dict(LOADERS))
    quickstart: Mapping[str, object] = field(default_factory=dict)
    offline: Mapping[str, object] = field(default_factory=dict)
    brief: Mapping[str, object] = field(default_factory=dict)
    networks: Networks | None = None
    onnx_export: Mapping[str, object] = field(default_factory=dict)
    bioimage: Mapping[str, object] = field(default_factory=dict)
    optional_packages: Mapping[str, str] = field(default_factory=dict)
    is_default: bool = False

    @property
    def num_axes(self) -> int:
        """3 for volumes, 2 for pictures and slides."""
        return 3 if self.input == "volume" else 2


def read_toolbox(bundle: Path) -> Toolbox:
    """The section ``toolbox`` of a bundle's metadata; InputError, with the key, if it is missing or malformed."""
    path, content = bundle / METADATA, read_metadata(bundle)
    if KEY not in content:
        raise InputError(f"{path}: no {KEY!r}, by which the tools know a bundle; write it as other bundles do")
    return parse_toolbox(content[KEY], f"{path}: {KEY}")


def parse_toolbox(content: object, place: str = KEY) -> Toolbox:
    """A section ``toolbox`` as JSON has it, checked; ``place`` is where it is, for messages. See `read_toolbox`."""
    values = dict(read_fields(content, Toolbox, place))
    parts = {"source": Source, "instances": Instances, "networks": Networks, "blocks": Blocks, "finetuning": Finetuning}
    for name, kind in parts.items():
        if name in values:
            values[name] = kind(**read_fields(values[name], kind, f"{place}: {name}"))
    metrics = read_mapping(values["metrics"], f"{place}: metrics")
    values["metrics"] = {
        name: Metric(**read_fields(of, Metric, f"{place}: metrics: {name}")) for name, of in metrics.items()
    }
    values["pixel_size_um"] = _ranges(values.get("pixel_size_um"), f"{place}: pixel_size_um")
    if values["input"] not in INPUTS:
        raise InputError(f"{place}: input is {values['input']!r}, expected one of {', '.join(INPUTS)}")
    for option in values.get("options", ()):
        if option not in OPTIONS:
            raise InputError(f"{place}: options has {option!r}, known are {', '.join(OPTIONS)}")
    toolbox = Toolbox(**values)
    if toolbox.blocks is not None:
        toolbox = replace(toolbox, blocks=_checked_blocks(toolbox.blocks, toolbox.num_axes, f"{place}: blocks"))
    if len(toolbox.pixel_size_um) not in (0, toolbox.num_axes):
        raise InputError(
            f"{place}: pixel_size_um has {len(toolbox.pixel_size_um)} axes, a {toolbox.input} has {toolbox.num_axes}"
        )
    return toolbox


def metrics_of(metadata: Mapping[str, Any]) -> Mapping[str, Metric]:
    """Metrics that a bundle's metadata describe; none for a stranger's that lacks the section."""
    return parse_toolbox(metadata[KEY]).metrics if KEY in metadata else {}


def fold_units(*bundles: Path) -> tuple[str, ...]:
    """Keys of a dataset's items by which folds are split: those of the given bundles, then those of all others.

    A dataset that was made for one bundle may be used with another.
    """
    found = [read_toolbox(bundle).unit for bundle in bundles]
    for bundle in all_bundles():
        with suppress(InputError):  # one that is not complete yet is no reason to stop
            found.append(read_toolbox(bundle).unit)
    return tuple(dict.fromkeys(found))


def default_bundle() -> Path:
    """The bundle to try first: the one that says so, else the first by name; InputError if there are none."""
    bundles = all_bundles()
    if not bundles:
        raise InputError("no bundles are there; give the folder of one")
    return next((bundle for bundle in bundles if read_toolbox(bundle).is_default), bundles[0])


def _checked_blocks(blocks: Blocks, num_axes: int, place: str) -> Blocks:
    for name, least in (("halo", 0), ("window", 1)):
        sides: object = getattr(blocks, name)
        if not (
            isinstance(sides, list)
            and len(sides) == num_axes
            and all(isinstance(side, int) and side >= least for side in sides)
        ):
            raise InputError(f"{place}: {name} is {sides!r}, expected {num_axes} whole numbers, at least {least}")
    for name, highest in (("copies", float("inf")), ("look", float("inf")), ("overlap", 1.0)):
        number: object = getattr(blocks, name)
        if not isinstance(number, (int, float)) or not 0 <= number < highest:
            raise InputError(f"{place}: {name} is {number!r}, expected a number of at least 0, below {highest}")
    if not (blocks.mask or blocks.labels):
        raise InputError(f"{place}: neither mask nor labels, expected the kind of at least one result")
    return replace(blocks, halo=tuple(blocks.halo), window=tuple(blocks.window))


def _ranges(value: Any, place: str) -> tuple[tuple[float, float], ...]:
    """Smallest and largest size along every axis; none for null."""
    try:
        ranges = tuple((float(low), float(high)) for low, high in (value or ()))
    except (TypeError, ValueError):
        ranges = ((0.0, 0.0),)
    if not all(0 < low <= high for low, high in ranges):
        raise InputError(f"{place} is {value!r}, expected [smallest, largest] in micrometres for every axis, or null")
    return ranges
