"""The page of what everything takes: comparisons in turn, each in a process of its own, with their tables."""

import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from common.memory import total_memory

__all__ = ["PAGE", "write_page"]

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
PACKAGES = (
    "torch",
    "monai",
    "numpy",
    "tifffile",
    "nibabel",
    "zarr",
    "onnxruntime",
    "openvino",
    "dask",
    "py-ctcmetrics",
)
# sizes with which all take less than 20 minutes on two cores that have nothing else to do
PLAN = {
    "start": "--rounds 5",
    "images": "--num_images 4 --rounds 3",
    "reading": "--rounds 7",
    "ctc": "--shrink 2 --rounds 3",
    "serve": "--num_images 20 --clients 4 --rounds 3",
    "cost": "--images 10,20,40",
    "memory": "--slices 32 --size 512 --slide_size 5000 --memory 0.2",
    "nsn": "--num_volumes 2",
    "engines": "--bundles devonet_nsn,devonet_ndn,swinunet_livecell,crypt_unet,maskrcnn_2p5d --rounds 3",
    "scale": "--slides 1000,2000,4000 --slices 8,16,32",
}
QUICK = {
    "start": "--rounds 1",
    "images": "--num_images 2 --rounds 1 --bundles devonet_nsn,swinunet_livecell",
    "reading": "--rounds 3",
    "ctc": "--shrink 4 --rounds 1",
    "serve": "--num_images 6 --clients 2 --rounds 1",
    "cost": "--images 4,8",
    "nsn": "--num_volumes 1",
    "engines": "--bundles devonet_nsn --rounds 1",
    "scale": "--slides 600,1200 --slices 4,8 --size 128 --jobs 10",
}
TOLD_S = 60.0  # how often it is told that a comparison still runs, where the line cannot be renewed
ABOUT = """# What it takes

Written by `{command}` on {day}, on {machine}. Versions: {versions}.

Ratios are of ways that take turns in one run: their medians, and what the middle 90 % of the turns gave. Times hold for
this machine; the load above each table says whether it did anything else.
"""


def write_page(quick: bool, output: Path, only: Sequence[str] = ()) -> int:
    """Run the comparisons of docs/performance.md one after the other, tell of each how long it runs, write the page."""
    plan = {name: words for name, words in (QUICK if quick else PLAN).items() if not only or name in only}
    if not plan:
        print(f"error: --only {','.join(only)}: choose of {', '.join(PLAN)}", file=sys.stderr)
        return 1
    words = ["python", "-m", "benchmarks", "all", *["--quick"] * quick]
    words += ["--only", ",".join(only)] if only else []
    parts = [ABOUT.format(command=shlex.join(words), day=date.today(), machine=_machine(), versions=_versions())]
    failed = 0
    for number, (name, options) in enumerate(plan.items(), start=1):
        text, error = _run(name, options.split(), f"[{number}/{len(plan)}] {name}")
        failed += bool(error) and not error.startswith("not installed")
        parts.append(_section(name, options, text, error))
    output.write_text("\n".join(parts), encoding="utf-8")
    print(f"written: {output}", file=sys.stderr)
    return min(failed, 1)


def _run(name: str, options: Sequence[str], title: str) -> tuple[str, str]:
    """Tables of a comparison, and why it ended early; its own progress goes to nobody unless it fails."""
    command = [sys.executable, "-m", "benchmarks", name, *options, "--markdown"]
    started = told = time.monotonic()
    with tempfile.TemporaryFile("w+") as tables, tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=tables, stderr=log)
        try:
            while process.poll() is None:
                time.sleep(0.5)
                now = time.monotonic()
                if sys.stderr.isatty() or now - told > TOLD_S:
                    _tell(f"{title}: {now - started:.0f} s", "")
                    told = now
        finally:
            process.kill()
        tables.seek(0)
        log.seek(0)
        said = [line for line in log.read().splitlines() if line.strip()]
        error = "" if process.returncode == 0 else (said or ["ended without a word"])[-1].removeprefix("error: ")
        _tell(f"{title}: {time.monotonic() - started:.0f} s{', ' + error if error else ''}", "\n")
        return tables.read(), error


def _tell(line: str, end: str) -> None:
    """A line, renewed in its place on a terminal."""
    is_terminal = sys.stderr.isatty()
    print(f"\r{line}" if is_terminal else line, end=end if is_terminal else "\n", file=sys.stderr, flush=True)


def _section(name: str, options: str, text: str, error: str) -> str:
    source = (ROOT / "benchmarks" / f"{name}.py").read_text(encoding="utf-8")
    title = source.removeprefix('"""').partition("\n")[0].rstrip(".")
    command = f"`python -m benchmarks {name} {options}`".replace(" `", "`")
    lines = [f"## {title}", command, text.strip(), *([f"Not measured to the end: {error}"] if error else [])]
    return "\n\n".join(line for line in lines if line) + "\n"


def _machine() -> str:
    """Processor, cores, memory, graphics."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = total_memory() / 2**30
    gpu = Path("/proc/driver/nvidia/version").exists()
    return f"{_processor()}, {cores} cores, {memory:.0f} GiB, {'with' if gpu else 'no'} GPU, {platform.system()}"


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def _versions() -> str:
    told: Mapping[str, str] = {"Python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}
    return ", ".join(f"{name} {found}" for name, found in told.items())


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
