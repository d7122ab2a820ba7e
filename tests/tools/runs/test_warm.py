"""A command that is forked from a warm process runs as it would by itself."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.errors import InputError
from tools.runs import warm
from tools.runs.executor import run_step


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Function that runs a module's source as a command with two arguments, and returns what its log says."""
    monkeypatch.setattr(warm, "PRELOADED", ["tools.runs.warm"])
    monkeypatch.chdir(tmp_path)

    def call(source):
        Path("module_here.py").write_text(source)
        log = tmp_path / "logs/step.log"
        run_step("step", ["python", "-m", "module_here", "--a", "b c"], log, start=warm.WarmProcess)
        return log.read_text()

    return call


def test_arguments_folder_environment_and_both_streams(run, monkeypatch):
    monkeypatch.setenv("SET_LATER", "1")
    lines = "print(sys.argv[1:], os.getcwd(), os.environ['SET_LATER'], __name__); print('second', file=sys.stderr)"
    first, second = sorted(run(f"import os, sys; {lines}").splitlines())
    assert first == f"['--a', 'b c'] {Path.cwd()!s} 1 __main__" and second == "second"


def test_nothing_is_left_from_one_command_to_the_next(run):
    source = "import sys; print(hasattr(sys, 'left')); sys.left = True"
    assert [run(source), run(source)] == ["False\n", "False\n"]


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ("import sys; sys.exit(3)", "failed"),
        (
            "import sys; sys.excepthook = lambda *error: print('short:', error[1]); 1 / 0",
            "failed: short: division",
        ),
        ("import os; os.kill(os.getpid(), 9)", "failed"),
    ],
)
def test_failure_is_told(run, source, match):
    with pytest.raises(InputError, match=match):
        run(source)


def test_command_ends_with_the_process_that_started_it(tmp_path):
    (tmp_path / "slow.py").write_text("import os, time; print(os.getpid(), flush=True); time.sleep(60)")
    code = "from tools.runs import warm; warm.PRELOADED = []\nif __name__ == '__main__':\n"
    code += "    with warm.WarmProcess(['python', '-m', 'slow']) as process: print(next(process.stdout), flush=True)"
    (tmp_path / "starter.py").write_text(code)
    environment = os.environ | {"PYTHONPATH": str(Path(warm.__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "starter.py"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as starter:
        pid = int(starter.stdout.readline())
        starter.send_signal(signal.SIGKILL)
    limit = time.monotonic() + 20
    while Path(f"/proc/{pid}/stat").is_file() and ") Z " not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < limit
        time.sleep(0.05)
