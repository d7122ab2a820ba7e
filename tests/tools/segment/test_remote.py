"""`segment --server`: what a running server gives back is saved as what is segmented here."""

import http.server
import json
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from common.errors import InputError
from tests.tools.serve.conftest import IMAGES, THRESHOLD, VOLUMES, noise, running, until
from tools.command_line import run
from tools.sample.formats import sample_images
from tools.segment import remote
from tools.segment.commands import segment
from tools.segment.files import segment_file
from tools.segment.remote import Server
from tools.segment.results import read_mask
from tools.serve.commands import _bind
from tools.serve.failures import Failure
from tools.serve.jobs import Limits

ROOT = Path(__file__).resolve().parents[3]
VERBS = {"segment": ("tools.segment.commands:segment", "")}
SETTINGS = {"bundle": "images", "weights_sha256": "0" * 64, "overrides": {}}
ODD_NAMES = ["a b.tif", "2024_01.tif", "image_1.tif", "50% @x $y ~z.tif", "Zellen ä, b.tif", f"{'long' * 30}.tif"]


@pytest.fixture
def known(monkeypatch):
    """The stand-ins of the server are no folders of bundles, whose settings could be read."""
    monkeypatch.setattr(remote, "settings_of", lambda bundle: SETTINGS)


@pytest.fixture
def image(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noise(0), photometric="minisblack")
    return tmp_path / "a.tif"


@pytest.mark.parametrize("name", ODD_NAMES)
def test_results_have_the_names_of_their_image(known, name, tmp_path):
    tifffile.imwrite(tmp_path / name, noise(1), photometric="minisblack")
    (tmp_path / "out").mkdir()
    with running(Limits(), settings={"images": SETTINGS}) as server:
        written = segment_file(Server(server.url, IMAGES), tmp_path / name, tmp_path / "out", {}, save=["csv"])
    assert sorted(written) == sorted((tmp_path / "out").iterdir())
    mask, _ = read_mask(tmp_path / "out" / f"{name.removesuffix('.tif')}_mask.png")
    np.testing.assert_array_equal(mask, (noise(1) > THRESHOLD) * 255)


def test_what_is_said_of_an_image_reaches_the_server(known, tmp_path):
    tifffile.imwrite(tmp_path / "v.tif", np.stack([noise(2)] * 3), photometric="minisblack")
    (tmp_path / "out").mkdir()
    with running(Limits(), settings={"volumes": SETTINGS}) as server:
        segment_file(Server(server.url, VOLUMES), tmp_path / "v.tif", tmp_path / "out", {"spacing": "2,1,1"})
    assert read_mask(tmp_path / "out/v_mask.nii.gz")[1] == (2, 1, 1)


def test_image_that_the_server_refuses_is_told_with_its_name(known, tmp_path):
    (tmp_path / "b.tif").write_bytes(b"no image")
    with running(Limits(), settings={"images": SETTINGS}) as server:
        (tmp_path / "results").mkdir()
        with pytest.raises(InputError, match=r"b\.tif: not an image"):
            Server(server.url, IMAGES).segment(tmp_path / "b.tif", tmp_path, name=f"{tmp_path / 'b.tif'}")


def test_an_image_that_is_too_large_for_the_server_is_told(known, tmp_path):
    tifffile.imwrite(tmp_path / "large.tif", np.zeros((3000, 3000), np.uint8), photometric="minisblack")
    (tmp_path / "results").mkdir()
    with (
        running(Limits(max_upload_bytes=1000), settings={"images": SETTINGS}) as server,
        pytest.raises(InputError, match=r"large\.tif: an upload of more than"),
    ):
        Server(server.url, IMAGES).segment(tmp_path / "large.tif", tmp_path, name="large.tif")


def test_a_crash_at_an_image_is_told_with_its_name(known, image, tmp_path):
    with running(Limits(), settings={"images": SETTINGS}) as server:

        def crash(job):
            raise Failure(503, "the process that segments crashed at this image")

        server.worker.before = crash
        (tmp_path / "results").mkdir()
        with pytest.raises(InputError, match=r"a\.tif: --server http.*crashed at this image"):
            Server(server.url, IMAGES).segment(image, tmp_path, name="a.tif")


