"""The server as a process: how it starts and how it ends."""

import signal
import socket
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from common.errors import InputError
from tests.tools.serve.conftest import server_process, until
from tools.bundles import find_bundle
from tools.sample.formats import sample_images
from tools.serve.commands import _bind, serve, serve_bundles
from tools.temporary import temporary_folder

ROOT = Path(__file__).parents[3]
BEGUN = (
    b"POST /seg_mask HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    b"Content-Length: 1000\r\n\r\n--b\r\n"
)


def test_port_that_is_taken_is_told_before_anything_is_loaded():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"--port {port}: cannot listen on 127.0.0.1 .*choose another port"):
            serve_bundles([ROOT / "bundles" / "no_such_bundle"], host="127.0.0.1", port=port)
    with pytest.raises(InputError, match=r"--port 70000: cannot listen on 127.0.0.1 \(it is above 65535\)"):
        serve_bundles([ROOT / "bundles" / "no_such_bundle"], host="127.0.0.1", port=70000)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "lab"])
def test_other_machines_are_let_in_only_when_that_is_said(host):
    with pytest.raises(InputError, match="give it a --token, or say --insecure"):
        serve("devonet_ndn", host=host)
    with pytest.raises(InputError, match="neither a bundle's name"):  # which is asked next
        serve("none", host=host, insecure=True)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux ends such connections")
def test_who_takes_nothing_of_an_answer_is_given_up(monkeypatch):
    monkeypatch.setattr("tools.serve.commands.UNREAD_MS", 500)
    with _bind("127.0.0.1", 0) as listening:
        listening.listen()
        with socket.create_connection(listening.getsockname()), listening.accept()[0] as connection:
            connection.settimeout(20)
            with pytest.raises(OSError, match="Errno"):  # not the timeout of this test, which has no number
                while True:
                    connection.sendall(bytes(1 << 20))


@pytest.mark.slow
@pytest.mark.parametrize("how", [pytest.param(signal.SIGTERM, marks=pytest.mark.thorough), signal.SIGINT])
def test_server_that_is_ended_leaves_nothing(how, tmp_path):
    (image, *_) = sample_images(find_bundle("devonet_ndn"), tmp_path / "samples")
    with server_process(tmp_path, "devonet_ndn") as (url, process):
        assert httpx.post(f"{url}/seg_mask", files={"image": image.read_bytes()}, timeout=60).status_code == 200
        process.send_signal(how)
        process.wait(30)
    assert not [path for path in (tmp_path / "tmp").rglob("*") if path.is_file()], "files are left"
    assert "leaked" not in (tmp_path / "log").read_text() and "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["-n", "-Sn"], ids=["few files", "more where it asks"])
def test_idle_connections_lock_nobody_out(limit, tmp_path):
    (image, *_) = sample_images(find_bundle("devonet_ndn"), tmp_path / "samples")
    under = ("bash", "-c", f'ulimit {limit} 110 && exec "$0" "$@"')
    with server_process(tmp_path, "devonet_ndn", under=under) as (url, process), ExitStack() as idle:
        host, port = url.removeprefix("http://").split(":")
        for _ in range(130):
            idle.enter_context(socket.create_connection((host, int(port)), 20))
        for _ in range(5):
            answer = httpx.post(f"{url}/seg_mask", files={"image": image.read_bytes()}, timeout=20)
            assert answer.status_code == 200
        assert process.num_fds() < 110 if limit == "-n" else process.num_fds() > 130
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.slow
def test_server_ends_in_time_whatever_runs_and_what_a_killed_one_left_is_removed(tmp_path, monkeypatch):
    (image, *_) = sample_images(find_bundle("devonet_ndn"), tmp_path / "samples")
    with server_process(tmp_path, "devonet_ndn", "--grace_s", "3") as (url, process), ThreadPoolExecutor() as pool:
        (worker,) = [child for child in process.children() if "spawn_main" in str(child.cmdline())]
        worker.suspend()
        waiting = pool.submit(httpx.post, f"{url}/seg_mask", files={"image": image.read_bytes()}, timeout=60)
        until(lambda: httpx.get(f"{url}/health").json()["queue"]["running"] == 1)
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), 20) as upload:
            upload.sendall(BEGUN)
            until(lambda: len([*(tmp_path / "tmp").rglob("request-*")]) == 2)
            process.send_signal(signal.SIGTERM)
            process.wait(5)
            assert b"the server is ending" in upload.recv(1 << 16)
        until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
        assert waiting.result().status_code == 503 and "the server is ending" in waiting.result().text
    assert "Traceback" not in (tmp_path / "log").read_text()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    with temporary_folder("serve") as folder:
        assert list((tmp_path / "tmp").glob("*serve*")) == [folder]
