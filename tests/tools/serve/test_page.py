"""The page's door: what it gives, and what it gives to nobody."""

import io
import itertools
import json
import shutil
import socket
import struct
import threading
import time
import zipfile

import httpx
import numpy as np
import pytest
from PIL import Image

from common.reading.tiff_file import follow_chain
from tests.tools.serve.conftest import THRESHOLD, Server, noise, png, running, until
from tools.serve.guard import is_allowed_host
from tools.serve.jobs import Limits
from tools.serve.pictures import COLOUR


@pytest.fixture
def page(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "sample.png").write_bytes(png(noise(7)))
    limits = Limits(max_upload_bytes=4 << 20, max_memory_bytes=20 << 20, max_queue=4, timeout_s=20)
    with running(limits, None, tmp_path / "results", {"images": [tmp_path / "sample.png"]}) as server:
        yield server


def ask(server: Server, content: bytes, name: str = "a.png", **fields) -> list[dict]:
    """Lines that the page reads."""
    answer = httpx.post(f"{server.url}/results", files={"image": (name, content)}, data=fields, timeout=60)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def get(server: Server, done: dict, path: str) -> httpx.Response:
    return httpx.get(f"{server.url}/results/{done['id']}/{path}")


def test_result_comes_with_pictures_and_files(page):
    image = noise(0)
    done = ask(page, png(image), "My cells.png")[-1]
    assert done["state"] == "done" and done["planes"] == 1 and done["kind"] == "mask"
    plain = np.asarray(Image.open(io.BytesIO(get(page, done, "image/0").content)))
    outlined = np.asarray(Image.open(io.BytesIO(get(page, done, "outlines/0").content)))
    factor = len(plain) // len(image)
    np.testing.assert_array_equal(plain[::factor, ::factor, 0], image)
    magenta = (outlined == COLOUR).all(axis=-1)
    assert magenta.any() and (image > THRESHOLD).repeat(factor, 0).repeat(factor, 1)[magenta].all()
    assert [get(page, done, f"image/{z}").status_code for z in (-1, 1)] == [404, 404]
    mask = get(page, done, "files/mask")
    assert mask.headers["content-disposition"] == 'attachment; filename="My_cells_mask.png"'
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(mask.content))), (image > THRESHOLD) * 255)
    assert zipfile.ZipFile(io.BytesIO(get(page, done, "files/zip").content)).namelist() == ["My_cells_mask.png"]


def test_page_and_samples_are_served(page):
    assert "<title>Microscopy segmentation</title>" in httpx.get(page.url).text
    assert httpx.get(f"{page.url}/static/page.js").status_code == 200
    assert next(bundle for bundle in httpx.get(f"{page.url}/bundles").json() if bundle["samples"])["name"] == "images"
    sample = httpx.get(f"{page.url}/samples/images/0")
    assert sample.content == png(noise(7)) and sample.headers["content-disposition"].startswith("attachment")
    assert all(httpx.get(f"{page.url}/samples/{no}").status_code == 404 for no in ("images/1", "images/-1", "x/0"))


def test_what_an_address_says_and_no_get_reads_is_refused(page):
    for path in ("bundles", "health", "metrics", "samples/images/0"):
        answer = httpx.get(f"{page.url}/{path}?verbose=1")
        assert (answer.status_code, answer.json()["message"]) == (
            422,
            "?verbose=: the address takes none; leave it out",
        )
    assert httpx.get(f"{page.url}/?__theme=light").status_code == 200, "as who embeds the page says"


@pytest.mark.parametrize(
    "body",
    [
        {"path": "SECRET", "meta": {"_type": "gradio.FileData"}},
        {"image_path": "SECRET"},
        {"data": [{"path": "SECRET", "meta": {"_type": "gradio.FileData"}}], "fn_index": 0},
    ],
)
@pytest.mark.parametrize("path", ["results", "seg_mask", "gradio_api/call/segment", "gradio_api/queue/join"])
def test_no_path_of_a_client_is_opened(page, tmp_path, body, path):
    (tmp_path / "secret.png").write_bytes(png(noise(3)))
    body = json.loads(json.dumps(body).replace("SECRET", str(tmp_path / "secret.png")))
    assert httpx.post(f"{page.url}/{path}", json=body).status_code in (403, 404, 422)
    assert not page.worker.jobs


