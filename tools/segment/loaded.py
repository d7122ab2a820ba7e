"""A bundle's own inference.json with its network kept between images; to be imported where torch may be."""

import copy
import glob
import logging
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tools.segment.lean_monai import import_monai

import_monai()  # before anything else does

# ruff: noqa: E402
from ignite.engine import Engine
from monai.bundle import ConfigParser, ConfigWorkflow

from common.errors import InputError
from common.names import stem as stem_of
from tools.segment.description import Description
from tools.segment.inputs import prepare_image, told_pixel_size
from tools.segment.prompts import PROMPTS, parse_prompts, write_prompts
from tools.segment.results import STEM, Result, find_mask
from tools.segment.words import find_input_error, for_user, refusing

__all__ = ["Loaded", "LoadedBundle", "LoadedPair", "load"]

logger = logging.getLogger(__name__)

NOTHING: Mapping[str, Any] = MappingProxyType({})


class LoadedBundle:
    """A bundle whose network is loaded once; each image is one run of its config.

    Raises
    ------
    InputError
        If a config, an override or the weights cannot be used.
    """

    def __init__(self, bundle: Description) -> None:
        self.bundle = bundle
        with refusing():
            parser = self._load()
        self._config = copy.deepcopy(parser.config)
        self._locator = parser.locator  # its table of all that MONAI has takes 10 ms to make

    def segment(
        self,
        image: Path,
        folder: Path,
        options: Mapping[str, str] = NOTHING,
        *,
        overrides: Mapping[str, object] = NOTHING,
        name: str = "the image",
        stem: str = STEM,
    ) -> Result:
        """Run the config on one image.

        Parameters
        ----------
        image : Path
            Of any format that `prepare_image` takes.
        folder : Path
            An empty folder for this image, which the results are written to. The caller removes it.
        options : mapping of str to str
            Options of the image: ``spacing`` (Z,Y,X in micrometres), ``pixel_size_um``, ``boxes`` and ``points``
            (JSON).
        overrides : mapping of str to object
            Of the config, for this image only.
        name : str
            What messages call the image.
        stem : str
            What the names of results begin with; by default no part of any path is the user's.

        Raises
        ------
        InputError
            If the image or an option cannot be used; in the bundle's words, with the name of the image. Its warnings
            are logged the same way.
        """
        warned: list[str] = []
        try:
            with _warnings_of(self.bundle.root.name, warned):
                return self._segment(image, folder, options, overrides, stem)
        except Exception as error:
            known = find_input_error(error)
            if known is None:
                raise
            raise InputError(for_user(known, image, folder, name, stem)) from error
        finally:
            for message in warned:
                logger.warning("%s", for_user(message, image, folder, name, stem))

    def _load(self) -> ConfigParser:
        """Load the network; dataset and output of each image are given later: nothing that reads them is evaluated."""
        bundle = self.bundle
        configs = [str(path) for path in bundle.configs]
        overrides: dict[str, Any] = {"bundle_root": str(bundle.root), **bundle.overrides}
        workflow = ConfigWorkflow(configs, workflow_type=None, logging_file=False, **overrides)
        workflow.initialize()
        parser = workflow.parser
        self.network = parser.get_parsed_content("network").eval()
        engine = Engine(lambda engine, batch: None)
        for loader in bundle.loaders:
            parser.get_parsed_content(loader).attach(engine)
        engine.run([None])
        return parser

    def _segment(
        self, image: Path, folder: Path, options: Mapping[str, str], overrides: Mapping[str, object], stem: str
    ) -> Result:
        started = time.perf_counter()
        prepared = prepare_image(image, self.bundle, folder / "images", options, stem)
        output = folder / "results"
        parser = ConfigParser(copy.deepcopy(self._config))
        parser.locator = self._locator
        # no weights to load: the network has them
        loaded = {"network": self.network} | dict.fromkeys(self.bundle.loaders.values(), "none")
        given = {"dataset_dir": str(prepared.parent), "output_dir": str(output)}
        given |= self._copy_neighbours(image, folder / "beside", stem)
        if "pixel_size_um" in self.bundle.options and "pixel_size_um" not in options:
            options = {**options, **told_pixel_size(prepared)}
        parser.update(loaded | given | _as_overrides(options, prepared, stem) | dict(overrides))
        parser.get_parsed_content("run")
        files = tuple(sorted(path for path in output.iterdir() if path.is_file()))
        mask = find_mask(files, stem, self.bundle.mask_kind)
        return Result(prepared, mask, files, time.perf_counter() - started, stem)

    def _copy_neighbours(self, image: Path, folder: Path, stem: str) -> dict[str, str]:
        """Copy files beside the image that belong to it into a folder of ours; the keys of the config that name it."""
        keys, original = {}, stem_of(image)
        for key, endings in self.bundle.beside.items():
            found = [path for ending in endings for path in image.parent.glob(glob.escape(original) + ending)]
            if found and key not in self.bundle.overrides:
                folder.mkdir(exist_ok=True)
                for path in found:
                    shutil.copyfile(path, folder / f"{stem}{path.name.removeprefix(original)}")
                keys[key] = str(folder)
        return keys


