"""Meta's weights: fetched, checked, put aside where they are wrong, and loaded with or without the segmenter."""

import hashlib
import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
import yaml
from ignite.engine import Engine
from sam_myelin import pretrained as module
from sam_myelin.common.errors import InputError
from sam_myelin.network import SamMyelin
from sam_myelin.pretrained import CHECKPOINTS, Checkpoint, SamWeightsLoader, fetch_checkpoint, load_sam_weights

SIZE = 64
NAME = "sam_efficient.pth"
ROOT = Path(module.__file__).parents[1]


class Silent(SimpleHTTPRequestHandler):
    """Serves files; what ``truncated`` begins with is cut in the middle."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        if not self.path.startswith("/truncated"):
            return super().do_GET()
        content = Path(self.directory, NAME).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        return None


def network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return SamMyelin("efficient", SIZE)


@pytest.fixture(scope="module")
def metas():
    """State as Meta would publish it: no segmenter, and the numbers of the normalisation."""
    state = {name: value for name, value in network().state_dict().items() if not name.startswith("segmenter.")}
    return state | {"pixel_mean": torch.zeros(3, 1, 1), "pixel_std": torch.ones(3, 1, 1)}


@pytest.fixture(scope="module")
def published(metas, tmp_path_factory):
    folder = tmp_path_factory.mktemp("meta")
    torch.save(metas, folder / NAME)
    return folder / NAME


@pytest.fixture(scope="module")
def server(published):
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(published.parent))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def offered(published, server, monkeypatch):
    """Function that makes Meta offer weights for efficient, under some address."""

    found = hashlib.sha256(published.read_bytes()).hexdigest()

    def offer(url=f"{server}/{NAME}", sha256=found):
        monkeypatch.setitem(CHECKPOINTS, "efficient", Checkpoint(url, sha256))

    offer()
    return offer


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_large_files_are_the_same_files():
    entries = yaml.safe_load((ROOT / "large_files.yml").read_text())["large_files"]
    assert {(entry["path"], entry["url"], entry["hash_val"], entry["hash_type"]) for entry in entries} == {
        (f"models/{checkpoint.name}", checkpoint.url, checkpoint.sha256, "sha256")
        for checkpoint in CHECKPOINTS.values()
    }
    assert all(re.fullmatch("[0-9a-f]{64}", metas.sha256) for metas in CHECKPOINTS.values())


def test_file_is_fetched_once(offered, published, server, tmp_path):
    models = tmp_path / "models"
    assert fetch_checkpoint("efficient", models) == models / NAME
    assert (models / NAME).read_bytes() == published.read_bytes() and files(models) == [NAME]
    offered(f"http://127.0.0.1:9/{NAME}")  # nobody there any more
    assert fetch_checkpoint("efficient", models) == models / NAME


@pytest.mark.parametrize("number", [1, 2])
def test_file_from_elsewhere_is_put_aside_and_may_be_fetched_anew(offered, published, tmp_path, number):
    for _ in range(number):
        (tmp_path / NAME).write_bytes(b"<html>")
        found, expected = (hashlib.sha256(content).hexdigest() for content in (b"<html>", published.read_bytes()))
        with pytest.raises(
            InputError, match=f"{NAME}: damaged .*{found} .6 bytes., expected {expected}; it is now {NAME}.wrong; start"
        ):
            fetch_checkpoint("efficient", tmp_path)
        assert files(tmp_path) == [f"{NAME}.wrong"]
    assert fetch_checkpoint("efficient", tmp_path).read_bytes() == published.read_bytes()


def test_half_a_download_is_put_aside(offered, published, server, tmp_path):
    offered(f"{server}/truncated/{NAME}")
    with pytest.raises(InputError, match=rf"{NAME}: damaged.*\({published.stat().st_size // 2} bytes\), expected"):
        fetch_checkpoint("efficient", tmp_path)
    assert files(tmp_path) == [f"{NAME}.wrong"]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (f"http://127.0.0.1:9/{NAME}", "URLError.*Connection refused"),
        (f"{{server}}/absent/{NAME}", "HTTPError: HTTP Error 404"),
        (NAME, "ValueError: unknown url type"),
    ],
)
def test_without_a_connection_the_ways_out_are_named_and_nothing_is_left(offered, server, tmp_path, url, reason):
    offered(url.format(server=server))
    with pytest.raises(InputError, match=rf"cannot be fetched into .*\({reason}.*\); connect .*--sam_weights none"):
        fetch_checkpoint("efficient", tmp_path)
    assert files(tmp_path) == []


def test_silent_servers_are_given_up(offered, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT_S", 0.1)
    with ThreadingHTTPServer(("127.0.0.1", 0), Silent) as silent:  # takes connections, answers none
        offered(f"http://127.0.0.1:{silent.server_port}/{NAME}")
        with pytest.raises(InputError, match="cannot be fetched .*timed out"):
            fetch_checkpoint("efficient", tmp_path)


def test_variant_without_weights_of_meta(tmp_path):
    with pytest.raises(InputError, match="--variant efficient: Meta offers no weights for it, only for vit_b, vit_l"):
        fetch_checkpoint("efficient", tmp_path)


def test_metas_weights_leave_the_segmenter(metas, published):
    ours = network(seed=1)
    before = {name: value.clone() for name, value in ours.segmenter.state_dict().items()}
    load_sam_weights(ours, published)
    state = ours.state_dict()
    assert all(torch.equal(state[name], value) for name, value in metas.items() if not name.startswith("pixel_"))
    assert before and all(torch.equal(ours.segmenter.state_dict()[name], value) for name, value in before.items())


def test_finetuned_weights_bring_their_segmenter(tmp_path):
    finetuned, ours = network(seed=2), network(seed=1)
    torch.save(finetuned.state_dict(), tmp_path / "model.pt")
    load_sam_weights(ours, tmp_path / "model.pt")
    assert all(torch.equal(value, finetuned.state_dict()[name]) for name, value in ours.state_dict().items())


TOKEN = "mask_decoder.iou_token.weight"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (TOKEN, None, rf"{TOKEN} is nothing in the file and \(1, 256\) in efficient"),
        (TOKEN, torch.zeros(2, 256), rf"{TOKEN} is \(2, 256\) in the file and \(1, 256\) in efficient"),
        ("other", torch.zeros(1), r"other is \(1,\) in the file and nothing in efficient"),
        ("segmenter.other", torch.zeros(1), r"segmenter\.body\.\S+ is nothing in the file"),
    ],
)
def test_weights_of_another_network_change_nothing(metas, tmp_path, name, value, message):
    state = {key: weight for key, weight in {**metas, name: value}.items() if weight is not None}
    torch.save(state, tmp_path / "a.pth")
    ours = network(seed=1)
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    with pytest.raises(InputError, match=f"a.pth: weights of another network: {message}.*give the --variant"):
        load_sam_weights(ours, tmp_path / "a.pth")
    assert all(torch.equal(value, before[name]) for name, value in ours.state_dict().items())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>", "damaged, or not a PyTorch checkpoint"),
        ([1], "not a plain state_dict"),
        ({"model": {}}, "not a plain state_dict"),
    ],
)
def test_files_that_are_no_weights(tmp_path, content, message):
    path = tmp_path / "a.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(InputError, match=message):
        load_sam_weights(network(), path)


def start(loader):
    engine = Engine(lambda engine, batch: None)
    loader.attach(engine)
    engine.run([None])


def same(one, other):
    states = one.image_encoder.state_dict(), other.image_encoder.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_an_engine_that_starts_fetches_and_one_that_goes_on_does_not(offered, tmp_path):
    ours, resume = network(seed=1), tmp_path / "resume.pt"
    SamWeightsLoader(ours, "meta", tmp_path / "models")
    assert not (tmp_path / "models").exists()
    start(SamWeightsLoader(ours, "none", tmp_path / "models", resume))
    assert not same(ours, network())
    resume.touch()
    start(SamWeightsLoader(ours, "meta", tmp_path / "models", resume))
    assert not same(ours, network()) and not (tmp_path / "models").exists()
    resume.unlink()
    start(SamWeightsLoader(ours, "meta", tmp_path / "models", resume))
    assert same(ours, network())


def test_an_engine_takes_a_path(published, tmp_path):
    ours = network(seed=1)
    start(SamWeightsLoader(ours, str(published), tmp_path))
    assert same(ours, network()) and files(tmp_path) == []
    with pytest.raises(InputError, match="--sam_weights metta: no such file; give meta, none, or the path"):
        SamWeightsLoader(ours, "metta", tmp_path)()
