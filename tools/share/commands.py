"""The verbs ``share`` and ``verify``."""

import os
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

from common.errors import InputError
from common.files import replacing
from tools.bundles import METADATA, all_bundles, find_bundle, read_metadata
from tools.command_line import as_verb
from tools.share.archive import UNREADABLE, check_members, unreadable, update_model_info, write_archive
from tools.share.bioimage import check_bioimage, write_package
from tools.share.checks import check_bundle
from tools.share.hub import check_hub, push
from tools.temporary import temporary_folder

__all__ = ["share", "verify"]


@as_verb(destination=Path)
def share(bundle: str, destination: Path, *, url: str = "", hub: str = "", bioimage: bool = False) -> dict[str, object]:
    """Write <name>_v<version>.zip and model_info.json, from which monai.bundle downloads; the bundle is checked first.

    The code in a bundle's configs and package runs with your rights: check a bundle of unknown origin first.

    Parameters
    ----------
    bundle : str
        A name in bundles/, a bundle's folder, or all.
    destination : str
        Folder to write to. Upload its zip files to a release of OWNER/REPO with the tag TAG, and model_info.json as
        models/model_info.json of that tag. Then download takes --source github --repo OWNER/REPO/TAG; without
        model_info.json it needs --version, too.
    url : str
        Address at which the folder will be served, for model_info.json and for the command that is printed.
    hub : str
        Also upload to the Hugging Face Hub: owner/name, or an owner for owner/<bundle>. The token is read from
        HF_TOKEN; a new repository is private.
    bioimage : bool
        Also write <name>-<version>.bioimageio.zip: the traced network as a package of BioImage.IO.
    """
    folders = all_bundles() if bundle == "all" else [find_bundle(bundle)]
    if any(destination.resolve().is_relative_to(folder.resolve()) for folder in folders):
        raise InputError(f"{destination}: lies in the bundle, whose next zip file would hold it; choose another folder")
    nearest = next(place for place in (destination, *destination.absolute().parents) if place.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):  # said before the bundles are checked, which takes long
        raise InputError(f"{destination}: cannot be written; choose another folder")
    repositories = _repositories(hub, folders)
    if bioimage:
        check_bioimage()
    for folder in folders:
        problems = [f"{check.name}: {problem}" for check in check_bundle(folder) for problem in check.problems]
        if problems:
            raise InputError(f"{folder}: not shared: {'; '.join(problems)}")
    with temporary_folder("share") as staging:
        packages = [_package(folder, staging) for folder in folders] if bioimage else []
        written = _write(folders, packages, destination, url)
    for folder, repository in zip(folders, repositories, strict=False):
        written[repository] = push(folder, repository)
    return written


def _package(bundle: Path, folder: Path) -> Path:
    """A bundle's BioImage.IO package; ``_v`` in its name would make MONAI take it for a version of the bundle."""
    path = folder / f"{bundle.resolve().name}-{read_metadata(bundle)['version']}.bioimageio.zip"
    write_package(bundle, path)
    return path


def _write(bundles: Sequence[Path], packages: Sequence[Path], target: Path, url: str) -> dict[str, object]:
    """What `share` writes into its folder, and their sizes."""
    written: dict[str, object] = {}
    try:
        target.mkdir(parents=True, exist_ok=True)
        for bundle in bundles:
            archive = target / f"{bundle.resolve().name}_v{read_metadata(bundle)['version']}.zip"
            write_archive(bundle, archive)
            written[archive.name] = f"{archive.stat().st_size / 2**20:.1f} MiB"
            written["model info"] = update_model_info(target, archive, url)
            if url:
                source = f"--url {url.rstrip('/')}/{archive.name}"
                words = f"python -m monai.bundle download --name {bundle.resolve().name} {source} --bundle_dir FOLDER"
                written[f"download {bundle.resolve().name}"] = words
        for package in packages:
            with replacing(target / package.name) as partial:
                shutil.copyfile(package, partial)
            written[package.name] = f"{package.stat().st_size / 2**20:.1f} MiB"
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror}); choose another folder") from error
    return written


def _repositories(hub: str, folders: Sequence[Path]) -> list[str]:
    """Where on the Hub each bundle goes; empty if nowhere."""
    if not hub:
        return []
    if "/" in hub and len(folders) > 1:
        raise InputError(f"--hub {hub}: one repository for {len(folders)} bundles; give the owner alone")
    names = [hub if "/" in hub else f"{hub}/{folder.resolve().name}" for folder in folders]
    for name in names:
        check_hub(name)
    return names


@as_verb()
def verify(bundle: str) -> None:
    """Check a bundle as share does, one line for each check.

    The code in a bundle's configs and package runs with your rights: check a bundle of unknown origin first.

    Parameters
    ----------
    bundle : str
        A name in bundles/, a bundle's folder, or its zip file.
    """
    if not bundle.endswith(".zip"):
        _report(find_bundle(bundle))
        return
    check_members(Path(bundle))
    with temporary_folder("verify") as folder, zipfile.ZipFile(bundle) as archive:
        try:
            archive.extractall(folder)
        except UNREADABLE as error:
            raise unreadable(Path(bundle), error) from error
        found = sorted(path.parents[1] for path in folder.glob(f"*/{METADATA}"))
        if len(found) != 1:
            raise InputError(f"{bundle}: {len(found)} bundles in it, expected one folder with {METADATA}")
        _report(found[0])


def _report(bundle: Path) -> None:
    checks = check_bundle(bundle)
    for check in checks:
        print(f"NO  {check.name}: {'; '.join(check.problems)}" if check.problems else f"ok  {check.name}")
    failed = [check.name for check in checks if check.problems]
    if failed:
        raise InputError(f"{bundle.name}: {len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")
