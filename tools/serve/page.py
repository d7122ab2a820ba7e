"""The page: choose a bundle, drop an image, see its outlines, take the results."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
import numpy as np
from fastapi import FastAPI

from tools.segment.description import Description
from tools.segment.results import STEM, Result, read_mask, renamed, safe_stem
from tools.serve import pictures
from tools.serve.dispatcher import Dispatcher
from tools.serve.failures import Failure
from tools.serve.jobs import Job
from tools.serve.results import encode
from tools.serve.uploads import check_upload

__all__ = ["build_page", "mount_page"]

logger = logging.getLogger(__name__)

TITLE = "Microscopy segmentation"
UPLOADS = {2: "Image: PNG, JPEG, TIFF", 3: "Volume: NIfTI, TIFF stack"}
POLL_S = 0.3
PROGRESS_PX = 60  # height of the line that the progress is drawn over
MAX_ROWS = 200  # of a table on the page; the file has all
SESSION_S = 3600  # after which results that nobody looks at are removed
SHOWN = {"format": "png", "interactive": False, "buttons": ["download", "fullscreen"]}
HINTS = {
    "spacing": ("Spacing Z,Y,X in µm", "of TIFF stacks whose file does not tell it, such as 2.0,0.8,0.8"),
    "pixel_size_um": ("Pixel size in µm", "where it is known: sizes are then in µm, and objects are found more surely"),
    "boxes": ("Boxes", "[[x_min, y_min, x_max, y_max], ...] in pixels; empty: objects are found without"),
}


@dataclass(frozen=True)
class _Shown:
    """A result that the page shows, in a folder of its own."""

    folder: Path
    result: Result
    limits: tuple[float, float]
    stem: str


def mount_page(
    app: FastAPI,
    dispatcher: Dispatcher,
    bundles: Mapping[str, Description],
    samples: Mapping[str, Sequence[Path]],
    folder: Path,
) -> FastAPI:
    """Put the page at the root of a server; see `build_page`."""
    return gr.mount_gradio_app(
        app,
        build_page(dispatcher, bundles, samples, folder),
        path="/",
        max_file_size=dispatcher.limits.max_upload_bytes,
        # the page may hand out what lies in temporary folders: the results of its jobs, and the samples
        allowed_paths=[str(folder), *{str(path.parent) for paths in samples.values() for path in paths}],
        footer_links=[],
        ssr_mode=False,
    )


def build_page(
    dispatcher: Dispatcher,
    bundles: Mapping[str, Description],
    samples: Mapping[str, Sequence[Path]],
    folder: Path,
) -> gr.Blocks:
    """The page, to be mounted on the server.

    Parameters
    ----------
    dispatcher : Dispatcher
    bundles : mapping of str to Description
    samples : mapping of str to sequence of Path
        Images to try a bundle on, by its name.
    folder : Path
        Where results are kept while they are shown; who made it removes it.

    Returns
    -------
    Blocks
    """
    first = next(iter(bundles.values()))
    waiting: dict[str, Future] = {}  # by session
    progress_bar = gr.Progress()

    def segment(name, file, request: gr.Request, *fields, progress=progress_bar) -> tuple:
        bundle = bundles[name]
        options = {key: value.strip() for key, value in zip(HINTS, fields, strict=True) if value and value.strip()}
        options = {key: value for key, value in options.items() if key in bundle.options}
        if not file:
            raise gr.Error("Drop an image first, or choose a sample.", print_exception=False)
        own = Path(tempfile.mkdtemp(prefix="page-", dir=folder))
        try:
            check_upload(Path(file), bundle, dispatcher.limits)
            future = waiting[request.session_hash] = dispatcher.submit(Job(bundle.name, Path(file), own, options))
            result = _wait(future, dispatcher, progress)
            progress(0.9, desc="drawing")
            shown = _Shown(own, result, pictures.contrast_limits(result.image), safe_stem(Path(file).name))
            return shown, *_views(shown)
        except Exception as error:
            shutil.rmtree(own, ignore_errors=True)
            raise _as_message(error) from error
        finally:
            waiting.pop(request.session_hash, None)

    def leave(request: gr.Request):
        if future := waiting.get(request.session_hash):
            future.cancel()  # its place in the queue is for others

    def choose(name, shown):
        options = bundles[name].options
        return (
            bundles[name].task,
            *(gr.update(visible=key in options, value="") for key in HINTS),
            gr.update(samples=[[path.name] for path in samples.get(name, ())]),
            gr.update(value=None, label=UPLOADS[bundles[name].num_axes]),
            *_clear(shown),
        )

    def take_sample(name, index):
        return str(samples[name][index])

    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(SESSION_S, SESSION_S)) as page:
        shown = gr.State(time_to_live=SESSION_S, delete_callback=_forget)
        gr.Markdown(f"# {TITLE}")
        with gr.Row():
            with gr.Column(scale=1):
                name = gr.Dropdown([*bundles], value=first.name, label="Bundle", elem_id="bundle")
                task = gr.Markdown(first.task)
                file = gr.File(label=UPLOADS[first.num_axes], type="filepath", elem_id="file", height=140)
                sample = gr.Dataset(
                    label="Samples, drawn by a program",
                    components=[gr.Textbox(visible=False)],
                    samples=[[path.name] for path in samples.get(first.name, ())],
                    type="index",
                    elem_id="samples",
                )
                fields = [
                    gr.Textbox(label=label, info=hint, visible=key in first.options, elem_id=key)
                    for key, (label, hint) in HINTS.items()
                ]
                run = gr.Button("Segment", variant="primary", elem_id="segment")
            with gr.Column(scale=3):
                counts = gr.Markdown("Results appear here.", elem_id="counts", min_height=PROGRESS_PX)
                plane = gr.Slider(0, 1, step=1, label="Slice (z)", visible=False, elem_id="plane")
                with gr.Row():
                    image = gr.Image(label="Image", elem_id="image", **SHOWN)
                    outlines = gr.Image(label="Outlines", elem_id="outlines", **SHOWN)
                with gr.Row():
                    mask = gr.DownloadButton("Mask", visible=False, elem_id="mask")
                    table = gr.DownloadButton("Table (CSV)", visible=False, elem_id="csv")
                    archive = gr.DownloadButton("All files (ZIP)", visible=False, elem_id="zip")
                rows = gr.Dataframe(visible=False, interactive=False, label="Table", elem_id="table")
        views = [counts, plane, image, outlines, mask, table, archive, rows]
        name.change(choose, [name, shown], [task, *fields, sample, file, shown, *views], show_progress="hidden")
        sample.click(take_sample, [name, sample], file, show_progress="hidden")
        run.click(_clear, shown, [shown, *views], show_progress="hidden").then(
            segment, [name, file, *fields], [shown, *views], show_progress_on=[counts], concurrency_limit=None
        )
        page.unload(leave)
        plane.input(_draw, [shown, plane], [image, outlines], show_progress="hidden", trigger_mode="always_last")
    return page


def _as_message(error: Exception) -> gr.Error:
    """What the user is told."""
    if isinstance(error, Failure):
        return gr.Error(error.message, duration=None, title="Not segmented", print_exception=False)
    if isinstance(error, CancelledError):
        return gr.Error("The page was left.", print_exception=False)
    logger.error("the page failed", exc_info=error)
    return gr.Error("Something went wrong; the server's log says what.", title="Not segmented")


def _wait(future: Future, dispatcher: Dispatcher, progress: gr.Progress) -> Result:
    """The result of a job; meanwhile the progress bar tells the place in the queue, and seconds."""
    started = time.monotonic()
    while not future.done():
        before = dispatcher.position(future)
        if before:
            progress(0.05, desc=f"waiting, {before} before this one")
            started = time.monotonic()
        else:
            seconds = time.monotonic() - started
            progress(0.1 + 0.8 * seconds / (seconds + 10), desc=f"segmenting, {seconds:.0f} s")
        time.sleep(POLL_S)
    return future.result()


def _views(shown: _Shown) -> tuple:
    """All that the page shows of a result."""
    result = shown.result
    num_planes = pictures.num_planes(result.image)
    middle = num_planes // 2
    rows, num_objects = gr.update(visible=False), None
    if result.table:
        columns, values = pictures.read_table(result.table)
        rows, num_objects = gr.update(value={"headers": columns, "data": values[:MAX_ROWS]}, visible=True), len(values)
    image, outlines = _draw(shown, middle)
    kind = result.labels.name.removeprefix(f"{STEM}_").split(".")[0]
    slider = gr.update(minimum=0, maximum=max(num_planes - 1, 1), value=middle, visible=num_planes > 1)
    return (
        f"**{pictures.summarize(read_mask(result.labels)[0], num_objects)}** in {result.seconds:.1f} s",
        slider,
        image,
        gr.update(value=outlines, label=f"Outlines: {kind}"),
        *_downloads(shown),
        rows,
    )


def _downloads(shown: _Shown) -> list[dict]:
    """Mask, table and archive, named after the user's file."""
    folder = shown.folder / "downloads"
    folder.mkdir()
    results = (shown.result.labels, shown.result.table)
    copies = [path and shutil.copyfile(path, folder / renamed(path, shown.stem)) for path in results]
    archive = folder / f"{shown.stem}_results.zip"
    archive.write_bytes(encode(shown.result, "zip", shown.stem))
    return [gr.update(value=file and str(file), visible=file is not None) for file in (*copies, archive)]


def _draw(shown: _Shown | None, plane: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The image, and the image with outlines."""
    if shown is None:
        return None, None
    image = pictures.enlarge(pictures.plane_of(shown.result.image, plane))
    labels = pictures.enlarge(pictures.plane_of(shown.result.labels, plane))
    picture = pictures.to_rgb(pictures.shrink(image), shown.limits)
    return picture, pictures.draw_outlines(picture, labels)


def _clear(shown: _Shown | None) -> tuple:
    """Take an old result off the page and off the disk: beside a new image, or an error, it would be taken for its."""
    _forget(shown)
    hidden = gr.update(value=None, visible=False)
    return None, "", gr.update(visible=False), None, None, hidden, hidden, hidden, hidden


def _forget(shown: _Shown | None) -> None:
    if shown is not None:
        shutil.rmtree(shown.folder, ignore_errors=True)
