"""The verb ``segment``."""

import errno
import functools
import inspect
import logging
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from common.errors import InputError, causes
from common.json_file import read_json
from tools.command_line import as_verb, at_least, positive
from tools.convert.spacing import parse_spacing
from tools.formats.saving import SEQUENCES, parse_formats
from tools.formats.scenes import Pick
from tools.formats.sequences import group_frames
from tools.runs.overrides import refuse_wrong_values, unknown_override
from tools.runs.words import top_key
from tools.segment.blocks.plan import (
    Cutting,
    Plan,
    check_blocks,
    default_memory,
    drop_if_empty,
    plan_blocks,
    work_folder,
)
from tools.segment.description import Description, describe
from tools.segment.files import remember_settings
from tools.segment.inputs import check_header
from tools.segment.quiet import quiet
from tools.segment.remote import Server
from tools.segment.results import IN_BLOCKS, MASKS, count_objects, is_complete
from tools.segment.saving import find_labels, is_saved, save_labels, save_sequences
from tools.segment.settings import help_of_settings
from tools.segment.sources import Source, find_images, find_sources
from tools.segment.work import UnusableNetworkError, Whole, forget, segment_whole
from tools.spreading import Spread, one_by_one, open_cluster

__all__ = ["segment", "segment_images"]

logger = logging.getLogger(__name__)

NAMED = 5  # images without objects, at the end
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


@as_verb(destination=Path, memory=positive, workers=at_least(1))
def segment(
    bundle: str,
    source: str,
    destination: Path,
    *extra,
    spacing: str = "",
    scene: str = "",
    channel: str = "",
    time: str = "",
    save: str = "",
    backend: str = "auto",
    blocks: str = "",
    memory: float | None = None,
    workers: int | None = None,
    scheduler: str = "",
    server: str = "",
    token: str = "",
    **overrides,
) -> dict[str, object] | str:
    """Segment images with a bundle. The network is loaded once, and images that already have results are skipped.

    Parameters
    ----------
    bundle : str
        A name in bundles/, or a bundle's folder (the code in its configs runs with your rights). Or nuclei: two bundles
        that work together, one finds the foreground, the other separates it into objects.
    source : str
        An image (ND2, CZI, LIF, LSM, STK, OIF, OIB, OME-Zarr, TIFF, NIfTI, PNG, JPEG; slides as SVS, NDPI, MRXS, SCN),
        a folder of images, a converted dataset, or a pattern in quotes; for nuclei also a dataset of the Cell Tracking
        Challenge, which is scored if it has truth.
    destination : str
        Folder for the results, <image name>_<kind>.
    spacing : str
        Size of a voxel in micrometres as Z,Y,X, or of a pixel as one number, instead of what the files say. Of slides
        it is given as --pixel_size_um.
    scene : str
        Position to segment, by its name or its number from 0; by default all.
    channel : str
        Channel to segment, by its name or its number from 0; needed if there are several. rgb for three of them that
        are red, green and blue, where the file does not say so.
    time : str
        Time point to segment, by its number from 0; by default all.
    save : str
        Further formats to write the objects in, separated by commas: ome-tiff (labels), imagej-roi, geojson (QuPath),
        coco, ome-zarr (labels), csv (in micrometres), or ctc (01_RES of the Cell Tracking Challenge, for images whose
        names end in the number of a frame).
    backend : str
        torch; onnx, ONNX Runtime, or openvino, OpenVINO, with the file of `tools export onnx`; auto, on a CPU the one
        that was the fastest when this file was made.
    blocks : str
        Segment in blocks of this size, Z,Y,X or Y,X in pixels; results are <image name>_<kind>.ome.zarr. By default
        only images that need more than the memory are cut.
    memory : float
        Memory that segmenting may take, in GB; by default half of the machine's. Each worker may take this much.
    workers : int
        Number of processes to spread images and blocks over, each with its own copy of the network.
    scheduler : str
        Address of a Dask scheduler whose workers to use instead, such as tcp://10.0.0.1:8786.
    server : str
        Have the images segmented by a running `tools serve BUNDLE`, which has the network loaded already: its address,
        http://127.0.0.1:5050, or its socket file. The results are written here, as without it.
    token : str
        Word that the server asks for.
    **overrides
        Settings of the bundle's inference.json, for example --threshold 0.4: `segment BUNDLE --help` lists them.
    """
    if extra:
        raise InputError(f"too many arguments: {' '.join(map(str, extra))}; give several images as a pattern in quotes")
    spread_out = {"blocks": blocks, "memory": memory and f"{memory:g}", "workers": workers, "scheduler": scheduler}
    if server:
        _refuse(spread_out, "the server segments one whole image at a time")
    elif token:
        raise InputError("--token: is for a server; give --server, too")
    described = describe(bundle, backend=backend, overrides=overrides)
    _check_settings(described, overrides)
    if described.foreground is not None and Path(source).is_dir():
        from tools.segment.challenge import is_challenge, segment_challenge

        if is_challenge(Path(source)):
            picked = {"save": save, "scene": scene, "channel": channel, "time": time}
            _refuse(picked | spread_out | {"server": server}, f"{source} is a dataset of the challenge")
            return segment_challenge(described, Path(source), destination, spacing=parse_spacing(spacing or None))
    pick = Pick(scene, channel, time)
    options, formats = _options(described, spacing), parse_formats(save, num_axes=described.num_axes)
    cutting = None if server else _cutting(described, blocks, memory)
    asked = Server(server, described, token) if server else None
    sources, failures = find_sources(find_images(source, destination), described, pick)
    if not sources:
        raise InputError(_all_of(failures, len(failures)))
    if SEQUENCES in formats:
        group_frames(source.stem for source in sources)
    remembered = {**options, **({"channel": channel} if channel else {})}  # names of results do not say the channel
    images = {source.stem: source.path for source in sources}
    with open_cluster(workers, scheduler) as spread, remember_settings(destination, described, remembered, images):
        return segment_images(
            described,
            sources,
            destination,
            options,
            save=formats,
            failures=failures,
            cutting=cutting,
            spread=spread,
            server=asked,
        )