def test_a_full_queue_is_waited_for(known, image, tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    waited = []
    monkeypatch.setattr(remote, "sleep", waited.append)

    def full_once(job):
        if not waited:
            raise Failure(429, "16 images are waiting already", retry_after_s=3)

    with running(Limits(), settings={"images": SETTINGS}) as server:
        server.worker.before = full_once
        assert Server(server.url, IMAGES).segment(image, tmp_path, stem="a").mask.is_file()
    assert waited == [3]


@pytest.mark.parametrize(
    ("bundle", "settings", "message"),
    [
        (replace(IMAGES, name="others"), SETTINGS, "serves images, volumes, not others; start one that does"),
        (IMAGES, {**SETTINGS, "weights_sha256": "1"}, "its images has another weights_sha256"),
        (IMAGES, {**SETTINGS, "overrides": {"threshold": "0.4"}}, "its images has another overrides"),
    ],
)
def test_other_bundle_weights_or_settings_are_refused(known, bundle, settings, message):
    with (
        running(Limits(), settings={"images": settings, "volumes": settings}) as server,
        pytest.raises(InputError, match=message),
    ):
        Server(server.url, bundle)


def test_token_is_asked_for_and_taken(known):
    with running(Limits(), token="word", settings={"images": SETTINGS}) as server:
        for given in ("", "another"):
            with pytest.raises(InputError, match="asks for a token, or another one; give --token"):
                Server(server.url, IMAGES, given)
        Server(server.url, IMAGES, "word")


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "{folder}/no.socket"])
def test_no_server_is_told_before_anything_is_written(address, image, tmp_path, capsys):
    address = address.format(folder=tmp_path)
    words = ["segment", "swinunet_livecell", str(image), str(tmp_path / "out"), "--server", address]
    assert run(VERBS, words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: --server {address}: no server answers there (")
    assert "start one with: python -m tools serve swinunet_livecell" in line and not (tmp_path / "out").exists()


def test_something_else_that_answers_is_told(known):
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as other:
        threading.Thread(target=other.handle_request, daemon=True).start()
        with pytest.raises(InputError, match="answers with no list of bundles"):
            Server(f"http://127.0.0.1:{other.server_port}", IMAGES)
    with pytest.raises(InputError, match="expected http://HOST:PORT"):
        Server("ftp://127.0.0.1", IMAGES)


@pytest.mark.parametrize("option", ["blocks", "memory", "workers", "scheduler"])
def test_what_a_server_does_not_do_is_refused(image, tmp_path, option):
    with pytest.raises(InputError, match=f"--{option} 1: the server segments one whole image at a time"):
        segment("swinunet_livecell", str(image), str(tmp_path / "out"), server="x", **{option: "1"})


def test_token_without_a_server_is_refused(image, tmp_path):
    with pytest.raises(InputError, match="--token: is for a server"):
        segment("swinunet_livecell", str(image), str(tmp_path / "out"), token="word")


def test_socket_file_is_its_owners_and_replaces_one_that_is_left(tmp_path):
    place = tmp_path / "cells.socket"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(place))
    with _bind(str(place), 5050) as listening:
        assert place.stat().st_mode & 0o077 == 0
        listening.listen()
        with pytest.raises(InputError, match=r"--host .*cells\.socket: cannot make a socket there \(Address already"):
            _bind(str(place), 5050)
    with pytest.raises(InputError, match="cannot make a socket there"):
        _bind(str(tmp_path / "no" / "cells.socket"), 5050)


@pytest.mark.slow
def test_a_resident_server_writes_what_segment_writes(tmp_path):
    (image,) = sample_images(ROOT / "bundles/swinunet_livecell", tmp_path)[:1]
    pixels = np.asarray(Image.open(image))[:96, :96]
    (tmp_path / "images").mkdir()
    for name in ("a.png", "image_b.png"):
        Image.fromarray(pixels).save(tmp_path / "images" / name)
    place = tmp_path / "cells.socket"
    command = [sys.executable, "-m", "tools", "serve", "swinunet_livecell", "--backend", "torch", "--host", str(place)]
    words = ["-m", "tools", "segment", "swinunet_livecell", str(tmp_path / "images")]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=ROOT, stderr=log)
        try:
            until(lambda: server.poll() is not None or "serving at" in (tmp_path / "log").read_text(), 120)
            assert place.stat().st_mode & 0o077 == 0
            code = "import sys, tools.__main__ as m; code = m.run(m.VERBS, sys.argv[1:]); assert code == 0, code; "
            code += "assert not {'torch', 'monai'} & sys.modules.keys()"
            asked = [sys.executable, "-c", code, *words[2:], str(tmp_path / "remote"), "--server", str(place)]
            subprocess.run([*asked, "--backend", "torch", "--save", "geojson,csv"], cwd=ROOT, check=True, timeout=300)
            server.send_signal(signal.SIGTERM)
            server.wait(60)
        finally:
            server.kill()
    assert not place.exists()
    here = [*words[2:], str(tmp_path / "local"), "--backend", "torch", "--save", "geojson,csv"]
    assert run(VERBS, here) == 0
    written = {path.name: path.read_bytes() for path in (tmp_path / "local").iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "remote").iterdir()} == written
    assert json.loads(written["segment.json"])["bundle"] == "swinunet_livecell" and "a_cells.csv" in written
