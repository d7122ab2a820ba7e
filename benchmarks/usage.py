"""What a bundle takes from a user: time of the first image, with the start, and of each further one, and peak memory.

Each is one `python -m tools segment` over a folder: with one image, and with several, of which the further ones are
the same. All files of the results are written.
"""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.bundles import repeated, tools_command
from benchmarks.harness import as_time, run_measured
from tools.bundles import all_bundles, find_bundle
from tools.sample.formats import sample_images


def compare(folder: Path, *, images: str = "", count: int = 4) -> Iterator[list[dict[str, str]]]:
    """Measure on images of your own.

    Options: images, BUNDLE=FILE with commas between them, without it a synthetic sample for every bundle; count, of the
    images that the further ones are measured on, at least 2.
    """
    if count < 2:
        raise ValueError(f"--count {count}: the time of a further image takes at least 2")
    given = dict(pair.partition("=")[::2] for pair in images.split(",")) if images else {}
    for name, path in given.items():
        if not Path(path).exists():
            raise ValueError(f"--images {name}={path}: no such file")
    yield [_row(name, Path(path), count, folder / name) for name, path in (given or _samples(folder)).items()]


def _samples(folder: Path) -> dict[str, str]:
    return {
        path.name: str(sample_images(find_bundle(path.name), folder / "samples" / path.name)[0])
        for path in all_bundles()
    }


def _row(name: str, image: Path, count: int, folder: Path) -> dict[str, str]:
    """One or several images in a folder, each time as a user starts it."""
    first, all_of_them = (
        run_measured(tools_command("segment", name, folder / f"images_{number}", folder / f"results_{number}"))
        for number in (1, count)
        if repeated([image], number, folder / f"images_{number}")
    )
    return {
        "bundle": name,
        "image": image.name,
        "the first image, with the start": as_time(first.seconds),
        "each further one": as_time((all_of_them.seconds - first.seconds) / (count - 1)),
        "peak memory": f"{all_of_them.peak / 2**30:.2f} GiB",
    }
