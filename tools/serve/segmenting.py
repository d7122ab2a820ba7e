"""A bundle's own inference.json with its network kept between images; to be imported where torch may be."""

from __future__ import annotations

import copy
import csv
import time
from pathlib import Path

from ignite.engine import Engine
from monai.bundle import ConfigParser, ConfigWorkflow

from common.errors import InputError
from tools.serve.jobs import STEM, Job, Result, ServedBundle
from tools.serve.results import find_mask
from tools.serve.uploads import parse_boxes, prepare_image

__all__ = ["LoadedBundle", "find_input_error"]

CONFIGS = {"torch": ("inference.json",), "onnx": ("inference.json", "inference_onnx.json")}
PROMPT_COLUMNS = ("id", "x", "y", "x_min", "y_min", "x_max", "y_max")


class LoadedBundle:
    """A bundle whose network is loaded once; every image is one run of its config.

    Parameters
    ----------
    bundle : ServedBundle

    Raises
    ------
    InputError
        As the bundle's own, a ValueError of that name, if a config or the weights cannot be used.
    """

    def __init__(self, bundle: ServedBundle) -> None:
        self.bundle = bundle
        configs = [str(bundle.root / "configs" / name) for name in CONFIGS[bundle.backend]]
        # dataset and output of each image are given later: nothing that reads them is evaluated here
        workflow = ConfigWorkflow(
            configs, workflow_type=None, logging_file=False, bundle_root=str(bundle.root), **bundle.overrides
        )
        workflow.initialize()
        parser = workflow.parser
        self.network = parser.get_parsed_content("network").eval()
        engine = Engine(lambda engine, batch: None)
        for loader in bundle.loaders:
            parser.get_parsed_content(loader).attach(engine)
        engine.run([None])
        self._config = copy.deepcopy(parser.config)
        self._locator = parser.locator  # its table of all that MONAI has takes 10 ms to make

    def segment(self, job: Job) -> Result:
        """Run the config on one image.

        Parameters
        ----------
        job : Job

        Returns
        -------
        Result

        Raises
        ------
        Exception
            Whatever the bundle raises; see `find_input_error`.
        """
        started = time.perf_counter()
        image = prepare_image(job.image, self.bundle, job.folder / "images", job.options)
        output = job.folder / "results"
        parser = ConfigParser(copy.deepcopy(self._config))
        parser.locator = self._locator
        # no weights to load: the network has them
        loaded = {"network": self.network} | dict.fromkeys(self.bundle.loaders.values(), "none")
        given = {"dataset_dir": str(image.parent), "output_dir": str(output)}
        parser.update(loaded | given | self._overrides(job, image))
        parser.get_parsed_content("run")
        files = tuple(sorted(path for path in output.iterdir() if path.is_file()))
        mask = find_mask(output, STEM, self.bundle.mask_kind)
        return Result(image, mask, files, time.perf_counter() - started)

    def _overrides(self, job: Job, image: Path) -> dict[str, object]:
        """What the fields of a request mean to the config."""
        overrides: dict[str, object] = {}
        if "boxes" in job.options:
            table = image.with_name(f"{STEM}_prompts.tsv")
            with table.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, delimiter="\t", lineterminator="\n")
                writer.writerow(PROMPT_COLUMNS)
                for number, box in enumerate(parse_boxes(job.options["boxes"]).tolist(), start=1):
                    writer.writerow([number, "n/a", "n/a", *box])
            overrides["prompt_source"] = "prompts"
        if "pixel_size_um" in job.options:
            overrides["pixel_size_um"] = _positive(job.options["pixel_size_um"])
        return overrides


def find_input_error(error: BaseException | None) -> str | None:
    """What an `InputError`, the toolbox's or a bundle's, says that is among an exception and its causes; or None."""
    while error is not None:
        if type(error).__name__ == InputError.__name__:
            return " ".join(str(error).split())
        error = error.__cause__ or error.__context__
    return None


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise InputError(f"pixel_size_um {text[:50]!r}: expected the side of a pixel in micrometres, a number above 0")
    return value
