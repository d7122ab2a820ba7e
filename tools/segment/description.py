"""What it takes to run a bundle on an image, out of what its metadata say; torch is not needed to read it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.names import SUFFIXES
from tools.bundles import read_metadata
from tools.segment.backend import choose_backend
from tools.toolbox import read_toolbox

__all__ = ["Description", "describe_bundle"]


@dataclass(frozen=True)
class Description:
    """A bundle that can be loaded.

    Attributes
    ----------
    name : str
        Of its package.
    root : Path
        Its folder.
    task : str
        One line from its metadata.
    num_axes : int
        2 for images, 3 for volumes.
    mask_kind : str
        Which of its results is the mask that counts: ``<stem>_<kind>``.
    suffixes : tuple of str
        Of the files that it reads.
    options : tuple of str
        What may be said of an image: see `Toolbox.options`.
    object_name : str
        What an object in the mask is.
    loaders : mapping of str to str
        Handlers of its config that load a network's weights -> the key of the file.
    backend : {"torch", "onnx"}
    spacing : tuple of float
        (Z, Y, X) in micrometres that it brings volumes to; empty where it takes them as they are.
    config : str
        Its config file that is run.
    overrides : mapping of str to object
        Of that config, for all images.
    """

    name: str
    root: Path
    task: str
    num_axes: int
    mask_kind: str
    suffixes: tuple[str, ...]
    options: tuple[str, ...] = ()
    object_name: str = "object"
    loaders: Mapping[str, str] = field(default_factory=dict)
    backend: str = "torch"
    spacing: tuple[float, ...] = ()
    config: str = "inference.json"
    overrides: Mapping[str, object] = field(default_factory=dict)

    @property
    def configs(self) -> list[Path]:
        """The config files that are read, one over the other."""
        names = [self.config, *(["inference_onnx.json"] if self.backend == "onnx" else [])]
        return [self.root / "configs" / name for name in names]

    @property
    def weights(self) -> Path:
        """The file that its network comes from."""
        given = self.overrides.get("onnx_path" if self.backend == "onnx" else "ckpt_path")
        return Path(str(given or self.root / "models" / "model.pt"))


def describe_bundle(
    root: Path, *, backend: str = "torch", overrides: Mapping[str, object] | None = None
) -> Description:
    """Describe a bundle as it is to be loaded.

    Parameters
    ----------
    root : Path
        Its folder, named after its package.
    backend : {"torch", "onnx", "auto"}
        See `choose_backend`.
    overrides : mapping, optional
        Of its inference.json.

    Returns
    -------
    Description

    Raises
    ------
    InputError
        If it is no bundle, does not tell the tools what it is, or has no weights.
    """
    root = root.resolve()
    task, toolbox = read_metadata(root).get("task", ""), read_toolbox(root)
    overrides = dict(overrides or {})
    weights = Path(str(overrides.get("ckpt_path", root / "models" / "model.pt")))
    backend = choose_backend(root, backend, weights)
    if backend == "torch" and not weights.is_file():
        raise InputError(
            f"{weights}: no such file, so {root.name} has no weights to serve; train it, download the bundle again, "
            "or fetch what its large_files.yml names"
        )
    if backend == "onnx":
        exported = Path(str(overrides.setdefault("onnx_path", str(root / "models" / "model.onnx"))))
        if not exported.is_file():
            raise InputError(f"{exported}: no such file; make it with: python -m tools export onnx {root.name}")
    return Description(
        name=root.name,
        root=root,
        task=str(task),
        num_axes=toolbox.num_axes,
        mask_kind=toolbox.result,
        suffixes=SUFFIXES[toolbox.input],
        options=toolbox.options,
        object_name=toolbox.object_name,
        loaders=toolbox.loaders,
        backend=backend,
        spacing=_spacing(root, overrides) if toolbox.num_axes == 3 else (),
        overrides={**toolbox.inference, **overrides},
    )


def _spacing(root: Path, overrides: Mapping[str, object]) -> tuple[float, ...]:
    """The knob ``spacing`` of inference.json, where there is one and it is numbers."""
    try:
        config = json.loads((root / "configs" / "inference.json").read_text(encoding="utf-8"))
        given: Any = overrides.get("spacing", config["spacing"])
        spacing = tuple(float(step) for step in given)
    except (OSError, KeyError, TypeError, ValueError):
        return ()
    return spacing if len(spacing) == 3 and all(0 < step < math.inf for step in spacing) else ()
