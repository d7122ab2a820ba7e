"""Commands ``python -m monai.bundle``, word by word, as a user would type them."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["as_typed", "as_words", "bundle_command", "normal_key", "top_key"]


def as_words(overrides: Mapping[str, object]) -> list[str]:
    """Overrides as they stand on a command line: ``--key value``."""
    return [word for key, value in overrides.items() for word in (f"--{key}", str(value))]


def bundle_command(
    configs: Sequence[Path], overrides: Mapping[str, object], *, workflow: str = "", num_processes: int = 1
) -> list[str]:
    """A run of config files, of which later ones override earlier ones; over several processes by torchrun."""
    torchrun = ("torch.distributed.run", "--standalone", "--nproc_per_node", str(num_processes), "-m")
    files = [path.as_posix() for path in configs]
    listed = files[0] if len(files) == 1 else "[" + ",".join(f"'{file}'" for file in files) + "]"
    launcher = ["python", "-m", *(torchrun if num_processes > 1 else ())]
    return [*launcher, "monai.bundle", "run", *workflow.split(), "--config_file", listed, *as_words(overrides)]


def as_typed(command: Sequence[str]) -> str:
    """A command with quotes where a shell needs them; lists of config files hold single quotes already."""
    return " ".join(f'"{word}"' if "'" in word else shlex.quote(word) for word in command)


def normal_key(key: str) -> str:
    """A key with ``#`` between its parts, however it was written."""
    return key.replace("::", "#")


def top_key(key: str) -> str:
    """The part of a key that is at the top of a config."""
    return normal_key(key).split("#")[0]
