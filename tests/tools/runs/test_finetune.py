"""Fine-tuning trains on everything from the shipped weights, and says what that gained."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from common.errors import InputError
from tests.tools.runs.conftest import touch_files
from tests.tools.sections import toolbox_section
from tools.__main__ import VERBS
from tools.bundles import find_bundle
from tools.command_line import run
from tools.finetune import finetune
from tools.toolbox import read_toolbox

TRAIN = {"dataset_dir": "", "fold": 0, "output_dir": "", "finetune_checkpoint": "none", "max_epochs": 9, "rate": 0.1}
TOOLBOX = toolbox_section(unit="slide", metrics={"iou": {"title": "IoU"}})


@pytest.fixture
def bundles(write_bundles):
    return write_bundles(some_bundle={"metadata": {"toolbox": TOOLBOX}, "train": TRAIN, "evaluate": {}})


@pytest.fixture
def write_dataset(tmp_path):
    def write(*tested: str):
        content = {"name": "drawn", "training": [{"image": "a", "label": "x", "fold": 0}]}
        content["testing"] = [{"image": image, "label": "x"} for image in tested]
        (tmp_path / "dataset").mkdir(exist_ok=True)
        (tmp_path / "dataset/dataset.json").write_text(json.dumps(content))
        touch_files(tmp_path / "dataset")

    return write


@pytest.fixture
def ran(bundles, fake_run, write_scores):
    shipped = bundles / "some_bundle/models/model.pt"
    shipped.parent.mkdir()
    shipped.touch()

    def train(_, option, output_dir):
        for name in ("model.pt", "resume.pt"):
            (output_dir / name).touch()

    def evaluate(_, option, output_dir):
        write_scores(output_dir, {"iou": {"t": 0.5 if option["--ckpt_path"] == str(shipped) else 0.75}})

    fake_run.train, fake_run.evaluate = train, evaluate
    fake_run.score = lambda folder, iou: write_scores(folder, {"iou": {"t": float(iou)}})
    return fake_run


def call(**options):
    return finetune("some_bundle", dataset_dir="dataset", output_dir="tuned", **options)


def test_all_images_are_trained_on_from_the_shipped_weights(ran, write_dataset):
    write_dataset()
    told = call(rate="0.5")
    (command,) = ran.commands.values()
    text = " ".join(command)
    assert "--fold none" in text and "--rate 0.5" in text and "--max_epochs 20" in text
    assert "bundles/some_bundle/models/model.pt" in command[command.index("--finetune_checkpoint") + 1]
    assert told["trained on"] == 1 and "IoU" not in told and "not measured" in told["gain"]
    assert "--ckpt_path tuned/model.pt" in told["use them"]


def test_weights_in_a_folder_with_a_space_are_named_as_a_shell_takes_them(ran, write_dataset):
    write_dataset()
    told = finetune("some_bundle", dataset_dir="dataset", output_dir="my cells")
    assert told["use them"].endswith("--ckpt_path 'my cells/model.pt'")


def test_what_it_gained_is_measured_where_there_are_images_to_test_on(ran, write_dataset):
    write_dataset("t")
    assert call()["IoU"] == "0.5000 before, 0.7500 after, n = 1"
    assert len(ran.names) == 3
    call()
    assert len(ran.names) == 3  # all of it was done before


def test_the_part_that_users_use_is_trained_by_its_own_config(ran, bundles, write_dataset):
    metadata = bundles / "some_bundle/configs/metadata.json"
    content = json.loads(metadata.read_text())
    content["toolbox"]["finetuning"] = {"config": "part.json", "weights": "part_weights"}
    metadata.write_text(json.dumps(content))
    (metadata.parent / "part.json").write_text("{}")
    ran.evaluate = lambda _, option, output_dir: ran.score(output_dir, "tuned" in option["--part_weights"])
    write_dataset("t")
    told = call()
    train, *evaluations = (" ".join(command) for command in ran.commands.values())
    assert "train.json','bundles/some_bundle/configs/part.json'" in train
    assert all("part.json" not in command and "--ckpt_path" not in command for command in evaluations)
    assert told["IoU"] == "0.0000 before, 1.0000 after, n = 1" and "--part_weights tuned/model.pt" in told["use them"]


def test_what_it_cannot_do_is_refused(ran, write_dataset):
    write_dataset()
    with pytest.raises(InputError, match="--dataset_dir missing; give the dataset that"):
        finetune("some_bundle")
    (Path("dataset") / "dataset.json").write_text('{"training": [{"image": "a"}]}')
    with pytest.raises(InputError, match="dataset.json: no completely labelled image under training; add one with"):
        call()
    with pytest.raises(InputError, match="--finetune_checkpoint: finetune sets it for each run; it is the"):
        call(finetune_checkpoint="x.pt")
    with pytest.raises(InputError, match="unknown override --ratee; did you mean --rate"):
        call(ratee="1")


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["devonet_nsn", "sam_myelin", "swinunet_livecell"])
def test_corrected_labels_of_a_real_bundle_are_learned(tmp_path, name):
    """From a sample, through `correct` and `finetune`, to weights that are others."""
    bundle = find_bundle(name)
    toolbox = read_toolbox(bundle)
    source, converted, kept = (tmp_path / part for part in ("source", "converted", "kept"))
    assert run(VERBS, ["sample", toolbox.source.format, str(source)]) == 0
    assert run(VERBS, ["convert", toolbox.source.format, str(source), str(converted), *toolbox.source.convert]) == 0
    items = json.loads((converted / "dataset.json").read_text())["training"][:2]
    for item, switch in zip(items, ([], ["--test"]), strict=True):
        labels = converted / item["label"]
        if "axon" in item:  # classes are corrected, fibres are made of them
            axon, myelin = (np.asarray(Image.open(converted / item[key])) > 0 for key in ("axon", "myelin"))
            labels = tmp_path / "classes.png"
            Image.fromarray(np.where(axon, 2, myelin).astype(np.uint8)).save(labels)
            switch = [*switch, "--spacing", str(item["pixel_size_um"])]
        assert run(VERBS, ["correct", name, str(converted / item["image"]), str(labels), str(kept), *switch]) == 0
    brief = {**toolbox.offline, **toolbox.brief, "batch_size": 1}
    brief |= {"patches_per_epoch": 2} if "patches_per_epoch" in brief else {}
    told = finetune(
        name,
        dataset_dir=str(kept),
        output_dir=str(tmp_path / "tuned"),
        max_epochs="1",
        **{key: str(value) for key, value in brief.items()},
    )
    before, after = (torch.load(of, weights_only=True) for of in (bundle / "models/model.pt", told["weights"]))
    if toolbox.finetuning is not None:
        before = {
            key.removeprefix("segmenter."): value for key, value in before.items() if key.startswith("segmenter.")
        }
    assert before.keys() == after.keys() and any(not torch.equal(before[key], after[key]) for key in before)
    assert "before" in next(value for value in told.values() if "n = 1" in str(value))
