"""Every bundle on its images: `segment` against the bundle's own loop, whose network is loaded once, too.

ours: `segment` of one image after the other, from its file to all results under their names. other: the evaluator of
inference.json over a folder with the same images, which is what PyTorch, MONAI and ignite take, and so the limit.
Memory and the time of one image: a fresh process each, as a user starts it: `tools segment`, and `monai.bundle run`.
"""

import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bundles import command, open_loop, repeated, testing_data, tools_command
from benchmarks.harness import Row, run_measured, speed, take_turns
from tools.bundles import all_bundles, find_bundle
from tools.sample.formats import sample_images
from tools.segment.description import Description, describe_bundle
from tools.segment.files import segment_file
from tools.segment.loaded import LoadedBundle


def compare(
    folder: Path, *, bundles: str = "", dataset_dir: str = "", num_images: int = 6, rounds: int = 3
) -> Iterator[str | list[Row]]:
    """Compare on small samples, or on images of your own.

    Options: bundles, names with commas between them, all without it; dataset_dir, whose images under testing are taken
    in the place of samples; num_images, of a round; rounds.
    """
    for name in bundles.split(",") if bundles else [path.name for path in all_bundles()]:
        here, served = folder / name, describe_bundle(find_bundle(name))
        if dataset_dir:
            items, about = testing_data(name, dataset_dir, here, num_images)
            found = [Path(item["image"]) for item in items]
            yield about
        else:
            found = sample_images(served.root, here / "samples")
        images = repeated(found, num_images, here / "images")
        yield [*_loops(served, images, here, rounds), *_processes(served, found[:1], here)]


def _loops(served: Description, images: list[Path], folder: Path, rounds: int) -> list[Row]:
    loaded, evaluator = LoadedBundle(served), open_loop(served, folder / "images", folder / "loop")
    in_network: list[float] = []
    loaded.network.register_forward_pre_hook(lambda *_: in_network.append(-time.perf_counter()))
    loaded.network.register_forward_hook(lambda *_: in_network.append(time.perf_counter()))
    (folder / "ours").mkdir()
    ways = {
        "ours": lambda images: [segment_file(loaded, image, folder / "ours", {}) for image in images],
        "loop": lambda _: evaluator.run(),
    }
    seconds, _ = take_turns(ways, [images], rounds=rounds, desc=served.name)
    each, limit = (seconds[way] / len(images) for way in ways)
    rows = [speed(f"{served.name}: time per image, n = {len(images)}", each, limit, 0.95)]
    if in_network:  # the first round, which the clock leaves out, is in it
        share = sum(in_network) / (1 + rounds) / len(images) / each.mean()
        rows.append(Row(f"{served.name}: share of it in the network", f"{share:.0%}"))
    return rows


def _processes(served: Description, images: list[Path], folder: Path) -> list[Row]:
    repeated(images, 1, folder / "one")
    ours = run_measured(tools_command("segment", served.name, folder / "one", folder / "one_ours"))
    given = {"dataset_dir": folder / "one", "output_dir": folder / "one_other", **served.overrides}
    other = run_measured(command(served.name, served.config.removesuffix(".json"), **given))
    memory = [f"{peak / 2**30:.2f} GiB" for _, peak, _ in (ours, other)]
    return [
        speed(f"{served.name}: one image with start", ours[0], other[0]),
        Row(f"{served.name}: peak memory", *memory, f"{ours[1] / other[1]:.2f} x"),
    ]