segment.help_of = functools.partial(  # type: ignore[attr-defined]
    help_of_settings, options=inspect.signature(segment).parameters.keys()
)


def segment_images(
    bundle: Description,
    sources: Sequence[Source],
    destination: Path,
    options: Mapping[str, str],
    *,
    save: Sequence[str] = (),
    failures: Sequence[str] = (),
    cutting: Cutting | None = None,
    spread: Spread = one_by_one,
    server: Server | None = None,
) -> dict[str, object]:
    """Segment those of the images that have no results yet; an image that cannot be used does not keep back the others.

    Parameters
    ----------
    bundle : Description
    sources : sequence of Source
    destination : Path
        Folder for the results; it is created.
    options : mapping of str to str
        As for `LoadedBundle.segment`, for all images.
    save : sequence of str
        Further formats for the objects, see `tools.formats.saving`.
    failures : sequence of str
        Why further files hold no image; reported at the end, as an InputError.
    cutting : Cutting, optional
        Of images that are too large; none is cut if not given.
    spread : Spread
        Where images and blocks are segmented; in this process if not given.
    server : Server, optional
        That segments them instead.
    """
    todo = [source for source in sources if not _is_done(source, destination, bundle.mask_kind)]
    failures, num_failed = list(failures), len(failures)
    if todo:
        run = uuid.uuid4().hex
        plans: list[tuple[Source, Plan | None]] = []
        usable: set[Path] = set()
        for source in todo:
            given = {**options, **source.options}
            try:
                if source.path not in usable:  # one image of a file speaks for the others
                    check_header(source.path, bundle, given)
                    usable.add(source.path)
                plan = cutting and plan_blocks(bundle, source, destination, given, cutting, save=save, run=run)
            except InputError as error:
                failures.append(str(error))
                drop_if_empty(work_folder(destination, source.stem))
            else:
                plans.append((source, plan or None))
        with quiet() as terminal:
            whole = Whole(bundle, destination, options, tuple(save), run, server)
            try:
                failures += _segment_all(whole, plans, spread, terminal)
            finally:
                forget()
    for source in sources:  # done before, without these formats
        if source not in todo and not is_saved(destination, source.stem, save):
            labels = find_labels(destination, source.stem, bundle.mask_kind)
            given = {**options, **source.options}
            save_labels(labels, source.path, destination, source.stem, save, bundle.object_name, given)
    if failures:
        raise InputError(_all_of(failures, len(todo) + num_failed))
    if SEQUENCES in save:
        save_sequences(sources, destination, bundle.mask_kind)
    counts = count_objects(destination, (source.stem for source in sources))
    numbers, without = {*counts.values()}, [stem for stem, number in counts.items() if number == 0]
    found: dict[str, object] = {"objects": sum(counts.values())} if counts else {}
    if len(numbers) > 1:
        found["objects per image"] = f"{min(numbers)} to {max(numbers)}"
    if without:
        found["without any"] = ", ".join([*without[:NAMED], *(["..."] if len(without) > NAMED else [])])
    return {"images": len(todo), "done before": len(sources) - len(todo), **found, "results": destination}


