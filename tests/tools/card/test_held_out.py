"""Scores of weights that did not see what they are measured on stand for shipped weights that saw everything."""

import hashlib
import json
import os

import pytest

from common.errors import InputError
from tests.tools.sections import toolbox_section
from tools.bundles import VARIABLE
from tools.card.commands import card
from tools.card.files import card_disagreements
from tools.card.overview import overview_table
from tools.card.sections import END, START

SLIDES = {"A": ["A_left.tiff", "A_right.tiff", "A_low.tiff"], "B": ["B_left.tiff"]}
DICE = {"A_left.tiff": 0.8, "A_right.tiff": 0.9, "A_low.tiff": 0.7, "B_left.tiff": 0.6}


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    folder = tmp_path / "bundles/some_bundle"
    toolbox = toolbox_section(unit="slide", metrics={"dice": {"title": "Dice"}})
    metadata = {"name": "x", "task": "t", "licences": {"data": "CC-BY-4.0"}, "toolbox": toolbox, "eval_metrics": {}}
    texts = {"configs/metadata.json": json.dumps(metadata, indent=4), "docs/README.md": f"{START}\n{END}\n"}
    for name, text in (texts | {"models/model.pt": "shipped"}).items():
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "bundles"))
    return folder


@pytest.fixture
def evaluate(write_scores, tmp_path):
    """Function that leaves one slide out: its dataset, the weights of the other, and their evaluation."""

    def leave_out(tested: str, training: tuple[str, ...] = (), name: str = "crypts") -> tuple[str, str]:
        dataset = tmp_path / f"to{tested}"
        (dataset / "images").mkdir(parents=True)
        items = {s: [{"image": f"images/{image}", "slide": s} for image in SLIDES[s]] for s in SLIDES}
        datalist = {"name": name, "testing": items[tested]}
        datalist["training"] = [i for s in training or SLIDES if s != tested or training for i in items[s]]
        (dataset / "dataset.json").write_text(json.dumps(datalist))
        weights = dataset / "model.pt"
        weights.write_text(f"without {tested}")
        os.utime(weights, (0, 0))
        write_scores(
            dataset / "scores", {"dice": {dataset / "images" / image: DICE[image] for image in SLIDES[tested]}}
        )
        return str(dataset / "scores"), str(weights)

    return leave_out


def in_turn(*evaluations: tuple[str, str]) -> tuple[str, str]:
    """Folders and weights as the command line takes them."""
    return tuple(",".join(parts) for parts in zip(*evaluations, strict=True))


def test_card_says_first_that_the_scores_are_of_slides_not_seen(bundle, evaluate):
    folders, weights = in_turn(evaluate("A"), evaluate("B"))
    assert card("some_bundle", folders, held_out=weights)["dice"] == "0.7500, n = 4"
    entry = json.loads((bundle / "configs/metadata.json").read_text())["eval_metrics"]["dice"]
    assert (entry["n"], entry["units"], entry["split"]) == (4, 2, "held out")
    assert entry["unit_means"] == {"A": pytest.approx(0.8), "B": pytest.approx(0.6)}
    assert entry["case_means"] == {name: pytest.approx(score) for name, score in DICE.items()}
    assert entry["checkpoint_sha256"] == hashlib.sha256(b"shipped").hexdigest()
    assert entry["held_out_sha256"] == [hashlib.sha256(f"without {s}".encode()).hexdigest() for s in "AB"]
    text = (bundle / "docs/README.md").read_text()
    first = text.partition(START)[2].strip().splitlines()[0]
    assert first.startswith("**These are the scores of the recipe on a slide that it has not seen**")
    assert "| A_low.tiff | 0.7000 |" in text and "| B | 0.6000 |" in text
    assert ", left out of the training" in overview_table(bundle.parent)
    assert card_disagreements(bundle) == []


def test_other_shipped_weights_are_another_recipe(bundle, evaluate):
    folders, weights = in_turn(evaluate("A"), evaluate("B"))
    card("some_bundle", folders, held_out=weights)
    (bundle / "models/model.pt").write_text("others")
    assert "dice was measured with other weights than models/model.pt" in " ".join(card_disagreements(bundle))


def test_slide_that_was_trained_on_was_not_held_out(bundle, evaluate):
    folders, weights = in_turn(evaluate("A", training=("A", "B")))
    with pytest.raises(InputError, match="slide A is under training, too, so it was not held out"):
        card("some_bundle", folders, held_out=weights)


def test_each_evaluation_has_its_weights_and_an_image_counts_once(bundle, evaluate):
    first, second = evaluate("A"), evaluate("B")
    with pytest.raises(InputError, match="2 evaluations and 1 weights"):
        card("some_bundle", in_turn(first, second)[0], held_out=first[1])
    with pytest.raises(InputError, match="an image is in two of them"):
        card("some_bundle", *in_turn(first, first)[:1], held_out=in_turn(first, first)[1])


def test_datasets_do_not_mix(bundle, evaluate):
    folders, weights = in_turn(evaluate("A"), evaluate("B", name="others"))
    with pytest.raises(InputError, match="of several datasets"):
        card("some_bundle", folders, held_out=weights)


def test_weights_that_are_newer_than_their_evaluation(bundle, evaluate, tmp_path):
    folders, weights = in_turn(evaluate("A"))
    os.utime(weights)
    os.utime(tmp_path / "toA/scores/metrics.csv", (1, 1))
    with pytest.raises(InputError, match="older than .*model.pt, so of other weights"):
        card("some_bundle", folders, held_out=weights)
