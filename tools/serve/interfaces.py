"""A bundle as the server sees it, out of what its metadata say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from common.errors import InputError
from tools.bundles import read_metadata
from tools.serve.jobs import ServedBundle
from tools.toolbox import read_toolbox

__all__ = ["describe_bundle"]

SUFFIXES = {
    "volume": (".nii.gz", ".nii"),
    "picture": (".png", ".tif", ".tiff"),
    "slide": (".tiff", ".tif", ".ome.tiff", ".ome.tif"),
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
        If it is no bundle, does not tell the tools what it is, or has no weights.
    """
    root = root.resolve()
    task, toolbox = read_metadata(root).get("task", ""), read_toolbox(root)
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
    return ServedBundle(
        name=root.name,
        root=root,
        task=str(task),
        num_axes=toolbox.num_axes,
        mask_kind=toolbox.result,
        suffixes=SUFFIXES[toolbox.input],
        options=toolbox.options,
        loaders=toolbox.loaders,
        backend=backend,
        overrides={**toolbox.inference, **overrides},
    )