def _segment_all(
    whole: Whole, plans: Sequence[tuple[Source, Plan | None]], spread: Spread, terminal: TextIO
) -> list[str]:
    """Segment images as planned, those that are not cut first; returns what went wrong with which."""
    failures, bundle, destination = [], whole.bundle, whole.destination
    uncut = [source for source, plan in plans if plan is None]
    done = spread(functools.partial(segment_whole, whole), uncut)
    for source, error in tqdm(done, bundle.name, len(uncut), unit="image", file=terminal, disable=not uncut):
        if isinstance(error, UnusableNetworkError):
            raise error
        if isinstance(error, InputError):
            failures.append(str(error) if str(source.path) in str(error) else f"{source.path}: {error}")
        elif error is not None:
            raise _full_disk(error) or error
    for source, plan in plans:
        if plan is None:
            continue
        from tools.segment.blocks.segmenting import segment_in_blocks  # SciPy: a third of the start of a call

        try:
            failed = segment_in_blocks(plan, destination, source.stem, spread, terminal)
            failures += [failed] if failed else []
            labels = find_labels(destination, source.stem, bundle.mask_kind)
            save_labels(labels, source.path, destination, source.stem, whole.save, bundle.object_name, plan.options)
        except InputError as error:
            failures.append(str(error))
            drop_if_empty(plan.folder)
        except OSError as error:
            raise _full_disk(error) or error  # noqa: B904  from itself it would be its own cause
    return failures


def _full_disk(error: BaseException | None) -> InputError | None:
    """The message if an error, or its cause, is that nothing more can be written; every image would fail."""
    for cause in causes(error):
        if isinstance(cause, OSError) and cause.errno in DISK:
            where = cause.filename or tempfile.gettempdir()
            return InputError(
                f"{where}: {cause.strerror}; free some space, and give the same command again to continue"
            )
    return None


def _all_of(failures: Sequence[str], num_images: int) -> str:
    """The first failure; the others are logged, each of them once."""
    for failure in [*dict.fromkeys(failures)][1:]:
        logger.error("%s", failure)
    return failures[0] + (f" ({len(failures)} of {num_images} images were not segmented)" if num_images > 1 else "")


def _is_done(source: Source, destination: Path, kind: str) -> bool:
    changed = source.path.stat().st_mtime
    names = [f"{source.stem}_{kind}{ending}" for ending in MASKS]
    whole = any(path.is_file() and path.stat().st_mtime >= changed for path in map(destination.joinpath, names))
    return whole or is_complete(destination / f"{source.stem}_{kind}{IN_BLOCKS}", changed)


def _cutting(bundle: Description, blocks: str, memory: float | None) -> Cutting:
    """Blocks and memory as given on the command line."""
    size: tuple[int, ...] = ()
    if blocks:
        sides = [side.strip() for side in blocks.strip("()[] ").split(",")]
        if not all(side.isdecimal() and int(side) for side in sides):
            example = "64,512,512" if bundle.num_axes == 3 else "1024,1024"
            raise InputError(f"--blocks {blocks}: expected the size of a block in pixels, such as {example}")
        size = tuple(map(int, sides))
        check_blocks(bundle)
    return Cutting(size, memory * 1e9 if memory else default_memory())


def _refuse(options: Mapping[str, object], reason: str) -> None:
    """Refuse options that are given though they cannot be used."""
    for name, value in options.items():
        if value:
            raise InputError(f"--{name} {value}: {reason}; leave it out")


def _check_settings(bundle: Description, overrides: Mapping[str, object]) -> None:
    """Refuse settings that the bundle does not know, or values that cannot work, before a file is opened."""
    known = [*bundle.settings, *(["foreground_ckpt_path"] if bundle.foreground else [])]
    for key in overrides:
        if top_key(key) not in known:
            raise unknown_override(key, known, segment)
    refuse_wrong_values(overrides, bundle.settings)


def _options(bundle: Description, spacing: str) -> dict[str, str]:
    """The spacing of the command line as options of the bundle."""
    if not spacing:
        return {}
    if bundle.num_axes == 3:
        parse_spacing(spacing)
        return {"spacing": spacing}
    if "pixel_size_um" in bundle.options:
        sizes = spacing.strip("()[] ").split(",")
        if len(set(sizes)) > 1:
            raise InputError(f"--spacing {spacing}: {bundle.name} takes square pixels; give one number")
        return {"pixel_size_um": sizes[0]}
    if "pixel_size_um" in read_json(bundle.configs[0], "correct it"):
        raise InputError(
            f"--spacing {spacing}: {bundle.name} takes the side of a pixel as --pixel_size_um; give that instead"
        )
    raise InputError(f"--spacing {spacing}: {bundle.name} does not use the pixel size; leave it out")
