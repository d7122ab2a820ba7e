"""What clients do that mean no good, or are in a hurry."""

import json
import select
import socket
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from tests.tools.serve.conftest import THRESHOLD, noise, png, running, until
from tests.tools.serve.test_app import decoded
from tools.serve.failures import Failure
from tools.serve.jobs import Limits


def bomb(side: int) -> bytes:
    """A PNG of zeros that is small until it is decoded."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(side + 1)) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_zip_bomb_is_refused_before_it_is_decoded(server):
    small = bomb(8000)
    assert len(small) < 100_000
    answer = server.post(small)
    assert answer.status_code == 413 and "takes about 1038 MiB, expected at most 20 MiB" in answer.json()["message"]
    assert not server.worker.jobs


@pytest.mark.parametrize("path", ["a" * 5000, "a/" * 3000, "a\0", "\ud800", ""])
def test_paths_that_are_none_are_refused(tmp_path, path):
    with running(Limits(timeout_s=20), tmp_path) as server:
        content = json.dumps({"image_path": path})
        answer = httpx.post(f"{server.url}/seg_mask", content=content, headers={"content-type": "application/json"})
    assert answer.status_code in (403, 404) and answer.json()["code"] == answer.status_code


def test_header_that_claims_more_than_pillow_opens(server):
    assert server.post(bomb(20000)).status_code == 413


def test_noise_as_tiff():
    noise_bytes = np.random.default_rng(0).bytes(100 << 20)
    with running(Limits(timeout_s=60)) as server:
        assert server.post(noise_bytes, name="a.tif").status_code == 415
        assert server.post(b"II*\0" + noise_bytes, name="a.tif").status_code == 415
        assert server.post(png(noise(0))).status_code == 200


@pytest.mark.parametrize("is_announced", [True, False])
def test_upload_over_the_limit(server, is_announced):
    body = b"--b\r\nContent-Disposition: form-data; name=image; filename=a\r\n\r\n" + bytes(8 << 20)
    content = body if is_announced else iter([body[start : start + 65536] for start in range(0, len(body), 65536)])
    headers = {"content-type": "multipart/form-data; boundary=b"}
    try:
        answer = httpx.post(f"{server.url}/seg_mask", content=content, headers=headers)
    except (httpx.WriteError, httpx.ReadError):  # the server hung up while the rest was being sent
        pass
    else:
        assert answer.status_code == 413 and answer.json()["code"] == 413
    assert server.post(png(noise(0))).status_code == 200


@pytest.mark.parametrize(("spare", "code"), [(0, 200), (-1, 413)])
def test_upload_of_the_very_limit(spare, code):
    content = png(noise(0))
    with running(Limits(max_upload_bytes=len(content) + spare, timeout_s=20)) as server:
        assert server.post(content).status_code == code


def _begin(server, body: bytes, length: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port))
    head = (
        "POST /seg_mask HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        f"Content-Length: {length}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    return connection


def _form(content: bytes, name: bytes = b"a.png") -> bytes:
    return (
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="' + name + b'"\r\n\r\n' + content
        + b"\r\n--b--\r\n"
    )  # fmt: skip


def _count(server, code: int) -> float:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    return sum(
        float(line.split()[-1]) for line in lines if line.startswith("seg_mask_requests_total") and f'"{code}"' in line
    )


def test_truncated_upload_is_forgotten(server):
    body = _form(png(noise(0)))
    _begin(server, body[: len(body) // 2], len(body)).close()
    until(lambda: _count(server, 499) == 1)
    assert not server.worker.jobs and server.post(png(noise(0))).status_code == 200


def test_slow_uploads_block_nobody_and_are_ended(server, monkeypatch):
    body = _form(png(noise(0)))
    slow = [_begin(server, body[:100], len(body)) for _ in range(20)]
    assert server.post(png(noise(0))).status_code == 200
    for connection in slow:
        connection.close()
    monkeypatch.setattr("tools.serve.requests.STALL_S", 0.3)
    with _begin(server, body[:100], len(body)) as connection:
        connection.settimeout(20)
        assert b" 408 " in connection.recv(1 << 16)


def test_upload_that_hardly_comes_is_ended(server, monkeypatch):
    monkeypatch.setattr("tools.serve.requests.STALL_S", 0.5)
    with _begin(server, b"--b\r\n", 1 << 20) as connection:
        until(lambda: connection.send(b"-") and answered([connection]))
        assert b" 408 " in connection.recv(1 << 16)


def answered(connections: list[socket.socket]) -> list[socket.socket]:
    return select.select(connections, [], [], 0)[0]


def test_slow_uploads_in_all_places_give_way(server, monkeypatch):
    monkeypatch.setattr("tools.serve.endpoint.MAX_UPLOADS", 2)
    monkeypatch.setattr("tools.serve.endpoint.SLOW_BYTES_PER_S", 0)
    body = _form(png(noise(0)))
    slow = [_begin(server, body[:100], len(body)) for _ in range(3)]
    until(lambda: len(answered(slow)) == 1)
    answer = server.post(png(noise(0)))
    assert answer.status_code == 429 and "2 images are being sent already" in answer.json()["message"]
    monkeypatch.setattr("tools.serve.endpoint.SLOW_BYTES_PER_S", 10**9)
    assert server.post(png(noise(0))).status_code == 200
    until(lambda: len(answered(slow)) == 2)
    assert {connection.recv(1 << 16)[9:12] for connection in answered(slow)} == {b"408", b"429"}
    for connection in slow:
        connection.close()


def test_client_that_hangs_up_frees_its_place(server):
    server.worker.gate.clear()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(server.post, png(noise(0)))
        until(lambda: server.dispatcher.is_busy)
        body = _form(png(noise(1)))
        connection = _begin(server, body, len(body))
        until(lambda: server.dispatcher.num_waiting == 1)
        connection.close()
        until(lambda: server.dispatcher.num_waiting == 0)
        server.worker.gate.set()
        assert first.result().status_code == 200
    until(server.is_idle)
    assert len(server.worker.jobs) == 1


def test_client_that_hangs_up_while_it_is_segmented_harms_nobody(server):
    server.worker.gate.clear()
    body = _form(png(noise(1)))
    connection = _begin(server, body, len(body))
    until(lambda: server.dispatcher.is_busy)
    connection.close()
    until(lambda: server.worker.num_interrupted >= 1)
    assert server.post(png(noise(0))).status_code == 200


def test_who_has_left_is_told_until_the_job_ends(server):
    """A process that is only starting, or reads a header, does not hear of it."""
    server.worker.gate.clear()

    def interrupt():
        server.worker.num_interrupted += 1
        if server.worker.num_interrupted == 2:
            server.worker.gate.set()

    server.worker.interrupt = interrupt
    body = _form(png(noise(1)))
    connection = _begin(server, body, len(body))
    until(lambda: server.dispatcher.is_busy)
    connection.close()
    until(server.is_idle)


@pytest.mark.parametrize("before", [b"", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"], ids=["first", "second"])
def test_connection_over_which_no_request_comes_is_ended(server, monkeypatch, before):
    monkeypatch.setattr("tools.serve.connections.HEAD_S", 0.5)
    with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
        connection.sendall(before)
        assert not before or b" 200 OK" in connection.recv(1 << 16)
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: loc")
        assert b" 200 " not in b"".join(iter(lambda: connection.recv(1 << 16), b""))


@pytest.mark.parametrize(("path", "code"), [("/health", b" 200 "), ("/metrics", b" 421 ")])
def test_without_a_host_only_health_is_told(server, path, code):
    """As load balancers ask, in HTTP/1.0."""
    with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
        connection.sendall(b"GET " + path.encode() + b" HTTP/1.0\r\n\r\n")
        assert code in b"".join(iter(lambda: connection.recv(1 << 16), b""))


def test_image_may_take_longer_than_a_connection_may_be_idle(server, monkeypatch):
    monkeypatch.setattr("tools.serve.connections.HEAD_S", 0.3)
    server.worker.gate.clear()
    threading.Timer(1.5, server.worker.gate.set).start()
    assert server.post(png(noise(0))).status_code == 200


def test_who_sends_on_while_an_image_is_segmented_is_cut_off(server):
    server.worker.gate.clear()
    body = _form(png(noise(1)))
    with _begin(server, body, len(body)) as connection, pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
        connection.settimeout(20)
        until(lambda: server.dispatcher.is_busy)
        while True:
            connection.sendall(bytes(1 << 16))
    until(server.is_idle)
    assert server.worker.num_interrupted, "it was cut off only when its image was done"


HEAD = b"POST /seg_mask HTTP/1.1\r\nHost: elsewhere\r\nContent-Length: %d\r\n%b\r\n"


def test_who_sends_much_that_is_refused_sees_the_answer(server):
    with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
        connection.sendall(HEAD % (3 << 20, b"Connection: close\r\n") + bytes(3 << 20))
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert answer.startswith(b"HTTP/1.1 421 ") and b"not a name of this server" in answer


def test_who_sends_without_end_what_is_refused_is_cut_off(server, monkeypatch):
    monkeypatch.setattr("tools.serve.guard.DRAIN_S", 0.3)
    with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
        connection.sendall(HEAD % (10**12, b""))
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
            while True:
                connection.sendall(bytes(1 << 16))


@pytest.mark.parametrize(("host", "code"), [(b"elsewhere", b"421"), (b"localhost", b"413")])
def test_who_asks_first_is_refused_without_sending(server, host, code):
    with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
        more = b"Expect: 100-continue\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        connection.sendall((HEAD % (1 << 30, more)).replace(b"elsewhere", host))
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert answer.startswith(b"HTTP/1.1 %b " % code) and b"connection: close" in answer.lower()


@pytest.mark.parametrize("line", [b"a:\r\n" * 200, b"a:\n" * 200, b"a: " + b"a" * 20_000 + b"\r\n"])
def test_head_that_takes_the_server_long_is_refused(server, line):
    with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + line + b"\r\n")
        assert b" 400 " in connection.recv(1 << 16)


def test_body_in_tiny_pieces_is_refused(server):
    """Each takes the server as long as a large one; six clients would hold up all others for a minute."""
    with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
        head = b"POST /seg_mask HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        connection.sendall(head + b"Content-Type: multipart/form-data; boundary=b\r\n\r\n" + b"1\r\n-\r\n" * 2000)
        assert b" 400 " in connection.recv(1 << 16)


@pytest.mark.parametrize("charset", ["undefined", "punycode"])
def test_form_in_another_charset(server, charset):
    """Some take Python minutes, in which nobody else would be answered."""
    headers = {"Content-Type": f"multipart/form-data; charset={charset}; boundary=b"}
    answer = httpx.post(f"{server.url}/seg_mask", content=_form(png(noise(0))), headers=headers)
    assert answer.status_code == 400 and "charset" in answer.json()["message"]


def test_words_of_a_client_that_are_no_text_can_be_answered(server):
    content = '{"image_path": "a", "\\ud800": 1, "\\ud800": 2}'
    answer = httpx.post(f"{server.url}/seg_mask", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422 and answer.json()["message"] == "?: given 2 times, expected once"


@pytest.mark.slow
def test_two_hundred_at_once(server):
    """None lost, none mixed up: refused ones come again when they are told to, and all get the mask of their image."""
    refused = []

    def ask(seed: int) -> None:
        image = noise(seed)
        while True:
            answer = server.post(png(image))
            if answer.status_code == 200:
                np.testing.assert_array_equal(decoded(answer.content), (image > THRESHOLD) * 255)
                return
            assert answer.status_code == 429 and int(answer.headers["retry-after"]) >= 1
            refused.append(seed)

    server.worker.gate.clear()
    threading.Timer(2, server.worker.gate.set).start()
    with ThreadPoolExecutor(200) as pool:
        for future in [pool.submit(ask, seed) for seed in range(200)]:
            future.result()
    assert refused and len(server.worker.jobs) == 200
    assert server.dispatcher.num_done == 200 and _count(server, 200) == 200


@pytest.mark.parametrize("name", [b"a%0Ab.png", b"../../etc/x.png", b"a\r\nX-Evil: 1.png", b"\xff\xfe"])
def test_names_are_never_used(server, name):
    body = _form(png(noise(0)), name)
    with _begin(server, body, len(body)) as connection:
        answer = connection.recv(1 << 16)
    assert b" 200 OK" in answer or b" 400 " in answer
    assert b"X-Evil" not in answer and b"etc" not in answer
    assert all(job.image.name == "upload" for job in server.worker.jobs)


def test_unforeseen_error_tells_nothing_of_the_inside(server):
    def fail(job):
        raise RuntimeError("/home/secret")

    server.worker.before = fail
    answer = server.post(png(noise(0)))
    assert answer.status_code == 500 and "secret" not in answer.text


def test_failure_of_the_worker_is_passed_on(server):
    def fail(job):
        raise Failure(503, "crashed", retry_after_s=30)

    server.worker.before = fail
    answer = server.post(png(noise(0)))
    assert answer.status_code == 503 and answer.headers["retry-after"] == "30"
    server.worker.before = lambda job: None
    assert server.post(png(noise(0))).status_code == 200
