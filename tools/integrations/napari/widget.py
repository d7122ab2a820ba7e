"""The plugin's widget: choose a bundle and a layer, run, and get a layer of labels with a table of its objects."""

import tempfile
from pathlib import Path

import numpy as np
from magicgui.widgets import ComboBox, Container, FileEdit, Label, LineEdit, PushButton, create_widget
from napari import Viewer
from napari.layers import Image, Labels, Layer, Points, Shapes
from napari.qt.threading import create_worker

from common.errors import InputError
from tools.bundles import all_bundles
from tools.integrations.napari.exchange import keep_correction, parse_sizes, read_result, write_image, write_prompts
from tools.integrations.napari.process import Cancelled, SegmentingProcess
from tools.segment.description import Description, describe
from tools.toolbox import read_toolbox

__all__ = ["SegmentWidget"]

Found = tuple[np.ndarray, dict[str, list[object]]]  # labels, and columns of the table of their objects


def names() -> list[str]:
    """What `tools.segment.describe` knows: bundles, and pairs of them that have a name."""
    toolboxes = {folder.name: read_toolbox(folder) for folder in all_bundles()}
    return [*toolboxes, *(toolbox.instances.name for toolbox in toolboxes.values() if toolbox.instances is not None)]


class SegmentWidget(Container):
    """Segments an image layer in a process of its own; ``Cancel`` ends that.

    Parameters
    ----------
    napari_viewer : Viewer
        Takes the labels.
    """

    def __init__(self, napari_viewer: Viewer) -> None:  # which napari gives by this name
        self.viewer, self.process = napari_viewer, SegmentingProcess()
        self.bundle = ComboBox(choices=names(), label="bundle")
        self.image = create_widget(annotation=Image, label="image")
        self.sizes = LineEdit(label="µm per pixel", tooltip="Z, Y, X, or one number; empty: as the layer says")
        self.points = create_widget(annotation=Points | None, label="points")
        self.boxes = create_widget(annotation=Shapes | None, label="boxes")
        self.run, self.cancel = PushButton(text="Segment"), PushButton(text="Cancel", enabled=False)
        self.corrected = create_widget(annotation=Labels | None, label="corrected labels")
        self.dataset = FileEdit(mode="d", label="kept in", value="corrections")
        self.keep = PushButton(text="Keep correction")
        self.status = Label(value="")
        self.bundle.changed.connect(self._show_prompts)
        self.run.changed.connect(self.start)
        self.cancel.changed.connect(self.stop)
        self.keep.changed.connect(self.keep_labels)
        widgets = [self.bundle, self.image, self.sizes, self.points, self.boxes, self.run, self.cancel]
        super().__init__(widgets=[*widgets, self.corrected, self.dataset, self.keep, self.status])
        self._show_prompts()

    def start(self) -> None:
        """Segment the chosen layer; what is wrong with it is shown."""
        layer = self.image.value
        if layer is None:
            self.status.value = "open an image first"
            return
        described = describe(self.bundle.value)
        places = [_places(each.value, layer) if each.value is not None else [] for each in (self.points, self.boxes)]
        try:
            sizes = parse_sizes(self.sizes.value, described.num_axes) or _sizes(layer)
        except InputError as error:
            self.status.value = str(error)
            return
        self._set_running(True)
        self.process.start()
        worker = create_worker(
            _segment,
            self.process,
            described,
            np.asarray(layer.data),
            sizes,
            *places,
            _progress={"desc": described.name},
        )
        worker.returned.connect(lambda found: self._show(layer, described, found))
        worker.finished.connect(lambda: self._set_running(False))
        worker.start()

    def stop(self) -> None:
        """End what is running."""
        self.process.end()

    def keep_labels(self) -> None:
        """Keep the chosen labels, and their image, to fine-tune on."""
        layer, labels = self.image.value, self.corrected.value
        if layer is None or labels is None:
            self.status.value = "choose an image, and the layer of its corrected labels"
            return
        described = describe(self.bundle.value)
        try:
            self.status.value = keep_correction(
                np.asarray(layer.data),
                np.asarray(labels.data),
                described,
                self.dataset.value,
                parse_sizes(self.sizes.value, described.num_axes) or _sizes(layer),
                layer.name,
            )
        except InputError as error:
            self.status.value = str(error)

    def _show(self, layer: Layer, described: Description, found: Found | str) -> None:
        if isinstance(found, str):
            self.status.value = found
            return
        labels, table = found
        name = f"{layer.name} {described.object_name}"
        shown = self.viewer.add_labels(
            labels, name=name, scale=layer.scale, translate=layer.translate, units=layer.units
        )
        if table:
            shown.features = table
        self.status.value = f"{len(np.unique(labels[labels > 0]))} labels"

    def _set_running(self, running: bool) -> None:
        self.run.enabled, self.cancel.enabled = not running, running
        if running:
            self.status.value = "running; the first image of a bundle takes longer"

    def _show_prompts(self) -> None:
        takes = "boxes" in describe(self.bundle.value).options
        for widget in (self.points, self.boxes):
            widget.visible = takes


def _segment(
    process: SegmentingProcess,
    bundle: Description,
    pixels: np.ndarray,
    sizes: tuple[float, ...] | None,
    points: list[np.ndarray],
    shapes: list[np.ndarray],
) -> Found | str:
    """Labels and table of a layer's pixels, by way of files that are removed; words if there are none."""
    with tempfile.TemporaryDirectory() as temporary:
        given, made = Path(temporary, "given"), Path(temporary, "made")
        for folder in (given, made):
            folder.mkdir()
        try:
            image = write_image(pixels, bundle, given, sizes)
            overrides = write_prompts(given, points, shapes) if "boxes" in bundle.options else {}
            return read_result(process.segment(bundle.name, image, made, {}, overrides))
        except Cancelled:
            return "cancelled"
        except InputError as error:
            return str(error)


def _sizes(layer: Layer) -> tuple[float, ...] | None:
    """Size of a layer's pixels in µm; None where its units are no lengths."""
    if not all(unit.is_compatible_with("micrometer") for unit in layer.units):
        return None
    return tuple(
        float((scale * unit).to("micrometer").magnitude) for scale, unit in zip(layer.scale, layer.units, strict=True)
    )


def _places(prompts: Points | Shapes, image: Layer) -> list[np.ndarray]:
    """Points (2,) or the corners (k, 2) of shapes, in pixels of the image, whatever the scales of both."""

    def moved(place: np.ndarray) -> np.ndarray:
        return np.asarray(image.world_to_data(prompts.data_to_world(place)))[-2:]

    if isinstance(prompts, Points):
        return [moved(place) for place in prompts.data]
    return [np.stack([moved(corner) for corner in corners]) for corners in prompts.data]
