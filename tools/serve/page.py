"""The page: choose a bundle, drop an image, look at what was found."""

from __future__ import annotations

import html
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future, TimeoutError, wait
from pathlib import Path
from typing import Protocol

import gradio as gr
from gradio.processing_utils import save_file_to_cache

from tools.errors import InputError
from tools.serve.failures import Failure
from tools.serve.jobs import Job, Result, ServedBundle
from tools.serve.limits import Limits
from tools.serve.showing import MAX_ROWS, Shown, show
from tools.serve.uploads import check_upload

__all__ = ["build_page", "mount_options"]

logger = logging.getLogger(__name__)

POLL_S = 0.4  # between two words of progress
KEPT_S = 3600  # how long a result can be looked at, and an upload is kept
OPTIONS = {
    "spacing": (
        "Voxel size Z,Y,X in µm",
        "For TIFF stacks that do not tell it themselves, for example 2.0,0.8,0.8. NIfTI files tell it.",
    ),
    "pixel_size_um": ("Pixel size in µm", "Side of a pixel, for example 0.1; without it the table is in pixels."),
    "boxes": (
        "Boxes",
        "Around what shall be segmented: [[x_min, y_min, x_max, y_max], ...] in pixels. Empty: the model finds them.",
    ),
}
PROGRESS = gr.Progress()  # gradio finds it among the defaults, and puts one of the request in its place
CSS = """
#status { min-height: 5.5rem; }
#status p.error { color: #b91c1c; font-weight: 600; }
.dark #status p.error { color: #fca5a5; }
#summary p { font-size: 1.1rem; margin: .3rem 0; }
"""


class _Dispatcher(Protocol):
    def submit(self, job: Job) -> Future[Result]: ...

    def position(self, future: Future[Result]) -> int: ...


def mount_options(limits: Limits) -> dict[str, object]:
    """Arguments for `gradio.mount_gradio_app`: nothing is fetched from elsewhere, nothing is kept in the browser."""
    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
    return {
        "theme": gr.themes.Default(**fonts),
        "css": CSS,
        "footer_links": [],
        "run_history": False,
        "max_file_size": limits.max_upload_bytes,
        "ssr_mode": False,
    }


