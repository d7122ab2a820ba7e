"""What is needed to run a bundle on an image, from its metadata; reading it does not need torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.json_file import read_json
from common.names import SUFFIXES
from tools.bundles import WEIGHTS, all_bundles, find_bundle, read_metadata
from tools.segment.backend import ENGINES, choose_backend
from tools.toolbox import Blocks, read_toolbox

__all__ = ["Description", "describe", "describe_bundle", "find_combination", "is_ours"]

OURS = ("bundle_root", "dataset_dir", "output_dir")  # keys of inference.json that name where one image lies


@dataclass(frozen=True)
class Description:
    """A bundle that can be loaded.

    Attributes
    ----------
    name : str
        Of its package; of two bundles together, what both are called.
    root : Path
        Its folder.
    task : str
        One line from its metadata.
    num_axes : int
        2 for images, 3 for volumes.
    mask_kind : str
        Which of its results is the main one: ``<stem>_<kind>``.
    suffixes : tuple of str
        Of the files that it reads.
    options, beside, object_name, loaders, blocks
        As in its `Toolbox`.
    backend : {"torch", "onnx", "openvino"}
    spacing : tuple of float
        (Z, Y, X) in micrometres that it brings volumes to; empty where it takes them as they are.
    config : str
        Its config file that is run.
    overrides : mapping of str to object
        Of that config, for all images.
    foreground : Description or None
        The bundle whose probabilities it separates into objects.
    in_colours : bool
        Whether its images are in red, green and blue.
    """

    name: str
    root: Path
    task: str
    num_axes: int
    mask_kind: str
    suffixes: tuple[str, ...]
    options: tuple[str, ...] = ()
    beside: Mapping[str, Sequence[str]] = field(default_factory=dict)
    object_name: str = "object"
    loaders: Mapping[str, str] = field(default_factory=dict)
    backend: str = "torch"
    spacing: tuple[float, ...] = ()
    config: str = "inference.json"
    overrides: Mapping[str, object] = field(default_factory=dict)
    blocks: Blocks | None = None
    foreground: Description | None = None
    in_colours: bool = False

    @property
    def configs(self) -> list[Path]:
        """The config files that are read, one over the other."""
        names = [self.config, *(["inference_onnx.json"] if self.backend in ENGINES else [])]
        return [self.root / "configs" / name for name in names]

    @property
    def settings(self) -> dict[str, Any]:
        """What can be overridden, with the values of the config files."""
        return {key: value for path in self.configs for key, value in read_json(path).items()}

    @property
    def weights(self) -> Path:
        """The file that its network comes from."""
        given = self.overrides.get("onnx_path" if self.backend in ENGINES else "ckpt_path")
        return Path(str(given or self.root / WEIGHTS))

    @property
    def networks(self) -> list[Description]:
        """The bundles that run on an image, one after the other."""
        return [self] if self.foreground is None else [self.foreground, self]


def describe_bundle(
    root: Path, *, backend: str = "torch", overrides: Mapping[str, object] | None = None
) -> Description:
    """Describe the bundle in a folder, which is named after its package, as it is to be loaded.

    ``backend`` is as for `choose_backend`, ``overrides`` are those of its inference.json. InputError if it is no
    bundle, its metadata lack the section for the tools, or it has no weights.
    """
    root = root.resolve()
    task, toolbox = read_metadata(root).get("task", ""), read_toolbox(root)
    overrides = dict(overrides or {})
    _refuse_ours(root / "configs" / "inference.json", overrides)
    weights = Path(str(overrides.get("ckpt_path", root / WEIGHTS)))
    backend = choose_backend(root, backend, weights)
    if backend == "torch" and not weights.is_file():
        if "ckpt_path" in overrides:
            raise InputError(f"--ckpt_path {weights}: no such file; check the path of your weights")
        raise InputError(
            f"{weights}: no such file, so {root.name} has no weights to serve; train it, download the bundle again, "
            "or fetch what its large_files.yml names"
        )
    if backend in ENGINES:
        exported = Path(str(overrides.setdefault("onnx_path", str(root / "models" / "model.onnx"))))
        if not exported.is_file():
            raise InputError(f"{exported}: no such file; make it with: python -m tools export onnx {root.name}")
    if backend == "openvino":
        overrides["network#engine"] = ENGINES[backend]
    return Description(
        name=root.name,
        root=root,
        task=str(task),
        num_axes=toolbox.num_axes,
        mask_kind=toolbox.result,
        suffixes=SUFFIXES[toolbox.input],
        in_colours=toolbox.input == "slide",
        options=toolbox.options,
        beside=toolbox.beside,
        object_name=toolbox.object_name,
        loaders=toolbox.loaders,
        backend=backend,
        spacing=_spacing(root, overrides) if toolbox.num_axes == 3 else (),
        overrides={**toolbox.inference, **overrides},
        blocks=toolbox.blocks,
    )


def is_ours(key: str, default: object) -> bool:
    """Whether a key of a config says where one image lies, which is chosen for every image."""
    return key in OURS or default in [f"@{name}" for name in OURS]


def _refuse_ours(config: Path, overrides: Mapping[str, object]) -> None:
    defaults = read_json(config) if overrides else {}
    for key, value in overrides.items():
        if is_ours(key, defaults.get(key)):
            raise InputError(f"--{key} {value}: chosen for every image by what segments it; leave it out")


def _spacing(root: Path, overrides: Mapping[str, object]) -> tuple[float, ...]:
    """The knob ``spacing`` of inference.json, where there is one and it is numbers."""
    try:
        config = json.loads((root / "configs" / "inference.json").read_text(encoding="utf-8"))
        given: Any = overrides.get("spacing", config["spacing"])
        spacing = tuple(float(step) for step in given)
    except (OSError, KeyError, TypeError, ValueError):
        return ()
    return spacing if len(spacing) == 3 and all(0 < step < math.inf for step in spacing) else ()


def describe(name: str, *, backend: str = "torch", overrides: Mapping[str, object] | None = None) -> Description:
    """Describe the bundle, or the two bundles, that a name on the command line means.

    That of a bundle, its folder, or of two bundles together, one of which separates what the other finds. The backend
    is as for `choose_backend`. Overrides are those of its inference.json, of two bundles of the one that separates:
    ``foreground_ckpt_path`` is the other's checkpoint. InputError as `describe_bundle`, or if nothing is called so.
    """
    separating = find_combination(name)
    if separating is None:
        root = find_bundle(name, further=[*_combinations()])
        return describe_bundle(root, backend=backend, overrides=overrides)
    instances = read_toolbox(separating).instances
    if instances is None:
        raise InputError(f"{separating}: separates nothing; its metadata changed meanwhile")
    rest = dict(overrides or {})
    weights = rest.pop("foreground_ckpt_path", None)
    given = {} if weights is None else {"ckpt_path": weights}
    foreground = describe_bundle(find_bundle(instances.foreground), backend=backend, overrides=given)
    foreground = replace(foreground, name=instances.name)  # as whoever asked for both called it
    # its own network is run by the config that separates, for which nothing is exported
    _refuse_ours(separating / "configs" / instances.config, rest)
    described = describe_bundle(separating, overrides=rest)
    return replace(
        described, name=instances.name, config=instances.config, mask_kind="instances", foreground=foreground
    )


def find_combination(name: str) -> Path | None:
    """The bundle that separates what another one finds, where both together are called so."""
    return _combinations().get(name)


def _combinations() -> dict[str, Path]:
    """What two bundles are called together -> the one of them that separates what the other one finds."""
    instances = {bundle: read_toolbox(bundle).instances for bundle in all_bundles()}
    return {both.name: bundle for bundle, both in instances.items() if both is not None}
