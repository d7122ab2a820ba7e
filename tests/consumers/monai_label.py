"""A bundle in MONAI Label's server: what it says of it, answers with it and trains it.

Run in an environment with `monailabel` by ``.ci/consumers``:
``python monai_label.py BUNDLE_ROOT DATASET_DIR DATASET_DIR WORK_DIR OVERRIDES``. It ends with an error unless the
server lists the bundle, answers with a label map on the image's own grid, trains on labels that were submitted to it,
and then answers with what it trained. A bundle that takes prompts lies there as an interactive model, and answers a
click and a box.
"""

import csv
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path
from typing import Any

import numpy as np
import requests
import torch
from PIL import Image
from pixels import describe, read

NUM_LABELLED = 2
START_S, ANSWER_S = 300, 1200
PROGRAM = (sys.executable, "-m", "monailabel.main")


def endings(path: Path) -> str:
    """What a name ends with, from the first dot; MONAI Label finds .tif and not .tiff."""
    return "".join(path.suffixes).replace(".tiff", ".tif")


def prepare(bundle: Path, dataset_dir: Path, work: Path, overrides: dict[str, Any]) -> tuple[str, list[dict[str, str]]]:
    """MONAI Label's app for bundles with the bundle in it, and a folder of images.

    Returns the model's name, by which the server knows an interactive one, and the items that have labels.
    """
    app = Path(sys.prefix, "monailabel/sample-apps/monaibundle")  # what `monailabel apps --download` copies
    shutil.copytree(app, work / "apps/monaibundle", ignore=shutil.ignore_patterns("__pycache__", "model", "logs"))
    dataset = json.loads((dataset_dir / "dataset.json").read_text())
    model = f"{bundle.name}_deepgrow" if "prompts" in dataset["training"][0] else bundle.name
    copy = work / "apps/monaibundle/model" / model
    shutil.copytree(bundle, copy, ignore=shutil.ignore_patterns("__pycache__", "output"))
    config = copy / "configs/train.json"  # for a short epoch; the server passes no knobs on
    config.write_text(json.dumps(json.loads(config.read_text()) | overrides))
    studies = work / "studies"
    studies.mkdir()
    items = []
    for number, item in enumerate(dataset["training"][:NUM_LABELLED]):
        image = dataset_dir / item["image"]
        items.append(item | {"id": f"image_{number}", "file": f"image_{number}{endings(image)}"})
        shutil.copyfile(image, studies / items[-1]["file"])
    return model, items


@contextmanager
def server(work: Path, model: str) -> Iterator[str]:
    """MONAI Label's server with the bundle; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [*PROGRAM, "start_server", "--app", work / "apps/monaibundle"]
    command += ["--studies", work / "studies", "--conf", "models", model, "--conf", "zoo_source", "ngc"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with (work / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=work, stdout=log, stderr=log)
    try:
        yield wait_for(f"http://127.0.0.1:{port}", process, work / "server.log")
    finally:
        process.terminate()
        process.wait(30)


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> str:
    """The address, once the server answers there."""
    started = time.monotonic()
    while time.monotonic() < started + START_S:
        if process.poll() is not None:
            sys.exit(f"the server ended: {log.read_text()[-3000:]}")
        try:
            if requests.get(f"{address}/info/", timeout=60).ok:
                return address
        except requests.ConnectionError:
            time.sleep(1)
    sys.exit(f"the server does not answer: {log.read_text()[-3000:]}")


def answer(response: requests.Response, log: Path) -> requests.Response:
    if not response.ok:
        sys.exit(f"{response.request.url}: {response.status_code} {response.text[:500]}; {last_error(log)}")
    return response


def last_error(log: Path) -> str:
    """The last line of the server's log that is an error."""
    lines = log.read_text(errors="replace").splitlines()
    return next((line for line in reversed(lines) if "Error" in line), "no error in its log")[:500]


def infer(address: str, model: str, image_id: str, work: Path, **asked: Any) -> tuple[np.ndarray, dict[str, Any]]:
    """The label map that the server answers with, and what it says of it; ``asked`` goes along."""
    url, params = f"{address}/infer/{model}", {"image": image_id}
    data = {"params": json.dumps({"device": "cpu", **asked})}
    response = answer(requests.post(url, params=params, data=data, timeout=ANSWER_S), work / "server.log")
    head = f"Content-Type: {response.headers['content-type']}\r\n\r\n".encode()
    parts = {part.get_param("name", header="content-disposition"): part for part in _parts(head + response.content)}
    said = json.loads(parts["params"].get_payload(decode=True))
    file = work / f"{image_id}_answer{endings(Path(parts['image'].get_filename()))}"
    file.write_bytes(parts["image"].get_payload(decode=True))
    return read(file), said


