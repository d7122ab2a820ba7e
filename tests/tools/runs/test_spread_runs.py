"""Steps over processes: chains in order, side by side, and after the death of a process."""

import sys
from pathlib import Path

import pytest

from common.errors import InputError
from tools.runs.executor import run_chains
from tools.runs.steps import Step
from tools.spreading import open_cluster

# notes down when it ran; the worker that runs it for the first time is killed
KILLS_WORKER = """
import os, signal, sys
from pathlib import Path
tries = Path(sys.argv[1] + '.tries')
tries.write_text(tries.read_text() + '+' if tries.exists() else '+')
if len(tries.read_text()) == 1:
    os.kill(os.getppid(), signal.SIGKILL)
Path(sys.argv[1]).write_text('done')
"""
WRITES = "import sys; from pathlib import Path; Path(sys.argv[1]).write_text(Path(sys.argv[2]).read_text() + '!')"


def step(name: str, code: str, folder: Path, *reads: str) -> Step:
    command = ["python", "-c", code, name, *reads]
    wanted = tuple(folder / path for path in reads)
    return Step(name, command, folder / "logs" / f"{name}.log", wanted, (folder / name,))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_chains_run_in_order_though_a_worker_is_killed_and_another_chain_fails(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.chdir(tmp_path)
    chains = [
        (step("a", KILLS_WORKER, tmp_path), step("a2", WRITES, tmp_path, "a")),
        (step("b", "raise SystemExit('no memory')", tmp_path), step("b2", WRITES, tmp_path, "b")),
        (step("c", "from pathlib import Path; Path('c').write_text('done')", tmp_path),),
    ]
    with (
        open_cluster(2) as spread,
        pytest.raises(InputError, match=r"'b' failed: no memory .*\(1 of 3 failed"),
    ):
        run_chains(chains, spread)
    assert (tmp_path / "a2").read_text() == "done!" and (tmp_path / "a.tries").read_text() == "++"
    assert (tmp_path / "c").exists() and not (tmp_path / "b2").exists()


def test_here_a_step_that_fails_ends_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chains = [
        (step("b", "raise SystemExit('no memory')", tmp_path),),
        (step("c", "from pathlib import Path; Path('c').write_text('done')", tmp_path),),
    ]
    with pytest.raises(InputError, match="'b' failed: no memory"):
        run_chains(chains)
    assert not (tmp_path / "c").exists()
