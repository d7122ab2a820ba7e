"""The contract that every folder in bundles/ keeps; a new bundle inherits it without a line here."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import jsonschema
import numpy as np
import onnxruntime
import pytest
import tifffile
import torch
from mlflow import MlflowClient
from monai.bundle import ConfigParser, ConfigWorkflow, ckpt_export, download, load, onnx_export, verify_net_in_out
from monai.transforms import Compose
from monai.utils import path_to_sqlite_uri, set_determinism

from tests.processes import finish, run_on_two, start_module
from tools.card.files import card_disagreements
from tools.convert.nifti import write_volume
from tools.runs.words import as_words
from tools.segment.backend import read_record
from tools.segment.description import describe_bundle
from tools.segment.loaded import LoadedBundle
from tools.segment.results import read_mask
from tools.share.checks import is_shared
from tools.share.commands import share
from tools.toolbox import read_toolbox
from tools.vendor import differing_copies

ROOT = Path(__file__).parents[2]
CONFIGS = {
    "train": ("train", ["train.json"]),
    "evaluate": ("train", ["train.json", "evaluate.json"]),
    "inference": ("infer", ["inference.json"]),
}
ONNX = [*CONFIGS["inference"][1], "inference_onnx.json"]
ONNX_KEYS = {"onnx_path", "exporter", "differences"}  # of an export, which inference in PyTorch has no use for
PACKAGES = {"monai": "monai", "torch": "pytorch", "numpy": "numpy"}
SHORT = {"max_epochs": 1, "val_interval": 1}
BUNDLES = sorted(path.parents[1] for path in (ROOT / "bundles").glob("*/configs/metadata.json"))
MAX_FILE_SIZE = 25 * 2**20
ONLY_LISTED = Path(__file__).parent / "only_listed"


def read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def run_bundle(*arguments: str, cwd: Path) -> str:
    """Run ``python -m monai.bundle ...``; its output, after a check that it went well."""
    return finish(start_module("monai.bundle", *arguments, cwd=cwd))


def overrides_of(bundle: Path) -> dict[str, Any]:
    """Overrides with which a training fetches nothing, and takes seconds."""
    toolbox = read_toolbox(bundle)
    return {**toolbox.offline, **toolbox.brief}


def options_of(bundle: Path) -> list[str]:
    """The same for the command line."""
    return as_words(overrides_of(bundle))


@pytest.fixture
def workflow(bundle: Path, dataset_dir: Path, tmp_path: Path) -> Callable[..., ConfigWorkflow]:
    """Function that opens one of the bundle's workflows on the synthetic dataset, in this process."""

    def open_workflow(name: str, **overrides: Any) -> ConfigWorkflow:
        kind, files = CONFIGS[name]
        paths = {"bundle_root": str(bundle), "dataset_dir": str(dataset_dir), "output_dir": str(tmp_path / "output")}
        config_file = [str(bundle / "configs" / file) for file in files]
        opened = ConfigWorkflow(config_file, workflow_type=kind, logging_file=False, **paths | overrides)
        opened.initialize()
        return opened

    yield open_workflow
    set_determinism(seed=None)


@pytest.fixture(scope="session")
def network(bundle: Path) -> torch.nn.Module:
    """The bundle's network with its shipped weights; tests leave it as it is."""
    parser = ConfigParser(read_json(bundle / "configs/inference.json"))
    parser["bundle_root"] = str(bundle)
    built = parser.get_parsed_content("network_def")
    built.load_state_dict(torch.load(bundle / "models/model.pt", weights_only=True))
    return built.eval()


