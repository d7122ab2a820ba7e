"""The verb ``space``."""

import shutil
from pathlib import Path

from common.errors import InputError
from tools.bundles import WEIGHTS, find_bundle, read_metadata
from tools.command_line import as_verb
from tools.imports import find_modules
from tools.sample.formats import sample_images
from tools.share.checks import copy_shared, shared_files
from tools.space.card import space_card
from tools.space.requirements import choose_pins, find_packages, read_pins, requirements_text
from tools.temporary import temporary_folder
from tools.toolbox import read_toolbox

__all__ = ["space", "write_space"]

ROOT = Path(__file__).resolve().parents[2]
SERVE = ROOT / "tools" / "serve"
DOCKERFILE = "Dockerfile"
APP = Path(__file__).with_name("app.py.txt")  # no .py: it imports nothing here


@as_verb(destination=Path)
def space(bundle: str, destination: Path) -> dict[str, object]:
    """Write a folder that serves one bundle: push it to a Hugging Face Space, run it, or build a container from it.

    Parameters
    ----------
    bundle : str
        A name in bundles/, or a bundle's folder.
    destination : str
        Folder to write; it must not exist, or be empty.
    """
    write_space(find_bundle(bundle), destination)
    files = [path for path in destination.rglob("*") if path.is_file()]
    return {
        "folder": destination,
        "files": len(files),
        "size": f"{sum(path.stat().st_size for path in files) / 2**20:.1f} MiB",
        "next": f"cd {destination} && pip install -r requirements.txt && python app.py",
    }


def write_space(bundle: Path, target: Path) -> None:
    """Write a Space of a bundle to a folder that does not exist, or is empty: whole, or not at all.

    InputError if there is something there, or the bundle has no weights.
    """
    bundle = bundle.resolve()
    if not (bundle / WEIGHTS).is_file():
        raise InputError(f"{bundle}: no {WEIGHTS}; train it, or download it as large_files.yml or the card says")
    try:
        if target.is_file() or (target.is_dir() and any(target.iterdir())):
            raise InputError(f"{target}: not empty; choose another folder or remove it")
        parent = target.resolve().parent
        parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder("space", beside=parent / target.name) as made:
            folder = made / "space"  # of its own: what mkdtemp makes, only its owner may read
            folder.mkdir()
            _fill(bundle, folder)
            folder.replace(target)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror}); choose another folder") from error


def _fill(bundle: Path, folder: Path) -> None:
    name, metadata = bundle.name, read_metadata(bundle)
    copy_shared(bundle, folder / "bundles" / name)
    modules = find_modules(SERVE.glob("*.py"), ROOT)
    pages = [path for path in shared_files(SERVE) if path.suffix != ".py"]
    for file in [*modules, *(path for path in pages if not path.name.startswith(DOCKERFILE))]:
        _copy(file, folder / file.relative_to(ROOT))
    samples = sample_images(bundle, folder / "samples" / name)
    packages = find_packages(modules, ROOT) | set(metadata["required_packages_version"])
    packages |= set(read_toolbox(bundle).optional_packages)
    pins = choose_pins(packages, read_pins((ROOT / "requirements.txt").read_text(encoding="utf-8")))
    (folder / "requirements.txt").write_text(requirements_text(pins), encoding="utf-8")
    card = space_card(name, metadata, samples[0].name)
    (folder / "README.md").write_text(card, encoding="utf-8")
    _copy(APP, folder / "app.py")
    _copy(SERVE / DOCKERFILE, folder / DOCKERFILE)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