def build_page(
    dispatcher: _Dispatcher,
    bundles: Mapping[str, ServedBundle],
    samples: Mapping[str, Sequence[Path]],
    limits: Limits,
) -> gr.Blocks:
    """The page of a server.

    Parameters
    ----------
    dispatcher : object
        ``submit(job)`` gives a future of a `Result`, ``position(future)`` the number of jobs before it.
    bundles : mapping of str to ServedBundle
        By name; the first one is chosen at the beginning.
    samples : mapping of str to sequence of Path
        Images to try each bundle on.
    limits : Limits

    Returns
    -------
    gradio.Blocks
        To be mounted with `mount_options`.
    """
    first = next(iter(bundles.values()))
    with gr.Blocks(title="Microscopy segmentation", analytics_enabled=False, delete_cache=(600, KEPT_S)) as page:
        state = gr.State(None, time_to_live=KEPT_S, delete_callback=_forget)
        gr.Markdown("# Microscopy segmentation")
        choices = [(f"{bundle.task} ({name})", name) for name, bundle in bundles.items()]
        with gr.Row():
            with gr.Column(scale=1, min_width=320):
                bundle = gr.Dropdown(
                    choices, value=first.name, label="Task", visible=len(bundles) > 1, elem_id="bundle"
                )
                task = gr.Markdown(_introduce(first), elem_id="task")
                file = gr.File(label="Image", type="filepath", height=150, elem_id="upload")
                sample = gr.Dataset(
                    components=[gr.Textbox(visible=False)],
                    type="index",
                    label="Or try a sample",
                    elem_id="samples",
                    **_samples(samples, first.name),
                )
                options = {
                    name: gr.Textbox(label=label, info=info, visible=name in first.options, elem_id=f"option-{name}")
                    for name, (label, info) in OPTIONS.items()
                }
                button = gr.Button("Segment", variant="primary", elem_id="segment")
                status = gr.HTML(elem_id="status")
            with gr.Column(scale=2, visible=False, elem_id="result") as result:
                summary = gr.Markdown(elem_id="summary")
                with gr.Row():
                    pictures = [_picture("Image", "image"), _picture("Outlines", "outlines")]
                z = gr.Slider(0, 1, step=1, label="Plane z", visible=False, elem_id="plane")
                with gr.Row():
                    downloads = [_download("Download mask", "mask"), _download("Download table", "table-file")]
                table = gr.Dataframe(interactive=False, visible=False, max_height=320, elem_id="table")

        actions = _Actions(dispatcher, bundles, samples, limits)
        bundle.change(
            actions.choose_bundle,
            bundle,
            [task, sample, *options.values(), file, status, result],
            show_progress="hidden",
            api_visibility="private",
        )
        sample.click(actions.choose_sample, [bundle, sample], file, show_progress="hidden", api_visibility="private")
        shown = [state, status, result, summary, *pictures, z, *downloads, table, button]
        button.click(
            lambda: ("", gr.Column(visible=False), gr.Button(interactive=False)),
            None,
            [status, result, button],
            show_progress="hidden",
            api_visibility="private",
        ).then(
            actions.segment,
            [state, bundle, file, *options.values()],
            shown,
            show_progress_on=status,
            concurrency_limit=None,  # the dispatcher has the queue; here all wait, each with its own words
            api_visibility="private",
        )
        z.input(
            actions.move,
            [state, z],
            [*pictures, status],
            trigger_mode="always_last",
            show_progress="hidden",
            concurrency_limit=4,
            api_visibility="private",
        )
    return page


class _Actions:
    """What happens when something on the page is used."""

    def __init__(
        self,
        dispatcher: _Dispatcher,
        bundles: Mapping[str, ServedBundle],
        samples: Mapping[str, Sequence[Path]],
        limits: Limits,
    ) -> None:
        self.dispatcher, self.bundles, self.samples, self.limits = dispatcher, bundles, samples, limits
        # whatever sessions leave behind goes when the process ends
        self.folder = tempfile.TemporaryDirectory(prefix="serve-page-")

    def choose_bundle(self, name: str) -> list:
        bundle = self.bundles[name]
        fields = [gr.Textbox(value="", visible=option in bundle.options) for option in OPTIONS]
        samples = gr.Dataset(**_samples(self.samples, name))
        return [_introduce(bundle), samples, *fields, None, "", gr.Column(visible=False)]

    def choose_sample(self, name: str, index: int) -> str:
        # a copy of it lies where uploads do, since gradio hands out and reads files of its own folders only
        return save_file_to_cache(self.samples[name][index], gr.File().GRADIO_CACHE)

    def segment(
        self,
        before: Shown | None,
        name: str,
        file: str | None,
        spacing: str,
        pixel_size_um: str,
        boxes: str,
        progress: Callable = PROGRESS,
    ) -> list:
        _forget(before)
        bundle = self.bundles[name]
        values = zip(OPTIONS, (spacing, pixel_size_um, boxes), strict=True)
        options = {key: text.strip() for key, text in values if key in bundle.options and text and text.strip()}
        started = time.monotonic()
        try:
            shown = self._segment(bundle, file, options, progress)
            return _present(shown, f"Done in {_seconds(time.monotonic() - started)}.")
        except (Failure, InputError) as error:
            return _nothing(getattr(error, "message", str(error)))
        except Exception:  # whatever it is, the page says so in words and stays usable
            logger.exception("%s: the page could not show a result", name)
            return _nothing("Something went wrong on the server; its log says what. Try again, or another image.")

    def move(self, shown: Shown | None, z: float) -> list:
        try:
            return [*shown.draw(int(z)), gr.skip()]
        except (AttributeError, OSError):
            return [gr.skip(), gr.skip(), _error("This result is no longer kept; segment the image again.")]

    def _segment(self, bundle: ServedBundle, file: str | None, options: Mapping[str, str], progress: Callable) -> Shown:
        if not file:
            raise InputError("No image yet: drop one above, or click a sample.")
        path = Path(file)
        if not path.is_file():
            raise InputError("The upload is no longer kept; drop the image again.")
        check_upload(path, bundle, self.limits)
        folder = Path(tempfile.mkdtemp(dir=self.folder.name))
        (folder / "job").mkdir()
        try:
            future = self.dispatcher.submit(Job(bundle.name, path, folder / "job", options))
            result = self._wait(future, progress)
            progress(None, desc="Drawing")
            return show(result, folder, bundle.mask_kind)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _wait(self, future: Future[Result], progress: Callable) -> Result:
        """The result of a job; meanwhile words for who waits."""
        begun = None
        while not wait([future], POLL_S).done:
            place = self.dispatcher.position(future)
            if place:
                progress(None, desc=f"Waiting: {place} {'image' if place == 1 else 'images'} before yours")
                continue
            begun = begun or time.monotonic()
            progress(None, desc=f"Segmenting, {time.monotonic() - begun:.0f} s")
        try:
            return future.result()
        except (CancelledError, TimeoutError) as error:
            raise Failure(503, "The image was not segmented; try again.") from error