@pytest.fixture
def image(bundle: Path) -> torch.Tensor:
    """An input of the network: 32 pixels along every axis that the metadata leaves free."""
    entry = read_json(bundle / "configs/metadata.json")["network_data_format"]["inputs"]["image"]
    shape = [size if isinstance(size, int) else 32 for size in entry["spatial_shape"]]
    return torch.rand(1, entry["num_channels"], *shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def served() -> Iterator[Callable[[Path], str]]:
    """Function that serves a folder over HTTP while the test runs, and gives its address."""
    servers = []

    def serve(folder: Path) -> str:
        handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_metadata_fits_the_schema(bundle):
    metadata = read_json(bundle / "configs/metadata.json")
    local = ROOT.parent / "shared/schema" / Path(metadata["schema"]).name
    try:
        schema = json.loads(local.read_text() if local.exists() else urlopen(metadata["schema"], timeout=5).read())
    except OSError as error:
        pytest.skip(f"the schema is neither at hand nor downloadable: {error}")
    jsonschema.validate(metadata, schema)


def test_metadata_version_heads_the_changelog(bundle):
    metadata = read_json(bundle / "configs/metadata.json")
    assert metadata["version"] in metadata["changelog"]


def test_metadata_names_the_versions_that_requirements_pin(bundle):
    pins = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    metadata = read_json(bundle / "configs/metadata.json")
    stated = {package: metadata[f"{key}_version"] for package, key in PACKAGES.items()}
    stated |= metadata["required_packages_version"] | metadata["toolbox"]["optional_packages"]
    assert stated == {package: pins.get(package) for package in stated}


def test_card_says_in_one_line_which_packages_the_bundle_alone_needs(bundle):
    metadata = read_json(bundle / "configs/metadata.json")
    stated = {name: metadata[f"{key}_version"] for name, key in PACKAGES.items()}
    stated |= metadata["required_packages_version"]
    line = " ".join(["pip install", *(f"{name}=={version}" for name, version in stated.items())])
    assert line in (bundle / "docs/README.md").read_text().splitlines()


@pytest.mark.parametrize("name", CONFIGS)
def test_workflow_has_every_property_that_monai_expects(workflow, name):
    assert workflow(name).check_properties() == []


def test_initialize_of_training_needs_neither_data_nor_weights(workflow):
    assert workflow("train", dataset_dir="/nowhere", ckpt_path="/nowhere/model.pt").parser["dataset_dir"] == "/nowhere"


def test_shipped_weights_never_replace_those_of_an_interrupted_training(bundle):
    """The trainer resumes when it starts, and handlers run in the order in which they were attached."""
    steps = read_json(bundle / "configs/train.json")["run"]
    loaders = ["$@checkpoint_loader()", "$@finetune_loader()"]
    training = ["$@checkpoint.attach(@train#trainer)", "$@train#trainer.run()"]
    assert [step for step in steps if step in (*loaders, *training)] == [*loaders, *training]


@pytest.mark.slow
@pytest.mark.parametrize(
    "bundle", [path for path in BUNDLES if path.name != "crypt_unet"], indirect=True, ids=lambda path: path.name
)
def test_fine_tuning_starts_better_than_training_from_scratch(bundle, workflow):
    """crypt_unet's weights know real stains, which the sample lacks: what they are worth shows after some steps."""
    shipped = str(bundle / "models/model.pt")
    parser = workflow("train", finetune_checkpoint=shipped, **overrides_of(bundle)).parser
    evaluator = parser.get_parsed_content("validate#evaluator")
    scores = []
    for start in (lambda: None, parser.get_parsed_content("finetune_loader")):
        start()
        evaluator.run()
        scores.append(evaluator.state.metrics[evaluator.state.key_metric_name])
    assert scores[0] < scores[1]


@pytest.mark.parametrize("override", ["evaluate.json", "multi_gpu_train.json"])
def test_override_file_changes_only_keys_that_exist(bundle, override):
    base = ConfigParser(read_json(bundle / "configs/train.json"))
    assert [key for key in read_json(bundle / "configs" / override) if key.removeprefix("+") not in base] == []


def test_override_file_for_onnx_changes_only_keys_that_exist(bundle):
    base, override = (read_json(bundle / "configs" / file) for file in ONNX)
    assert override.keys() - base.keys() == ONNX_KEYS


def test_handlers_are_lists_of_dicts(bundle):
    train, inference = (read_json(bundle / "configs" / f"{name}.json") for name in ("train", "inference"))
    for handlers in (train["train"]["handlers"], train["validate"]["handlers"], inference["handlers"]):
        assert all(isinstance(handler, dict) for handler in handlers)


def test_metrics_are_saved_by_a_handler_of_every_process(bundle):
    """It gathers the images' names from all: where others lack it, the first process would wait for them."""
    savers = [
        of for of in read_json(bundle / "configs/evaluate.json")["validate#handlers"] if "Saver" in of["_target_"]
    ]
    assert [saver.get("_disabled_") for saver in savers] == [None]


def test_knobs_of_training_and_inference_have_the_same_defaults(bundle):
    train, inference = (read_json(bundle / "configs" / f"{name}.json") for name in ("train", "inference"))
    shared = [key for key in train.keys() & inference.keys() if isinstance(train[key], (int, float, list))]
    shared = [key for key in shared if key not in ("imports", "initialize", "run")]
    assert {key: train[key] for key in shared} == {key: inference[key] for key in shared}


def test_training_and_inference_prepare_an_image_alike(workflow):
    training, inference = workflow("train"), workflow("inference")
    item = training.parser.get_parsed_content("validate#dataset#data")[0]
    trained = Compose(training.parser.get_parsed_content("train#deterministic_transforms"))(dict(item))["image"]
    validated = training.parser.get_parsed_content("validate#preprocessing")(dict(item))["image"]
    inferred = inference.parser.get_parsed_content("preprocessing")({"image": item["image"]})["image"]
    assert torch.equal(trained.as_tensor(), inferred.as_tensor())
    assert torch.equal(validated.as_tensor(), inferred.as_tensor())


def test_network_takes_and_gives_what_the_metadata_says(bundle, monkeypatch):
    monkeypatch.chdir(bundle)
    verify_net_in_out("network_def", meta_file="configs/metadata.json", config_file="configs/inference.json")


def test_weights_are_a_plain_state_dict_of_the_network(network):
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())