@pytest.mark.parametrize(
    "path", ["../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "static/../page.py", "static/%2e%2e/page.py"]
)
def test_static_files_are_only_the_page_s(page, path):
    with httpx.Client(base_url=page.url) as client:
        request = client.build_request("GET", "/")
        request.url = request.url.copy_with(raw_path=b"/" + path.encode())
        assert client.send(request).status_code == 404


def test_results_are_known_to_who_made_them_only(page):
    ask(page, png(noise(0)))
    for key in ("", "0", "..", "a" * 22):
        assert httpx.get(f"{page.url}/results/{key}/files/mask").status_code == 404


def test_results_make_room_for_others_when_nobody_looks_at_them(page, tmp_path, monkeypatch):
    monkeypatch.setattr("tools.serve.page.MAX_SHOWN", 2)
    first, second = (ask(page, png(noise(seed)))[-1] for seed in (0, 1))
    assert get(page, first, "image/0").status_code == 200
    third = ask(page, png(noise(2)))[-1]
    assert [get(page, done, "image/0").status_code for done in (first, second, third)] == [200, 404, 200]
    monkeypatch.setattr("tools.serve.page.SESSION_S", 0.0)
    ask(page, png(noise(3)))
    assert [get(page, done, "image/0").status_code for done in (first, third)] == [404, 404]
    assert len(list((tmp_path / "results").iterdir())) == 1


def test_results_that_are_forgotten_are_gone(page, tmp_path):
    done = ask(page, png(noise(0)))[-1]
    assert len(list((tmp_path / "results").iterdir())) == 1
    assert httpx.post(f"{page.url}/results/{done['id']}/forget").status_code == 204
    assert not list((tmp_path / "results").iterdir())
    assert get(page, done, "image/0").status_code == 404


def test_who_leaves_gives_up_the_place_in_the_queue(page, tmp_path):
    page.worker.gate.clear()
    files = {"image": ("a.png", png(noise(0)))}
    with httpx.Client() as client, client.stream("POST", f"{page.url}/results", files=files) as first:
        told = first.iter_lines()
        next(told)
        until(lambda: page.dispatcher.is_busy)
        with httpx.Client() as other, other.stream("POST", f"{page.url}/results", files=files) as second:
            assert json.loads(next(second.iter_lines())) == {"state": "waiting", "before": 1}
        until(lambda: page.dispatcher.num_waiting == 0)
        page.worker.gate.set()
        assert json.loads(list(told)[-1])["state"] == "done"
    until(page.is_idle)
    assert len(page.worker.jobs) == 1


def upload(server: Server, share: float) -> socket.socket:
    """A connection over which a part of an upload to the page was sent."""
    connection = socket.create_connection(("127.0.0.1", server.port))
    form = httpx.Request("POST", server.url, files={"image": ("a.png", png(noise(0)))})
    body = form.read()
    head = f"POST /results HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    head += f"Content-Type: {form.headers['content-type']}\r\n\r\n"
    connection.sendall(head.encode() + body[: int(share * len(body))])
    return connection


def test_upload_that_is_cut_off_leaves_no_file_and_no_traceback(capfd, page, tmp_path):
    connection = upload(page, 0.5)
    until(lambda: list((tmp_path / "results").iterdir()))
    connection.close()
    until(lambda: not list((tmp_path / "results").iterdir()))
    until(page.is_idle)
    assert httpx.get(f"{page.url}/health").status_code == 200  # the log is written by then
    assert "Traceback" not in capfd.readouterr().err


def test_who_leaves_before_the_answer_begins_leaves_no_job_and_no_file(page, tmp_path, monkeypatch):
    begun, left = threading.Event(), threading.Event()
    monkeypatch.setattr("tools.serve.endpoint.check_start", lambda *given: (begun.set(), left.wait(20)))
    page.worker.gate.clear()
    connection = upload(page, 1)
    assert begun.wait(20)
    connection.close()
    time.sleep(0.2)  # until the server knows
    left.set()
    until(lambda: not list((tmp_path / "results").iterdir()))
    until(page.is_idle)


def test_result_that_is_removed_while_it_is_shown(page, tmp_path):
    done = ask(page, png(noise(0)))[-1]
    shutil.rmtree(next((tmp_path / "results").iterdir()))
    for path in ("image/0", "outlines/0", "files/mask", "files/zip"):
        answer = get(page, done, path)
        assert answer.status_code == 404 and answer.json()["status"] == "error"
    for _ in range(2):
        assert httpx.post(f"{page.url}/results/{done['id']}/forget").status_code == 204


def test_failure_is_told_in_words_and_leaves_nothing(page, tmp_path):
    assert ask(page, png(noise(0))[:60])[-1]["state"] == "failed"
    refused = httpx.post(f"{page.url}/results", files={"image": ("a.png", b"<script>alert(1)</script>")})
    assert refused.status_code == 415 and refused.json()["message"].startswith("not an image")
    until(lambda: not list((tmp_path / "results").iterdir()))


@pytest.mark.parametrize(
    "host",
    ["attacker.example", "attacker.example:80", "localhost.attacker.example", "[::1].attacker.example", "[::1", ""],
)
def test_names_of_others_are_refused(page, host):
    for path in ("", "bundles", "health", "metrics", "seg_mask", "static/page.js"):
        answer = httpx.get(f"{page.url}/{path}", headers={"host": host})
        assert answer.status_code in (400, 421), "a page elsewhere could read this"


@pytest.mark.parametrize(
    "host", ["127.0.0.1:50", "localhost", "LOCALHOST:1", "[::1]:80", "10.0.0.5", "lab", "Lab:80", "lab.:80"]
)
def test_own_names_and_numbers_are_allowed(host):
    assert is_allowed_host(host, {"lab"})


@pytest.mark.parametrize("host", ["", "evil", "[::1%#]", "[::1%lab]", "lab@evil", "0x7f.1"])
def test_other_names_are_not(host):
    assert not is_allowed_host(host, {"lab"})


def test_forms_of_other_pages_are_refused(page):
    files = {"image": ("a.png", png(noise(0)))}
    others = ("http://attacker.example", f"{page.url}.attacker.example", f"{page.url}0", "http://[::1", "null")
    for path, origin in itertools.product(("results", "seg_mask"), others):
        answer = httpx.post(f"{page.url}/{path}", files=files, headers={"origin": origin})
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
    assert httpx.post(f"{page.url}/seg_mask", files=files, headers={"origin": page.url}).status_code == 200
    assert httpx.get(page.url, headers={"origin": others[0]}).status_code == 200


@pytest.mark.parametrize("path", ["", "static/page.js", "seg_mask", "nowhere", "docs", "bundles"])
def test_every_answer_says_how_it_may_be_used(page, path):
    headers = httpx.get(f"{page.url}/{path}").headers
    assert headers["x-content-type-options"] == "nosniff"
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") and "frame-ancestors 'self'" in policy
    assert ("unsafe-inline" in policy) == (path == "docs")


def test_without_the_token_nothing_is_answered_but_health(tmp_path):
    with running(Limits(), page_folder=tmp_path, token="word") as server:
        for path in ("", "bundles", "metrics", "docs", "openapi.json", "static/page.js", "?token=other"):
            assert httpx.get(f"{server.url}/{path}").status_code == 401
        assert httpx.post(f"{server.url}/results", files={"image": ("a.png", png(noise(0)))}).status_code == 401
        assert httpx.get(f"{server.url}/health").status_code == 200
        for wrong in ("Bearer other", "Bearer wor", "Bearer words", "Bearer WORD", ""):
            assert server.post(png(noise(0)), headers={"authorization": wrong}).status_code == 401
        assert server.post(png(noise(0)), headers={"authorization": "Bearer word"}).status_code == 200
        with httpx.Client(base_url=server.url) as browser:
            first = browser.get("/?token=word")
            assert first.status_code == 303 and first.headers["location"] == "/"
            assert {"httponly", "samesite=strict"} <= {*first.headers["set-cookie"].lower().split("; ")}
            assert browser.get("/").status_code == 200
        assert len(server.worker.jobs) == 1


def circle(is_big: bool) -> bytes:
    """A TIFF file whose second page says that the next one is the second page."""
    if is_big:
        page = struct.pack("<Q", 0)
        return b"II\x2b\0" + struct.pack("<HHQ", 8, 0, 16) + page + struct.pack("<Q", 32) + page + struct.pack("<Q", 32)
    page = struct.pack("<H", 0)
    return b"II*\0" + struct.pack("<I", 8) + page + struct.pack("<I", 14) + page + struct.pack("<I", 14)


@pytest.mark.parametrize("is_big", [False, True])
def test_pages_in_a_circle_are_refused_at_once(page, tmp_path, is_big):
    (tmp_path / "a.tif").write_bytes(circle(is_big))
    with pytest.raises(ValueError, match="page 3 is an earlier one again"):
        follow_chain(tmp_path / "a.tif")
    for _ in range(5):
        answer = page.post(circle(is_big))
        assert answer.status_code == 415 and "earlier one again" in answer.json()["message"]
        assert "upload" not in answer.json()["message"], "a path of the server's"
    assert page.post(png(noise(0))).status_code == 200