def _present(shown: Shown, words: str) -> list:
    """Values for all that shows a result."""
    middle = shown.num_planes // 2
    rows = shown.table
    note = f" The table has {rows.num_rows} rows, of which {MAX_ROWS} are shown." if _is_cut(rows) else ""
    return [
        shown,
        f"<p>{html.escape(words)}</p>",
        gr.Column(visible=True),
        f"**{shown.summary}.**{note}",
        *shown.draw(middle),
        gr.Slider(minimum=0, maximum=max(shown.num_planes - 1, 1), step=1, value=middle, visible=shown.num_planes > 1),
        gr.DownloadButton(value=str(shown.mask), visible=True),
        gr.DownloadButton(value=str(rows.path) if rows else None, visible=rows is not None),
        gr.Dataframe(value=rows.rows if rows else None, headers=rows.header if rows else None, visible=bool(rows)),
        gr.Button(interactive=True),
    ]


def _nothing(message: str) -> list:
    """Values for all that shows a result, where there is none."""
    hidden = [gr.Column(visible=False), "", None, None, gr.Slider(visible=False)]
    return [None, _error(message), *hidden, *[gr.skip()] * 3, gr.Button(interactive=True)]


def _error(message: str) -> str:
    return f'<p class="error" role="alert">{html.escape(message[:1].upper() + message[1:])}</p>'


def _introduce(bundle: ServedBundle) -> str:
    """A bundle's task, and what to give it."""
    takes = "a TIFF stack or NIfTI volume" if bundle.num_axes == 3 else "a PNG, JPEG or TIFF image"
    return f"**{bundle.task}.** Give {takes}."


def _samples(samples: Mapping[str, Sequence[Path]], name: str) -> dict[str, object]:
    paths = samples.get(name, ())
    return {
        "samples": [[path.name] for path in paths],
        "sample_labels": [path.name for path in paths],
        "visible": bool(paths),
    }


def _picture(label: str, name: str) -> gr.Image:
    return gr.Image(
        label=label, format="png", interactive=False, buttons=["download", "fullscreen"], elem_id=f"picture-{name}"
    )


def _download(label: str, name: str) -> gr.DownloadButton:
    return gr.DownloadButton(label, elem_id=f"download-{name}", size="md")


def _is_cut(table) -> bool:
    return table is not None and table.num_rows > len(table.rows)


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s"


def _forget(shown: Shown | None) -> None:
    """Remove what a session looked at."""
    if shown is not None:
        shown.remove()
