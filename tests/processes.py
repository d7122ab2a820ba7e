"""Commands of their own processes, forked from one that has imported MONAI, which takes longer than all else."""

import socket
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path

import pytest

from tools.runs.warm import WarmProcess

ROOT = Path(__file__).parents[1]


def start_module(module: str, *arguments: object, cwd: Path, **environment: str) -> WarmProcess:
    """Start ``python -m MODULE ...`` in a process that finds this repository's tools, but no bundle by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        patch.setattr(sys, "path", [path for path in sys.path if not Path(path).is_relative_to(ROOT / "bundles")])
        for name, value in environment.items():
            patch.setenv(name, value)
        return WarmProcess(["python", "-m", module, *map(str, arguments)])


def run_module(module: str, *arguments: object, cwd: Path, **environment: str) -> tuple[int, str]:
    """Run ``python -m MODULE ...`` to its end: its exit code, and what it printed on either stream."""
    with start_module(module, *arguments, cwd=cwd, **environment) as process:
        output = process.stdout.read()
    return process.returncode, output


def finish(process: WarmProcess) -> str:
    """What a process prints until its end, after a check that it went well."""
    with process:
        output = process.stdout.read()
    assert process.returncode == 0, output[-5000:]
    return output


def run_on_two(module: str, *arguments: object, cwd: Path) -> list[str]:
    """Run a command on two processes, with the environment that ``torchrun`` makes: what each of them printed."""
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    with ThreadPoolExecutor() as pool, ExitStack() as ended_with_the_first_error:
        ranks = []
        for rank in ("0", "1"):
            ranks.append(start_module(module, *arguments, cwd=cwd, RANK=rank, LOCAL_RANK=rank, **common))
            ended_with_the_first_error.push(ranks[-1].__exit__)
        return [done.result() for done in as_completed([pool.submit(finish, rank) for rank in ranks])]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