@pytest.mark.slow
def test_exported_torchscript_gives_the_same_logits(bundle, network, image, tmp_path, monkeypatch):
    monkeypatch.chdir(bundle)
    exported = tmp_path / "model.ts"
    ckpt_export(
        "network_def",
        filepath=str(exported),
        ckpt_file="models/model.pt",
        meta_file="configs/metadata.json",
        config_file="configs/inference.json",
        use_trace=True,
        input_shape=list(image.shape),
    )
    with torch.inference_mode():
        assert (torch.jit.load(exported)(image) - network(image)).abs().max() <= 1e-4


@pytest.mark.slow
def test_exported_onnx_gives_the_same_logits(bundle, network, image, tmp_path, monkeypatch):
    monkeypatch.chdir(bundle)
    exported = tmp_path / "model.onnx"
    onnx_export(
        "network_def",
        filepath=str(exported),
        ckpt_file="models/model.pt",
        meta_file="configs/metadata.json",
        config_file="configs/inference.json",
        input_shape=list(image.shape),
        **read_toolbox(bundle).onnx_export,
    )
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    result = session.run(None, {session.get_inputs()[0].name: image.numpy()})[0]
    with torch.inference_mode():
        assert np.abs(result - network(image).numpy()).max() <= 1e-4


@pytest.mark.slow
def test_a_constant_image_gives_an_empty_result_and_a_warning(bundle, tmp_path, caplog):
    taken = read_toolbox(bundle).input
    path = tmp_path / ("flat.nii.gz" if taken == "volume" else "flat.tif")
    if taken == "volume":
        write_volume(path, np.full((8, 32, 32), 128, np.uint8), (2.0, 0.8, 0.8))
    else:
        shape, kind = ((64, 64, 3), "rgb") if taken == "slide" else ((64, 64), "minisblack")
        tifffile.imwrite(path, np.full(shape, 128, np.uint8), photometric=kind)
    (tmp_path / "run/results").mkdir(parents=True)
    result = LoadedBundle(describe_bundle(bundle)).segment(path, tmp_path / "run", name="flat")
    assert not read_mask(result.mask)[0].any() and not read_mask(result.labels)[0].any()
    assert "flat: all pixels have one value, the result is empty" in caplog.text


# what it takes to find crypts in the synthetic sample with weights that know real stains
SENSITIVE = {"crypt_unet": ["--downsample", "4", "--threshold", "0.2", "--min_crypt_area", "0"]}


