"""Programs that open MONAI bundles, each started as it is, on the bundles as they are.

``.ci/consumers`` runs this. Every program gets an environment of its own over the present one, so that torch and MONAI
are shared and what it pins stays there. The outcome of each goes into the table of docs/consumers.md, with its version.
``.ci/consumers "MONAI Label" devonet_nsn`` tries one program with one bundle, and leaves the other rows as they are.
"""

import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from sysconfig import get_path

from tools.bundles import all_bundles, find_bundle
from tools.command_line import run as run_tools
from tools.toolbox import read_toolbox

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "consumers.md"
START, END = "<!-- consumers: written by .ci/consumers -->", "<!-- /consumers -->"


@dataclass(frozen=True)
class Consumer:
    """A program, what it needs, and the script that starts it on a bundle and ends with an error if it fails.

    Attributes
    ----------
    name : str
    programs : tuple of str
        What is tried, with its version.
    script : str
        Beside this file.
    bundles : tuple of str
    installs : tuple of tuple of str
        Arguments of pip install, of one call after another; ``programs`` if not given.
    """

    name: str
    programs: tuple[str, ...]
    script: str
    bundles: tuple[str, ...]
    installs: tuple[tuple[str, ...], ...] = ()


ALL = tuple(folder.name for folder in all_bundles())
CONSUMERS = [
    Consumer(
        "NVFlare simulator, two sites, two rounds",
        ("nvflare==2.7.3", "monai-nvflare==0.4.0"),
        "nvflare_simulation.py",
        ("devonet_nsn", "crypt_unet"),
    ),
    Consumer(
        "MONAI Label server, app monaibundle: /info, /infer, /train, /infer",
        ("monailabel==0.8.5",),
        "monai_label.py",
        ALL,
        (("--no-deps", "-r", str(Path(__file__).with_name("monai_label.txt"))),),
    ),
    Consumer(
        "BioImage.IO: package, test, predict",
        ("bioimageio.core==0.11.0", "bioimageio.spec==0.5.12.0"),
        "bioimage.py",
        ALL,
    ),
    Consumer(
        "MONAI Deploy app, MonaiBundleInferenceOperator",
        ("monai-deploy-app-sdk==4.0.0",),
        "monai_deploy.py",
        ALL,
        # its part of the package monai is found only beside the rest of it
        (
            ("monai-deploy-app-sdk==4.0.0", "pydicom", "highdicom"),
            ("--ignore-installed", "--no-deps", f"monai=={version('monai')}"),
        ),
    ),
    Consumer(
        "napari, plugin of this repository, in Xvfb",
        ("napari==0.9.2",),
        "napari_viewer.py",
        ALL,
        (("napari==0.9.2", "PySide6"),),
    ),
]


def make_environment(folder: Path, installs: Sequence[Sequence[str]]) -> Path:
    """Python of an environment over the present one."""
    venv.create(folder, with_pip=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "beneath.pth").write_text(get_path("purelib") + "\n")
    python = folder / "bin/python"
    for arguments in installs:
        subprocess.run([python, "-m", "pip", "install", "--quiet", *arguments], check=True)
    return python


def make_dataset(bundle: str, folder: Path, seed: int) -> Path:
    """A synthetic sample for the bundle, converted."""
    from tools.__main__ import VERBS

    source = read_toolbox(find_bundle(bundle)).source
    for words in (
        ["sample", source.format, str(folder / "source"), "--seed", str(seed)],
        ["convert", source.format, str(folder / "source"), str(folder / "dataset"), *source.convert],
    ):
        if run_tools(VERBS, words):
            raise RuntimeError(f"python -m tools {' '.join(words)} failed")
    return folder / "dataset"


def outcome(consumer: Consumer, python: Path, bundle: str, work: Path) -> str:
    """What the program said of a bundle in its last line."""
    work.mkdir(parents=True)
    folder, toolbox = find_bundle(bundle), read_toolbox(find_bundle(bundle))
    first, second = (make_dataset(bundle, work / f"data_{seed}", seed) for seed in (1, 2))
    overrides = json.dumps({**toolbox.offline, **toolbox.brief})
    script = Path(__file__).parent / consumer.script
    done = subprocess.run(
        [python, script, folder, first, second, work, overrides], capture_output=True, text=True, cwd=work
    )
    # a script says last what came out; what libraries warn of goes the other way
    told = done.stdout if done.returncode == 0 else done.stdout + done.stderr
    lines = told.strip().splitlines() or ["no output"]
    if done.returncode:
        print(told, file=sys.stderr)  # a warning may come after the reason
    print(f"{consumer.name}, {bundle}: {'ok' if done.returncode == 0 else 'FAILED'}: {lines[-1]}", flush=True)
    return lines[-1] if done.returncode == 0 else f"fails: {lines[-1]}"


def write_rows(rows: Sequence[Sequence[str]]) -> None:
    """Put rows into the table of the document, in the place of those of the same program and bundle."""
    head, rest = TABLE.read_text(encoding="utf-8").split(START)
    table, tail = rest.split(END)
    lines = [line.strip("| ").split(" | ") for line in table.strip().splitlines()]
    known = {(row[0], row[2]): list(row) for row in [*lines[2:], *rows]}
    order = [(consumer.name, bundle) for consumer in CONSUMERS for bundle in consumer.bundles]
    kept = [known[place] for place in order if place in known]
    text = "\n".join("| " + " | ".join(line) + " |" for line in [*lines[:2], *kept])
    TABLE.write_text(f"{head}{START}\n\n{text}\n\n{END}{tail}", encoding="utf-8")


def main(program: str = "", bundle: str = "") -> None:
    """Try the programs that begin with a word, with one bundle; without words all of them."""
    meant = [one for one in CONSUMERS if one.name.startswith(program) and (not bundle or bundle in one.bundles)]
    if not meant:
        known = "; ".join(one.name for one in CONSUMERS)
        sys.exit(f"no program begins with {program!r} and takes {bundle or 'a bundle'}; there are: {known}")
    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        for number, consumer in enumerate(meant):
            names = [name for name in consumer.bundles if bundle in ("", name)]
            python = make_environment(
                Path(temporary, f"environment_{number}"), consumer.installs or [consumer.programs]
            )
            for name in names:
                said = outcome(consumer, python, name, Path(temporary, f"work_{number}", name))
                failed |= said.startswith("fails")
                write_rows([[consumer.name, ", ".join(consumer.programs), name, said.replace("|", "/")]])
    print(f"MONAI {version('monai')}, torch {version('torch')}: {TABLE}")
    sys.exit(failed)


if __name__ == "__main__":
    main(*sys.argv[1:])
