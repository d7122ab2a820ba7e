"""The server as a process: how it starts and how it ends."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from common.errors import InputError
from tests.tools.serve.conftest import free_port, is_up, until
from tools.bundles import find_bundle
from tools.sample.formats import sample_images
from tools.serve.commands import serve, serve_bundles

ROOT = Path(__file__).parents[3]


def test_port_that_is_taken_is_told_before_anything_is_loaded():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"--port {port}: cannot listen on 127.0.0.1 .*choose another port"):
            serve_bundles([ROOT / "bundles" / "no_such_bundle"], host="127.0.0.1", port=port)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "lab"])
def test_other_machines_are_let_in_only_when_that_is_said(host):
    with pytest.raises(InputError, match="give it a --token, or say --insecure"):
        serve("devonet_ndn", host=host)
    with pytest.raises(InputError, match="neither a bundle's name"):  # which is asked next
        serve("none", host=host, insecure=True)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_server_that_is_ended_leaves_nothing(how, tmp_path):
    (image, *_) = sample_images(find_bundle("devonet_ndn"), tmp_path / "samples")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    port = free_port()
    command = [sys.executable, "-m", "tools", "serve", "devonet_ndn", "--port", str(port)]
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=file, stderr=file, env=os.environ | {"TMPDIR": str(temporary)}
        )
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: is_up(url) or process.poll() is not None, 300)
        assert process.poll() is None, log.read_text()
        assert httpx.post(f"{url}/seg_mask", files={"image": image.read_bytes()}, timeout=60).status_code == 200
        process.send_signal(how)
        process.wait(30)
    finally:
        process.kill()
    assert not [path for path in temporary.rglob("*") if path.is_file()], "files are left"
    assert "leaked" not in log.read_text() and "Traceback" not in log.read_text()