@pytest.mark.slow
@pytest.mark.few("devonet_nsn")
def test_inference_in_other_engines_gives_pytorchs_results(bundle, dataset_dir, workflow, shipped_graph, tmp_path):
    masks, output, graph = {}, "", ["--onnx_path", str(shipped_graph(bundle))]
    options = {"torch": ["--amp", "False"], "onnx": graph, "openvino": [*graph, "--network#engine", "openvino"]}
    if "seconds_openvino" not in read_record(shipped_graph(bundle)):  # the export found it wrong
        del options["openvino"]
    for way in options:
        files = ONNX[:1] if way == "torch" else ONNX
        output = run_bundle(
            *("run", "--config_file", str([str(bundle / "configs" / file) for file in files]), *options[way]),
            *("--bundle_root", str(bundle), "--dataset_dir", str(dataset_dir), "--output_dir", way),
            *SENSITIVE.get(bundle.name, []),
            cwd=tmp_path,
        )
        results = sorted((tmp_path / way).glob(f"*_{read_toolbox(bundle).result}.*"))
        masks[way] = {path.name: read_mask(path)[0] for path in results if path.suffix not in (".csv", ".tsv", ".json")}
    assert (
        "random" not in output and masks["torch"] and all(of.keys() == masks["torch"].keys() for of in masks.values())
    )
    again = workflow("inference", output_dir=str(tmp_path / "torch"), skip_existing=True)
    assert again.parser.get_parsed_content("datalist") == [], "all results that --skip_existing looks for are there"
    for name, mask in masks["torch"].items():
        for of in masks.values():
            assert np.mean((mask > 0) != (of[name] > 0)) < 1e-3
    assert any(mask.any() for mask in masks["torch"].values())


@pytest.mark.slow
def test_training_runs_from_the_bundles_root(bundle, dataset_dir, tmp_path):
    shipped = (bundle / "models/model.pt").read_bytes()
    run_bundle(
        *("run", "training", "--config_file", "configs/train.json", "--dataset_dir", str(dataset_dir)),
        *("--output_dir", str(tmp_path), "--max_epochs", "1", *options_of(bundle)),
        cwd=bundle,
    )
    assert (tmp_path / "model.pt").exists(), "a training shorter than val_interval is validated at its end"
    assert (bundle / "models/model.pt").read_bytes() == shipped


@pytest.mark.slow
def test_evaluation_runs_from_another_directory_and_writes_monais_metric_files(bundle, dataset_dir, tmp_path):
    configs = [str(bundle / "configs" / file) for file in ("train.json", "evaluate.json")]
    run_bundle(
        *("run", "--config_file", str(configs), "--bundle_root", str(bundle)),
        *("--dataset_dir", str(dataset_dir), "--output_dir", "evaluation"),
        cwd=tmp_path,
    )
    key_metric = next(iter(read_json(bundle / "configs/train.json")["validate"]["key_metric"]))
    written = {path.name for path in (tmp_path / "evaluation").iterdir()}
    assert {"metrics.csv", f"{key_metric}_raw.csv", f"{key_metric}_summary.csv"} <= written


@pytest.mark.slow
def test_training_runs_on_two_processes(bundle, dataset_dir, tmp_path):
    """With the environment that ``torchrun`` makes; see devonet_nsn's test for ``torchrun`` itself."""
    configs = [str(bundle / "configs" / file) for file in ("train.json", "multi_gpu_train.json")]
    logs = run_on_two(
        *("monai.bundle", "run", "training", "--config_file", configs, "--bundle_root", bundle),
        *("--dataset_dir", dataset_dir, "--output_dir", "output"),
        *("--max_epochs", "1", "--val_interval", "1", *options_of(bundle)),
        cwd=tmp_path,
    )
    assert (tmp_path / "output/model.pt").exists()
    assert "".join(logs).count("Epoch[1] Metrics") == 2, "training and validation are printed by one process only"


@pytest.mark.slow
def test_clients_of_a_federation_train_on_their_own_data_from_the_mean_of_all(bundle, dataset_dir, tmp_path):
    """MONAI's own client, initialized from a folder that is no bundle's; see `federation.py`."""
    shipped = {path: path.stat().st_mtime_ns for path in bundle.rglob("*") if "__pycache__" not in path.parts}
    second = tmp_path / "second"
    shutil.copytree(dataset_dir, second)
    listed = read_json(second / "dataset.json")
    held_out, others = ([item for item in listed["training"] if (item["fold"] == 0) == held] for held in (True, False))
    training = held_out + others[-1:]
    (second / "dataset.json").write_text(json.dumps({**listed, "training": training}))
    finish(
        start_module(
            *("tests.bundles.federation", str(bundle), str(dataset_dir), str(second), str(tmp_path)),
            json.dumps(overrides_of(bundle)),
            cwd=tmp_path,
        )
    )
    rounds = json.loads((tmp_path / "rounds.json").read_text())
    assert len(rounds) == 2
    for finished in rounds:
        assert all(change > 0 for change in finished["largest_changes"]) and finished["clients_differ"]
        assert finished["evaluates_what_was_sent"] and finished["metrics"]
    left = {path: path.stat().st_mtime_ns for path in bundle.rglob("*") if "__pycache__" not in path.parts}
    assert left == shipped, "a client leaves nothing in the bundle that the other could find"
    assert not list(tmp_path.rglob("resume.pt")), "the server keeps the weights"


