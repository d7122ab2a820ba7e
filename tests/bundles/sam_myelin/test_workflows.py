"""Training on embeddings or on images, and evaluation, through the configs."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sam_myelin.reading
import torch
from monai.bundle import ConfigWorkflow
from sam_myelin.embeddings import hash_weights
from sam_myelin.network import SamMyelin
from sam_myelin.segmenter import SegmenterLoader

from tests.bundles.sam_myelin.stand_ins import GrayNetwork, draw_grid
from tests.refusals import refusing

ROOT = Path(__file__).parents[3] / "bundles" / "sam_myelin"
SIZE = 64
SCORES = {"dice", "iou", "axon_dice", "fibre_dice", "box_dice", "box_iou", "seg", "seg_per_image", "f1"}
DIFFERENCES = {"g_ratio_error", "g_ratio_bias", "axon_diameter_error", "thickness_error"}
SPREADS = {"g_ratio_limits", "axon_diameter_bias", "axon_diameter_limits"}
BY_MODALITY = DIFFERENCES | SPREADS | {"dice", "axon_dice", "f1", "seg", "ap_dsb"}
UNDEFINED = pytest.mark.filterwarnings(  # of what no image defines: all are of one modality
    "ignore:All-NaN slice:RuntimeWarning",
    "ignore:Mean of empty slice:RuntimeWarning",
    "ignore:Degrees of freedom:RuntimeWarning",
)
SMALL = {
    "image_size": SIZE,
    "max_epochs": 1,
    "val_interval": 1,
    "views": 2,
    "prompts_per_image": 2,
    "batch_size": 2,
} | {"patches_per_epoch": 8}


@pytest.fixture
def dataset_dir(write_image, tmp_path) -> Path:
    """Two images for training, one in the fold for validation, one for testing, of six fibres each."""
    sections: dict[str, list] = {"training": [], "testing": []}
    for number, fold in enumerate((0, 1, 1, None)):
        image, labels, axon = draw_grid(2, 3)
        image = image + np.random.default_rng(number).integers(0, 9, image.shape, np.uint8)
        masks = {"axon": axon & (labels > 0), "myelin": ~axon & (labels > 0)}
        item = {"image": f"i{number}_TEM.png", "label": f"l{number}.png", "pixel_size_um": 0.01}
        write_image(f"data/i{number}_TEM.png", image)
        write_image(f"data/l{number}.png", labels.astype(np.uint16))
        for name, mask in masks.items():
            item[name] = f"{name}{number}.png"
            write_image(f"data/{name}{number}.png", np.where(mask, 255, 0).astype(np.uint8))
        sections["testing" if fold is None else "training"].append(item | ({} if fold is None else {"fold": fold}))
    (tmp_path / "data/dataset.json").write_text(json.dumps({"name": "drawn", "licence": "none"} | sections))
    return tmp_path / "data"


@pytest.fixture
def open_workflow(dataset_dir, tmp_path) -> Callable[..., ConfigWorkflow]:
    """Function that opens train.json and what overrides it, on a small network with random weights."""

    def start(*overriding: str, **overrides) -> ConfigWorkflow:
        configs = [str(ROOT / "configs" / f"{name}.json") for name in ("train", *overriding)]
        settings = {"bundle_root": str(ROOT), "dataset_dir": str(dataset_dir), "device": torch.device("cpu")}
        settings |= {"output_dir": str(tmp_path / "output"), "pretrained": False}
        workflow = ConfigWorkflow(configs, workflow_type="train", logging_file=False, **settings | SMALL | overrides)
        workflow.initialize()
        return workflow

    return start


@pytest.fixture
def weights(tmp_path) -> Path:
    """A checkpoint of the small network."""
    torch.save(SamMyelin("efficient", SIZE).state_dict(), tmp_path / "weights.pt")
    return tmp_path / "weights.pt"


def read(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)


def parts_that_differ(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> set[str]:
    return {name.split(".")[0] for name in one if not torch.equal(one[name], other[name])}


@pytest.mark.slow
def test_training_on_embeddings_reads_each_image_once_and_leaves_the_encoders(
    open_workflow, weights, tmp_path, monkeypatch
):
    paths, read_micrograph = [], sam_myelin.reading.read_micrograph

    def reading(path, **options):
        paths.append(Path(path).name)
        return read_micrograph(path, **options)

    monkeypatch.setattr(sam_myelin.reading, "read_micrograph", reading)
    open_workflow(pretrained=True, ckpt_path=str(weights), max_epochs=3, val_interval=3).run()
    assert sorted(paths) == ["i0_TEM.png", "i1_TEM.png", "i2_TEM.png"], "that of the validation among them"
    assert len(list((tmp_path / "output/embeddings").glob("*.npz"))) == 2 * 2 * 15  # images, views, tiles
    assert parts_that_differ(read(weights), read(tmp_path / "output/model.pt")) == {"mask_decoder"}


@pytest.mark.slow
def test_embeddings_made_beforehand_are_used(open_workflow, weights, tmp_path, monkeypatch):
    open_workflow("embed", pretrained=True, ckpt_path=str(weights)).run()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "output/embeddings").iterdir()}
    assert len(kept) == 3 * 2 * 15, "validation is embedded too"
    damaged = min(kept)
    damaged.write_bytes(b"PK")
    open_workflow(pretrained=True, ckpt_path=str(weights), val_interval=1).run()
    assert {path for path, time in kept.items() if path.stat().st_mtime_ns != time} <= {damaged}


@pytest.mark.slow
def test_training_on_images_trains_the_encoders_too(open_workflow, weights, tmp_path):
    overrides = {"finetune_encoder": True, "min_visible": 0}
    open_workflow(pretrained=True, ckpt_path=str(weights), **overrides).run()
    trained = read(tmp_path / "output/model.pt")
    assert parts_that_differ(read(weights), trained) >= {"image_encoder", "mask_decoder"}
    assert not (tmp_path / "output/embeddings").exists()


@pytest.mark.slow
def test_a_resumed_training_goes_on_from_its_own_weights(open_workflow, weights, tmp_path):
    start = {"pretrained": True, "ckpt_path": str(weights)}
    open_workflow(**start).run()
    finished = open_workflow(**start)
    finished.run()
    resumed = finished.parser.get_parsed_content("network").state_dict()
    assert parts_that_differ(read(tmp_path / "output/resume.pt")["network"], resumed) == set()
    assert parts_that_differ(read(weights), resumed) == {"mask_decoder"}


def test_segmenter_is_trained_by_itself_and_taken_over(open_workflow, tmp_path):
    small = {"image_size": SIZE, "batch_size": 2, "patches_per_epoch": 4, "encoder_loader#weights": "none"}
    open_workflow("segmenter", **small).run()
    trained = read(tmp_path / "output/model.pt")
    network = SamMyelin("efficient", SIZE)
    SegmenterLoader(network, tmp_path / "output/model.pt")()
    assert all(torch.equal(network.segmenter.state_dict()[name], value) for name, value in trained.items())
    torch.save(network.state_dict(), tmp_path / "whole.pt")
    del small["encoder_loader#weights"]
    tuned = open_workflow("segmenter", **small, finetune_checkpoint=str(tmp_path / "whole.pt")).parser
    assert tuned.get_parsed_content("encoder_loader").weights == "none"
    tuned.get_parsed_content("segmenter_loader")()
    torch.testing.assert_close(dict(tuned.get_parsed_content("network").state_dict()), trained, rtol=0, atol=0)


@UNDEFINED
@pytest.mark.slow
@pytest.mark.parametrize("given", [True, False])
def test_evaluation_judges_the_segmenter_that_is_given(open_workflow, weights, tmp_path, given):
    """Not that of the checkpoint, which fine-tuning with `segmenter.json` leaves as it is."""
    torch.save(SamMyelin("efficient", SIZE).state_dict(), tmp_path / "other.pt")
    overrides = {"segmenter_weights": str(tmp_path / "other.pt")} if given else {}
    evaluation = open_workflow("evaluate", pretrained=True, ckpt_path=str(weights), **overrides)
    evaluation.run()
    judged = evaluation.parser.get_parsed_content("network").state_dict()
    assert parts_that_differ(read(weights), judged) == ({"segmenter"} if given else set())


@UNDEFINED
@pytest.mark.parametrize(
    ("overriding", "prefixes", "kinds"),
    [
        ((), ("",), SCORES | DIFFERENCES),
        (("by_modality",), ("tem_", "sem_"), BY_MODALITY),
        (("boxes_by_modality",), ("tem_", "sem_"), {"fibre_dice"}),
    ],
    ids=["together", "by modality", "boxes by modality"],
)
def test_evaluation_writes_every_score(open_workflow, tmp_path, overriding, prefixes, kinds):
    as_it_is = {
        "_target_": "sam_myelin.common.training.devices.to_device",
        "network": "@network_def",
        "device": "@device",
    }
    workflow = open_workflow("evaluate", *overriding, ckpt_path="none", network=as_it_is)
    workflow.network_def = GrayNetwork(SIZE)  # MONAI's name for the slot
    workflow.run()
    lines = (tmp_path / "output/metrics.csv").read_text().splitlines()
    scores = {name: float(value) for name, value in (re.split(r"[\t,]", line) for line in lines if line.strip())}
    assert set(scores) == {prefix + name for prefix in prefixes for name in kinds}
    scores = {name.removeprefix("tem_"): score for name, score in scores.items() if not name.startswith("sem_")}
    assert all(0.7 < scores[name] <= 1 for name in kinds - DIFFERENCES - SPREADS), scores
    assert all(abs(scores[name]) < 0.15 for name in kinds & (DIFFERENCES | SPREADS)), scores


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"views": 9}, "--views 9: .* give 1 to 8"),
        ({"halo": 0.5}, "--halo 0.5: expected a number from 0 to below 0.5"),
        ({"prompts_per_imag": 3}, "unknown override --prompts_per_imag; did you mean --prompts_per_image"),
        ({"target": "sheath"}, "--target sheath: unknown"),
        ({"variant": "efficient", "pretrained": True, "ckpt_path": "nowhere.pt"}, "nowhere.pt: no such checkpoint"),
    ],
)
def test_impossible_trainings(open_workflow, overrides, message):
    with refusing(message):
        open_workflow(**overrides).run()


def test_what_an_encoder_has_seen_makes_another_encoder():
    """Running statistics of the batch normalisation are in the hash, or stale embeddings would be used in silence."""
    network = SamMyelin("efficient", SIZE).train()
    before = hash_weights(network.encoder_parts)
    network.encode(torch.randn(2, 3, SIZE, SIZE))
    assert hash_weights(network.encoder_parts) == before, "a training of the decoder changed the segmenter"
    network.segmenter.train()
    network.encode(torch.randn(2, 3, SIZE, SIZE))
    assert hash_weights(network.encoder_parts) != before