def ask_for_fibres(address: str, model: str, item: dict[str, str], data: Path, work: Path) -> str:
    """Click at one fibre, draw a box around another; only they may be in the answers."""
    with (data / item["prompts"]).open() as file:
        clicked, boxed, *_ = csv.DictReader(file, delimiter="\t")
    asked = {
        clicked["id"]: {"foreground": [[float(clicked["x"]), float(clicked["y"])]]},
        boxed["id"]: {"roi": [float(boxed[side]) for side in ("x_min", "y_min", "x_max", "y_max")]},
    }
    truth = read(data / item["label"])
    shares = []
    for number, prompts in asked.items():
        fibre, found = truth == int(number), infer(address, model, item["id"], work, **prompts)[0] > 0
        shares.append((fibre & found).sum() / (fibre | found).sum())
    if min(shares) < 0.5:
        sys.exit(f"a click and a box gave other fibres: IoU {shares}")
    return "a click and a box gave the fibres that were meant, "


def _parts(message: bytes) -> list[Any]:
    payload = message_from_bytes(message).get_payload()
    if isinstance(payload, str):
        sys.exit(f"the server answered without an image: {payload[:500]}")
    return list(payload)


def draw_label(item: dict[str, str], data: Path, work: Path) -> Path:
    """The label of an item as somebody draws it in MONAI Label: fibres as classes, all else as objects."""
    if "myelin" not in item:
        return data / item["label"]
    classes = np.where(read(data / item["axon"]) > 0, 2, read(data / item["myelin"]) > 0).astype(np.uint8)
    path = work / f"{item['id']}_classes.png"
    Image.fromarray(classes).save(path)
    return path


def submit(address: str, item: dict[str, str], label: Path, work: Path) -> None:
    """Give the server the final label of an image."""
    with label.open("rb") as file:
        answer(
            requests.put(
                f"{address}/datastore/label",
                params={"image": item["id"], "tag": "final"},
                files={"label": (f"label{endings(label)}", file)},
                timeout=ANSWER_S,
            ),
            work / "server.log",
        )


def main(bundle_root: str, dataset_dir: str, _: str, work_dir: str, overrides: str) -> None:
    bundle, data, work = Path(bundle_root).resolve(), Path(dataset_dir).resolve(), Path(work_dir).resolve()
    model, items = prepare(bundle, data, work, json.loads(overrides))
    weights = work / "apps/monaibundle/model" / model / "models/model.pt"
    with server(work, model) as address:
        info = requests.get(f"{address}/info/", timeout=60).json()
        names = info["models"][model]["labels"]
        labels, said = infer(address, model, items[0]["id"], work)
        words = f"{describe(labels, work / 'studies' / items[0]['file'])} ({', '.join(names)})"
        if sorted(names.values()) != list(range(1, len(names) + 1)):
            sys.exit(f"/info names {names}")
        if said["label_names"] != names:
            sys.exit(f"/infer names {said['label_names']}, /info {names}")
        clicked = ask_for_fibres(address, model, items[0], data, work) if "prompts" in items[0] else ""
        for item in items:
            submit(address, item, draw_label(item, data, work), work)
        before = torch.load(weights, weights_only=True)
        request = {"max_epochs": 1, "val_split": 0.5, "device": "cpu", "tracking": "None"}
        response = requests.post(f"{address}/train/{model}", params={"run_sync": True}, json=request, timeout=ANSWER_S)
        answer(response, work / "server.log")
        after = torch.load(weights, weights_only=True)
        changed = sum(not torch.equal(before[name], after[name]) for name in after)
        if not changed:
            sys.exit(
                f"training left {weights.name} as it was; {response.text[:300]}; {last_error(work / 'server.log')}"
            )
        infer(address, model, items[0]["id"], work)
        log = (work / "server.log").read_text(errors="replace")
        if "Reload model from cache" not in log:
            sys.exit("the server answers with what it loaded before the training")
    trained = f"trained on {len(items)} submitted labels, {changed} of {len(after)} tensors changed and served"
    print(f"{words}; {clicked}{trained}")


if __name__ == "__main__":
    main(*sys.argv[1:])
