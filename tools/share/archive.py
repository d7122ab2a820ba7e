"""A bundle as one zip file: the same files give the same bytes."""

import json
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from common.errors import InputError
from common.files import replacing, write_text
from tools.checksum import checksum
from tools.share.checks import shared_files

__all__ = ["UNREADABLE", "check_members", "unreadable", "update_model_info", "write_archive", "write_zip"]

TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that zip knows
# damaged, encrypted, packed by a method that is not there, names that no folder takes
UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, zlib.error, zipfile.BadZipFile, OverflowError, struct.error)
MODEL_INFO = "model_info.json"
# of what an archive unpacks to: so much is no harm, and weights hardly get smaller
FREE_BYTES, LARGEST_RATIO, MAX_MEMBERS = 64 << 20, 20, 10_000


def write_archive(bundle: Path, path: Path) -> None:
    """Write a bundle's folder as zip, under its name: in order, without times, owners and caches."""
    root = PurePosixPath(bundle.resolve().name)
    write_zip(path, {str(root / file.relative_to(bundle).as_posix()): file for file in shared_files(bundle)})


def write_zip(path: Path, files: Mapping[str, Path]) -> None:
    """Write a zip file whose bytes depend on names and contents alone."""
    with replacing(path) as partial, zipfile.ZipFile(partial, "w") as archive:
        for name, file in files.items():
            member = zipfile.ZipInfo(name, TIME)
            member.external_attr = 0o644 << 16
            archive.writestr(member, file.read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=6)


def check_members(path: Path) -> None:
    """Refuse an archive that would write outside of the folder it is unpacked in, holds links, or fills the disk.

    InputError if it is no zip file, or has such a member.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except UNREADABLE as error:
        raise unreadable(path, error) from error
    size, unpacked = path.stat().st_size, sum(member.file_size for member in members)
    if unpacked > FREE_BYTES + LARGEST_RATIO * size or len(members) > MAX_MEMBERS:
        raise InputError(
            f"{path}: {size} bytes that would become {unpacked} in {len(members)} files, which no bundle does; do not "
            "unpack it"
        )
    for member in members:
        name = member.filename
        if stat.S_ISLNK(member.external_attr >> 16):
            raise InputError(f"{path}: member {name!r} is a link, which may lead anywhere; do not unpack it")
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if ".." in parts or name.startswith(("/", "\\")) or (parts and parts[0].endswith(":")):
            raise InputError(f"{path}: member {name!r} lies outside of the archive's folder; do not unpack it")


def unreadable(path: Path, error: Exception) -> InputError:
    """The error of an archive that is damaged, or of a kind that Python does not unpack."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return InputError(f"{path}: not a readable zip file ({reason}); download it again")


def update_model_info(folder: Path, archive: Path, url: str) -> Path:
    """Enter ``<name>_v<version>.zip`` into the folder's ``model_info.json``, in the format of MONAI's Model Zoo.

    ``url`` is the address of the folder that the archives will be downloaded from; empty for the bare file name.
    InputError if there is a file that is not of this format.
    """
    path = folder / MODEL_INFO
    try:
        entries = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        entries[archive.stem] = {
            "checksum": checksum(archive, "sha1"),
            "source": f"{url.rstrip('/')}/{archive.name}".lstrip("/"),
        }
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: not a model_info.json of MONAI ({error}); choose another folder") from error
    write_text(path, json.dumps(dict(sorted(entries.items())), indent=4) + "\n")
    return path