class LoadedPair:
    """Two bundles, one of which finds the foreground that the other one separates into objects; as `LoadedBundle`."""

    def __init__(self, bundle: Description) -> None:
        if bundle.foreground is None:
            raise TypeError(f"{bundle.name} separates nothing")
        self.bundle = bundle
        self.foreground, self.separating = LoadedBundle(bundle.foreground), LoadedBundle(bundle)

    def segment(
        self,
        image: Path,
        folder: Path,
        options: Mapping[str, str] = NOTHING,
        *,
        overrides: Mapping[str, object] = NOTHING,
        foreground_overrides: Mapping[str, object] = NOTHING,
        name: str = "the image",
        stem: str = STEM,
    ) -> Result:
        """Run both on one image; see `LoadedBundle.segment`. Files of both are among the result's.

        Of the overrides those of the foreground are for the first one alone.
        """
        first = folder / "foreground"
        (first / "results").mkdir(parents=True)
        probability = {**overrides, **foreground_overrides, "save_probability": True}
        found = self.foreground.segment(image, first, options, overrides=probability, name=name, stem=stem)
        for file in found.files:
            (folder / "results" / file.name).symlink_to(file)
        result = self.separating.segment(image, folder, options, overrides=overrides, name=name, stem=stem)
        own = tuple(file for file in result.files if not file.is_symlink())
        return replace(result, files=(*found.files, *own), seconds=found.seconds + result.seconds)


Loaded = LoadedBundle | LoadedPair


def load(bundle: Description) -> Loaded:
    """The network or networks of a description."""
    return LoadedBundle(bundle) if bundle.foreground is None else LoadedPair(bundle)


@contextmanager
def _warnings_of(package: str, messages: list[str]) -> Iterator[None]:
    """Collect what a package warns of, instead of logging it."""

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    package_logger, handler = logging.getLogger(package), Collect(logging.WARNING)
    propagate, package_logger.propagate = package_logger.propagate, False
    package_logger.addHandler(handler)
    try:
        yield
    finally:
        package_logger.removeHandler(handler)
        package_logger.propagate = propagate


def _as_overrides(options: Mapping[str, str], image: Path, stem: str) -> dict[str, object]:
    """The options of an image as overrides of the config."""
    overrides: dict[str, object] = {}
    prompts = {name: parse_prompts(name, options[name]) for name in PROMPTS if name in options}
    if prompts:
        write_prompts(image.with_name(f"{stem}_prompts.tsv"), **prompts)
        overrides["prompt_source"] = "prompts"
    if "pixel_size_um" in options:
        overrides["pixel_size_um"] = _positive(options["pixel_size_um"])
    return overrides


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1e-6 < value < 1e6:
        raise InputError(f"pixel_size_um {text[:50]!r}: expected the side of a pixel in micrometres, such as 0.1")
    return value
