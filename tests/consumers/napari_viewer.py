"""The plugin in a viewer of napari: a bundle on a layer, cancelled once; for one that takes prompts a box, too.

Run in an environment with `napari` by ``.ci/consumers``, in an X server of its own (``xvfb-run``):
``python napari_viewer.py BUNDLE_ROOT DATASET_DIR DATASET_DIR WORK_DIR OVERRIDES``.
"""

import json
import os
import shutil
import sys
import time
from ctypes.util import find_library
from pathlib import Path

if __name__ == "__main__" and "DISPLAY" not in os.environ:  # Qt's own offscreen platform has no OpenGL
    if shutil.which("xvfb-run") is None or not all(map(find_library, ("xcb-cursor", "xcb-icccm", "xcb-keysyms"))):
        sys.exit("X is missing; on Debian: apt-get install xvfb libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1")
    os.execvp("xvfb-run", ["xvfb-run", "-a", sys.executable, *sys.argv])

import napari
import nibabel as nib
import numpy as np
from npe2 import PluginManager, PluginManifest
from pixels import read

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tools.corrections import classes_of  # noqa: E402
from tools.segment.description import describe  # noqa: E402

LIMIT_S = 600


def open_image(viewer: napari.Viewer, path: Path) -> napari.layers.Image:
    """The image as a layer in micrometres, where it is a volume."""
    if not path.name.endswith((".nii", ".nii.gz")):
        return viewer.add_image(read(path))
    sizes = nib.load(path).header.get_zooms()[::-1]
    return viewer.add_image(read(path).T, scale=sizes, units=("micrometer",) * 3)


def wait(widget) -> None:
    """Let the viewer work until the run has ended."""
    started = time.monotonic()
    while not widget.run.enabled:
        napari.qt.get_qapp().processEvents()
        time.sleep(0.02)
        if time.monotonic() > started + LIMIT_S:
            sys.exit("it does not end")


def main(bundle_root: str, dataset_dir: str, _second: str, work_dir: str, _overrides: str) -> None:
    item = json.loads(Path(dataset_dir, "dataset.json").read_text())["testing"][0]
    PluginManager.instance().register(PluginManifest.from_file(ROOT / "tools/integrations/napari/napari.yaml"))
    viewer = napari.Viewer(show=False)
    layer = open_image(viewer, Path(dataset_dir, item["image"]))
    _, widget = viewer.window.add_plugin_dock_widget("microscopy-bundles", "Segment")
    widget.bundle.value = Path(bundle_root).name
    widget.start()
    widget.stop()
    wait(widget)
    if widget.status.value != "cancelled":
        sys.exit(f"cancelled, but {widget.status.value!r}")
    widget.start()
    wait(widget)
    if len(viewer.layers) != 2:
        sys.exit(widget.status.value)
    made = viewer.layers[-1]
    if made.data.shape != layer.data.shape[: made.data.ndim] or not np.array_equal(made.scale, layer.scale):
        sys.exit(f"labels {made.data.shape} {made.scale}, layer {layer.data.shape} {layer.scale}")
    said = f"{widget.status.value}, {len(made.features)} rows of the table"
    bundle = describe(Path(bundle_root).name)
    if "boxes" in bundle.options:
        rows, columns = np.nonzero(read(Path(dataset_dir, item["label"])) == 1)
        corners = np.array([[rows.min(), columns.min()], [rows.max(), columns.max()]])
        viewer.add_shapes([corners], shape_type="rectangle")
        widget.reset_choices()
        widget.boxes.value = viewer.layers[-1]
        widget.start()
        wait(widget)
        said += f"; of one box {widget.status.value}"
    widget.process.end()
    if made.data.max() > 1 and len(classes_of(bundle)) > 1:
        made = viewer.add_labels(np.minimum(made.data, 1))  # it learns classes, not objects
    widget.reset_choices()
    widget.image.value, widget.corrected.value = layer, made
    widget.dataset.value = Path(work_dir, "kept")
    widget.keep_labels()
    if not widget.status.value.startswith("kept as images/"):
        sys.exit(widget.status.value)
    said += "; kept as a correction"
    print(f"cancelled once; {said}")
    sys.stdout.flush()
    viewer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
