from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from PIL import Image

from common.errors import InputError
from tools.bench.http_server import running_server
from tools.bench.serve import _find_images, _gather, _in_rounds, serve
from tools.bench.serve_rows import latency_rows, levels, memory_rows, rate_row
from tools.bundles import find_bundle
from tools.segment.description import describe_bundle

MASK = np.eye(4, dtype=np.uint8)


@pytest.fixture
def server():
    """A stand-in that answers every upload with the same mask."""
    file = BytesIO()
    Image.fromarray(MASK).save(file, "PNG")

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", "image/png")
            self.send_header("content-length", str(len(file.getvalue())))
            self.end_headers()
            self.wfile.write(file.getvalue())

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as httpd, ThreadPoolExecutor(1) as pool:
        pool.submit(httpd.serve_forever, 0.01)
        yield SimpleNamespace(url=f"http://127.0.0.1:{httpd.server_port}", memory=lambda: (40, 60))
        httpd.shutdown()


def test_levels_of_memory_are_medians_at_either_end():
    assert levels([100] * 9 + [900] + [100] * 80 + [110] * 9 + [5000]) == (100, 110)
    assert levels([100, 101]) == (100, 101)


def test_latencies_are_percentiles():
    rows = latency_rows([number / 100 for number in range(1, 101)], 8)
    assert [row.ours for row in rows] == ["0.51 s", "0.95 s"] and "8 clients" in rows[0].what


@pytest.mark.parametrize(("last", "met"), [(104, "yes"), (105, "no"), (90, "yes")])
def test_memory_is_read_after_the_warm_up(last, met):
    readings = [5] * 10 + [60] * 80 + [last - 40] * 10
    grown, answering, segmenting, peak = memory_rows([(40 << 20, mib << 20) for mib in readings])
    assert (grown.ours, grown.other, grown.met) == (f"{last} MiB", "100 MiB", met)
    assert (answering.ours, answering.other, answering.ratio) == ("40 MiB", "40 MiB", "+0.0%")
    assert (segmenting.ours, segmenting.other, segmenting.met) == (f"{last - 40} MiB", "60 MiB", "")
    assert peak.ours == f"{max(last, 100)} MiB"


@pytest.mark.parametrize(("ours", "met"), [([9, 9, 90], "yes"), ([8.9, 8.9, 90], "no")])
def test_rates_are_compared_within_a_round(ours, met):
    assert rate_row("rates", ours, [10, 10, 100]).met == met


def test_server_and_loop_take_turns_and_wrong_answers_are_counted(server, tmp_path):
    images, turns = [tmp_path / "right.png", tmp_path / "wrong.png"], []
    for image in images:
        image.write_bytes(b"pixels")
    loop = SimpleNamespace(run=lambda: turns.append(len(measured_memory)) or 2.0)
    measured_memory = []
    server.memory = lambda: measured_memory.append(100) or (40, 60)
    measured = _in_rounds(server, loop, images, [MASK, 1 - MASK], num_requests=20, clients=2)
    assert measured.different == ["wrong.png"] * 10
    assert turns == [0, 8, 8, 16, 16]  # before the first four requests, after the next, and so on
    assert measured.loop_rates == [1.0] * 5 and len(measured.server_rates) == 5
    assert len(measured.latencies) == len(measured.memory) == 20


def test_images_are_sent_without_their_names_and_neighbours(tmp_path):
    folder = tmp_path / "given"
    folder.mkdir()
    for name in ("b.png", "a.PNG"):
        Image.fromarray(MASK).save(folder / name, "PNG")
    (folder / "a.tsv").write_text("prompts")
    images = _find_images(folder, describe_bundle(find_bundle("swinunet_livecell")))
    links = _gather(images, tmp_path / "links")
    assert [link.name for link in links] == ["0000.png", "0001.png"]
    assert [link.resolve().name for link in links] == ["a.PNG", "b.png"]


def test_of_a_dataset_the_testing_images_are_sent(tmp_path):
    for name in ("train.png", "test.png"):
        Image.fromarray(MASK).save(tmp_path / name)
    (tmp_path / "dataset.json").write_text('{"training": [{"image": "train.png"}], "testing": [{"image": "test.png"}]}')
    assert _find_images(tmp_path, describe_bundle(find_bundle("swinunet_livecell"))) == [tmp_path / "test.png"]


def test_server_that_cannot_start_tells_why():
    with pytest.raises(RuntimeError, match="did not start(.|\n)*--backend neither"):
        with running_server("swinunet_livecell", ["--backend", "neither"]):
            pass


def test_server_and_loop_agree_on_a_sample():
    before = set(psutil.Process().children(recursive=True))
    table = serve(bundle="devonet_ndn", num_requests="5", clients="2", backend="torch")
    assert "requests per second, 2 clients" in table and "answers that differ from the loop's masks, of 5" in table
    left = set(psutil.Process().children(recursive=True)) - before
    assert [" ".join(process.cmdline()) for process in left if "resource_tracker" not in str(process.cmdline())] == []


def test_wrong_input_is_told(tmp_path):
    with pytest.raises(InputError, match="neither a bundle's name"):
        serve(bundle="nothing")
    with pytest.raises(InputError, match="choose one of auto"):
        serve(backend="nothing")
    with pytest.raises(InputError, match="no image"):
        serve(dataset_dir=str(tmp_path))
    with pytest.raises(InputError, match="no such folder"):
        serve(dataset_dir=str(tmp_path / "nothing"))
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(InputError, match="not an image"):
        serve(dataset_dir=str(tmp_path))
    with pytest.raises(InputError, match="unknown flag --client"):
        serve(client="3")
