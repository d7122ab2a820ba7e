"""What the server has to know of each bundle beside its configs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import InputError
from tools.serve.jobs import ServedBundle

__all__ = ["INTERFACES", "Interface", "describe_bundle"]

VOLUMES, IMAGES, SLIDES = (".nii.gz", ".nii"), (".png", ".tif", ".tiff"), (".tiff", ".tif", ".ome.tiff", ".ome.tif")


@dataclass(frozen=True)
class Interface:
    """See `ServedBundle`; ``overrides`` are those that the server always gives."""

    num_axes: int
    mask_kind: str
    suffixes: tuple[str, ...]
    options: tuple[str, ...] = ()
    overrides: dict[str, object] = field(default_factory=dict)


INTERFACES = {
    "crypt_unet": Interface(2, "mask", SLIDES),
    "devonet_ndn": Interface(3, "markers", VOLUMES, ("spacing",)),
    "devonet_nsn": Interface(3, "mask", VOLUMES, ("spacing",)),
    "maskrcnn_2p5d": Interface(3, "instances", VOLUMES, ("spacing",)),
    "sam_myelin": Interface(2, "fibres", IMAGES, ("boxes", "pixel_size_um")),
    "swinunet_livecell": Interface(2, "mask", IMAGES, (), {"save_instances": True}),
}


def describe_bundle(
    root: Path, *, backend: str = "torch", overrides: Mapping[str, object] | None = None
) -> ServedBundle:
    """A bundle as it is served.

    Parameters
    ----------
    root : Path
        Its folder, named after its package.
    backend : {"torch", "onnx"}
    overrides : mapping, optional
        Of its inference.json.

    Raises
    ------
    InputError
        If it is no bundle, none that the server knows, or has no weights.
    """
    root = root.resolve()
    if root.name not in INTERFACES:
        raise InputError(f"{root.name}: no bundle that can be served; choose one of {', '.join(INTERFACES)}, or all")
    metadata = root / "configs" / "metadata.json"
    if not metadata.is_file():
        raise InputError(f"{metadata}: no such file; give the folder of a bundle, or its name")
    overrides = dict(overrides or {})
    weights = Path(str(overrides.get("ckpt_path", root / "models" / "model.pt")))
    if backend == "torch" and not weights.is_file():
        raise InputError(
            f"{weights}: no such file, so {root.name} has no weights to serve; train it, download the bundle again, "
            "or fetch what its large_files.yml names"
        )
    if backend == "onnx":
        exported = Path(str(overrides.setdefault("onnx_path", str(root / "models" / "model.onnx"))))
        if not exported.is_file():
            raise InputError(f"{exported}: no such file; make it with: python -m tools export onnx {root.name}")
    known = INTERFACES[root.name]
    return ServedBundle(
        name=root.name,
        root=root,
        task=json.loads(metadata.read_text(encoding="utf-8"))["task"],
        num_axes=known.num_axes,
        mask_kind=known.mask_kind,
        suffixes=known.suffixes,
        options=known.options,
        backend=backend,
        overrides={**known.overrides, **overrides},
    )
