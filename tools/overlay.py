"""Pictures to judge a result by: image, truth and prediction, for volumes in sections along two axes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.transform import downscale_local_mean

from common.errors import InputError
from common.files import replacing
from common.labels.drawing import draw_outlines, find_outlines, side_by_side
from common.reading import images, nifti
from common.reading.formats import identify
from common.reading.pictures import without_alpha
from common.reading.tiff import read_header, read_spacing, read_volume
from tools.command_line import as_verb
from tools.convert.dataset import as_numbers, refuse_picture
from tools.formats.microscopes import has_images, maker_of, read
from tools.formats.scenes import Pick

__all__ = ["draw_overlay", "draw_plane_overlay", "overlay", "read_image", "write_overlay"]

TRUTH_COLOUR, RESULT_COLOUR = (0, 220, 0), (255, 0, 255)
NUM_SLICES, ENLARGEMENT, GAP_PX, BLOCK_GAP_PX = 4, 3, 4, 16
MAX_PLANE_PX = 1600
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}


def draw_overlay(
    image: np.ndarray,
    result: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
) -> np.ndarray:
    """Sections of a volume seen along Z, and below them seen along Y: each as image, and under it with outlines.

    Parameters
    ----------
    image : ndarray, shape (Z, Y, X)
        Intensities.
    result : ndarray of int or bool, shape (Z, Y, X)
        Mask or instance map, outlined in magenta.
    labels : ndarray of int or bool, shape (Z, Y, X), optional
        Truth, outlined in green; where both outlines meet they are white.
    spacing : sequence of float
        µm per voxel in (Z, Y, X), all above 0; only their ratio matters.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        Two blocks of up to five columns: sections spread over the objects' extent, and last the maximum intensity
        projection. The upper block shows (Y, X), the lower one (Z, X), with the first plane on top. All are drawn to
        one scale: 3 pixels for the shortest edge of a voxel, or fewer where an axis would get more than 1600 pixels.
    """
    if labels is not None and result.max() <= 1:
        labels = labels > 0  # a mask says nothing about borders between touching objects
    extent = np.multiply(result.shape, spacing)
    pixels_per_um = min(ENLARGEMENT / min(spacing), MAX_PLANE_PX / max(extent))
    size = np.maximum(1, np.round(extent * pixels_per_um)).astype(int)
    blocks = [
        _block(_to_gray(image), result, labels, axis=axis, size=np.delete(size, axis).tolist()) for axis in (0, 1)
    ]
    width = max(block.shape[1] for block in blocks)
    gap = np.full((BLOCK_GAP_PX, width, 3), 255, np.uint8)
    upper, lower = (
        np.pad(block, [(0, 0), (0, width - block.shape[1]), (0, 0)], constant_values=255) for block in blocks
    )
    return np.concatenate([upper, gap, lower])


def draw_plane_overlay(image: np.ndarray, result: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
    """Image, and beside it the image with outlines; shrunk by a whole factor where it is large.

    Parameters
    ----------
    image : ndarray of uint8, shape (Y, X) or (Y, X, 3)
        Gray or RGB.
    result : ndarray of int or bool, shape (Y, X)
        Mask or instance map, outlined in magenta.
    labels : ndarray of int or bool, shape (Y, X), optional
        Truth, outlined in green; where both outlines meet they are white.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        Neither image in it is larger than 1600 pixels along an axis.
    """
    if labels is not None and len(np.unique(result)) <= 2:
        labels = labels > 0
    factor = max(1, -(-max(image.shape[:2]) // MAX_PLANE_PX))
    colours = image if image.ndim == 3 else np.stack([_to_gray(image, low=0.5, gamma=1.0)] * 3, axis=-1)
    filled = np.pad(colours, [(0, -size % factor) for size in colours.shape[:2]] + [(0, 0)], mode="edge")
    plain = downscale_local_mean(filled, (factor, factor, 1)).round().astype(np.uint8)
    truth = None if labels is None else labels[::factor, ::factor]
    return _column(plain, result[::factor, ::factor], truth, axis=1, thickness=2)


def write_overlay(
    path: Path,
    image: np.ndarray,
    result: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
) -> None:
    """Write the picture of `draw_overlay`, or for a single plane (no spacing) of `draw_plane_overlay`."""
    if result.ndim == 3:
        picture = draw_overlay(image, result, labels, spacing=spacing)
    else:
        picture = draw_plane_overlay(image, result, labels)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        Image.fromarray(picture).save(partial, format=FORMATS[path.suffix.lower()])


@as_verb(image=Path, result=Path, destination=Path, label=Path)
def overlay(
    image: Path,
    result: Path,
    destination: Path,
    *,
    label: Path | None = None,
    scene: str = "",
    channel: str = "",
    time: str = "",
) -> dict[str, object]:
    """Draw a result (and the truth) over its image; of a volume sections along Z and along Y.

    Parameters
    ----------
    image, result : str
        The image, of any format that `segment` reads, and its mask or instances (magenta outlines), of the same size.
    destination : str
        The picture to write, as its ending says: .png, .jpg, .jpeg, .tif or .tiff.
    label : str
        File of the truth (green outlines; white where both agree).
    scene, channel, time : str
        Which image of a file that holds several, as for `segment`.
    """
    if destination.suffix.lower() not in FORMATS:
        raise InputError(f"{destination}: pictures are written as {', '.join(FORMATS)}; give it one of these endings")
    pick, others = Pick(scene, channel, time), [path for path in (result, label) if path]
    if any(destination.exists() and destination.samefile(path) for path in (image, *others) if path.exists()):
        raise InputError(f"{destination}: is one of the files to draw; choose another name for the picture")
    is_stack = _is_stack(result)
    array, spacing = _read(image, pick, is_stack)
    grid, arrays, spacings = array.shape[:2] if _is_rgb(array) else array.shape, [as_numbers(image, array)], [spacing]
    for path in others:
        if _is_nifti(path) and _is_nifti(image):
            array, spacing = _read_onto(path, image), None
        else:
            array, spacing = _read(path, Pick(), is_stack, labels=True)
        if array.shape != grid:
            raise InputError(f"{path}: shape {array.shape}, its image {grid}; give files of one grid")
        arrays.append(as_numbers(path, array))
        refuse_picture(path, arrays[-1])
        spacings.append(spacing)
    known = spacings[0] if _is_nifti(image) else next(filter(None, spacings[::-1]), None)
    write_overlay(destination, *arrays, spacing=known or (1.0, 1.0, 1.0))
    return {"picture": destination}


def read_image(path: Path, *, labels: bool = False) -> np.ndarray:
    """Volume (Z, Y, X), or plane (Y, X) or (Y, X, 3); InputError if a file is neither."""
    image = images.read_image(path, labels=labels)
    if images.is_volume(path):
        return image
    plane = without_alpha(path, image)
    if plane.ndim != 2 and not _is_rgb(plane):
        raise InputError(f"{path}: {plane.dtype} of shape {plane.shape}, expected a gray plane or RGB of 8 bit")
    return plane


def _read(
    path: Path, pick: Pick, is_stack: bool, *, labels: bool = False
) -> tuple[np.ndarray, tuple[float, float, float] | None]:
    """Pixels of a file of any format, and the spacing of a volume where the file gives it."""
    if _is_nifti(path):
        return read_image(path), nifti.read_spacing(path)
    if maker_of(path) is None and (identify(path) != "tiff" or (not is_stack and pick == Pick())):
        return read_image(path, labels=labels), None
    if has_images(path, pick, num_axes=3 if is_stack else 2):
        found = read(path, pick, in_colours=not is_stack)
        z, y, x = found.spacing
        return found.pixels, None if z is None or y is None or x is None else (z, y, x)
    return read_volume(path, labels=labels), read_spacing(path)


def _is_nifti(path: Path) -> bool:
    return not path.is_dir() and images.is_volume(path)


def _is_stack(path: Path) -> bool:
    """Whether a result is a volume."""
    if _is_nifti(path):
        return True
    if maker_of(path) is not None:
        return read(path).axes.startswith("Z")
    try:
        return identify(path) == "tiff" and read_header(path, labels=True).shape[0] > 1
    except InputError:
        return False


def _read_onto(path: Path, image: Path) -> np.ndarray:
    """A volume on the grid of its image."""
    shape, grid = (nifti.open_nifti(one).shape[:3][::-1] for one in (path, image))
    if sorted(shape) != sorted(grid):
        raise InputError(f"{path}: shape {shape}, its image {grid}; give files of one grid")
    return nifti.read_volume_onto(path, image, "the volume")


def _is_rgb(array: np.ndarray) -> bool:
    return array.ndim == 3 and array.shape[-1] == 3 and array.dtype == np.uint8


def _to_gray(image: np.ndarray, low: float = 50, gamma: float = 0.6) -> np.ndarray:
    """Gray values from a percentile up; by default fluorescence, whose background, half of the image, is black."""
    darkest, brightest = np.percentile(image, [low, 99.8])
    scaled = (image - darkest) / max(brightest - darkest, 1e-6)
    return (np.clip(scaled, 0, 1) ** gamma * 255).astype(np.uint8)


def _column(
    picture: np.ndarray, result: np.ndarray, labels: np.ndarray | None, *, axis: int = 0, thickness: int = 1
) -> np.ndarray:
    """A picture (Y, X, 3), and below (axis 0) or beside it (axis 1) the same with outlines."""
    outlined = draw_outlines(picture, (result, RESULT_COLOUR), thickness=thickness)
    if labels is not None:
        outlined = draw_outlines(outlined, (labels, TRUTH_COLOUR), thickness=thickness)
        outlined[find_outlines(labels, thickness=thickness) & find_outlines(result, thickness=thickness)] = 255
    return side_by_side([picture, outlined], GAP_PX, axis=axis)


def _block(
    gray: np.ndarray, result: np.ndarray, labels: np.ndarray | None, *, axis: int, size: Sequence[int]
) -> np.ndarray:
    """Columns of sections across an axis, and of the maximum along it, every picture of ``size`` pixels."""
    objects = result if labels is None else labels
    inside = np.flatnonzero(objects.any(axis=tuple({0, 1, 2} - {axis})))
    first, last = (inside[0], inside[-1]) if inside.size else (0, result.shape[axis] - 1)
    positions = np.unique(np.linspace(first, last, NUM_SLICES + 2)[1:-1].round().astype(int))
    volumes = [gray, result] if labels is None else [gray, result, labels]
    views = [[volume.take(position, axis) for volume in volumes] for position in positions]
    views.append([volume.max(axis) for volume in volumes])
    columns = []
    for view in views:
        plane, *maps = (_resize(part, size) for part in view)
        columns.append(_column(np.stack([plane] * 3, axis=-1), maps[0], maps[1] if len(maps) > 1 else None))
    return side_by_side(columns, GAP_PX)


def _resize(array: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """A plane of another size, from the nearest pixels."""
    rows, columns = (np.arange(new) * old // new for new, old in zip(size, array.shape, strict=True))
    return array[np.ix_(rows, columns)]