@pytest.mark.slow
@pytest.mark.few("devonet_nsn")
def test_training_is_tracked_by_mlflow(bundle, dataset_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tracked = ConfigWorkflow(
        [str(bundle / "configs/train.json")],
        workflow_type="train",
        logging_file=False,
        tracking="mlflow",
        bundle_root=str(bundle),
        dataset_dir=str(dataset_dir),
        output_dir=str(tmp_path / "output"),
        **SHORT | overrides_of(bundle),
    )
    tracked.initialize()
    tracked.run()
    tracked.finalize()
    set_determinism(seed=None)
    client = MlflowClient(path_to_sqlite_uri(tmp_path / "output/mlruns.db"))
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    key_metric = next(iter(read_json(bundle / "configs/train.json")["validate"]["key_metric"]))
    assert any(key_metric in run.data.metrics for run in client.search_runs(experiments))


@pytest.mark.slow
@pytest.mark.few("crypt_unet")
def test_downloaded_copy_segments_alone(bundle, dataset_dir, tmp_path, served):
    """``tools share``, download over HTTP, inference in an empty directory with no packages but the listed ones."""
    shared = tmp_path / "shared"
    share(str(bundle), str(shared), url=served(shared))
    (entry,) = read_json(shared / "model_info.json").values()
    empty = tmp_path / "empty"
    empty.mkdir()
    download(bundle.name, bundle_dir=str(empty), source="github", url=entry["source"])
    command = [
        *(sys.executable, "-m", "monai.bundle", "run", "--config_file", f"{bundle.name}/configs/inference.json"),
        *("--bundle_root", bundle.name, "--dataset_dir", str(dataset_dir), "--output_dir", "results"),
    ]
    listed = read_json(bundle / "configs/metadata.json")["required_packages_version"]
    alone = os.environ | {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(ONLY_LISTED), "LISTED_PACKAGES": " ".join(listed)}
    done = subprocess.run(command, cwd=empty, env=alone, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    testing = read_json(dataset_dir / "dataset.json")["testing"]
    kind = read_toolbox(bundle).result
    stems = {Path(item["image"]).name.split(".")[0] for item in testing}
    assert {path.name.split(".")[0] for path in (empty / "results").glob(f"*_{kind}.*")} == {
        f"{stem}_{kind}" for stem in stems
    }


def test_monai_loads_the_network_with_its_shipped_weights(bundle, network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loaded = load(bundle.name, bundle_dir=str(bundle.parent), source="monaihosting")
    shipped = network.state_dict()
    assert all(torch.equal(value, shipped[name]) for name, value in loaded.state_dict().items())


@pytest.mark.slow
def test_every_bundle_imports_beside_the_others():
    names = sorted(path.parent.parent.name for path in ROOT.glob("bundles/*/configs/metadata.json"))
    code = f"import sys; sys.path[:0] = {[str(ROOT / 'bundles' / name) for name in names]}; import {', '.join(names)}"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0


def test_model_card_and_metadata_agree(bundle):
    assert card_disagreements(bundle) == []


def test_files_of_a_bundle(bundle):
    expected = ["LICENSE", "configs/logging.conf", "docs/README.md", "docs/data_license.txt", "models/model.pt"]
    assert [name for name in expected if not (bundle / name).is_file()] == []
    assert (bundle / bundle.name / "__init__.py").is_file()


def test_no_file_is_too_large_to_share(bundle):
    assert [path for path in bundle.rglob("*") if is_shared(path, bundle) and path.stat().st_size > MAX_FILE_SIZE] == []


def test_vendored_copies_equal_their_source():
    assert differing_copies(ROOT) == []
