"""Sizes of fibres beside those of the truth, in a table and in Bland and Altman's picture."""

import csv
import statistics

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.engines import SupervisedEvaluator
from PIL import Image
from sam_myelin.agreement import Agreement, AgreementReport, limits_of_agreement
from sam_myelin.agreement_picture import draw_agreement
from sam_myelin.fibres import AXON_VALUE, MYELIN_VALUE

from tests.bundles.sam_myelin.conftest import disc

SHAPE = (64, 64)
values = st.floats(-1, 1)


@given(st.lists(st.tuples(values, values), min_size=2))
def test_limits_are_bland_and_altmans(pairs):
    found, truth = zip(*pairs, strict=True)
    differences = [one - other for one, other in pairs]
    bias, reach = statistics.fmean(differences), 1.96 * statistics.stdev(differences)
    assert limits_of_agreement(found, truth) == pytest.approx((bias, bias - reach, bias + reach, len(pairs)), abs=1e-9)


def test_of_few_pairs_little_is_known():
    nan = float("nan")
    assert limits_of_agreement([], []) == pytest.approx((nan, nan, nan, 0), nan_ok=True)
    assert limits_of_agreement([0.5], [0.25]) == pytest.approx((0.25, nan, nan, 1), nan_ok=True)


def test_the_line_at_the_bias_goes_through_dots_that_all_have_it():
    truth = np.linspace(0.4, 0.8, 5)
    nan = float("nan")
    figure = draw_agreement([("g-ratio", truth + 0.1, truth, Agreement(0.1, nan, nan, 5))])
    dots, line = figure.axes[0].lines
    assert dots.get_ydata() == pytest.approx([0.1] * 5) and dots.get_xdata() == pytest.approx(truth + 0.05)
    assert list(line.get_ydata()) == [0.1, 0.1]
    assert "bias +0.100" in figure.axes[0].get_title() and "n = 5" in figure.axes[0].get_title()
    two = draw_agreement([("a", truth, truth, Agreement(0, -1, 1, 5))] * 2)
    assert [len(axes.lines) for axes in two.axes] == [4, 4]


def item(name: str, inner: float, modality: str | None) -> dict[str, object]:
    """A round fibre of radius 20, whose axon, of radius 12, was found with another radius."""
    whole = disc(SHAPE, 31, 31, 20)
    found = np.where(disc(SHAPE, 31, 31, inner), AXON_VALUE, np.where(whole, MYELIN_VALUE, 0))
    pred = torch.from_numpy(np.stack([7 * whole, found, 0 * found, 0 * found]).astype(np.int32))
    image = MetaTensor(torch.zeros(1, 3, *SHAPE), meta={"filename_or_obj": [name], "pixel_size_um": [0.5]})
    image.is_batch = True
    myelin = whole & ~disc(SHAPE, 31, 31, 12)
    told = {} if modality is None else {"modality": [modality]}
    return {
        "image": image,
        "pred": pred[None],
        "label": MetaTensor(torch.from_numpy(3 * whole.astype(np.int32))[None, None]),
        "myelin": MetaTensor(torch.from_numpy(myelin.astype(np.uint8))[None, None]),
        **told,
    }


@pytest.mark.parametrize("modalities", [("TEM", "SEM", "SEM"), (None, None, None)])
def test_an_evaluation_leaves_a_table_and_a_picture_per_modality(tmp_path, modalities):
    batches = [
        item(f"{n}.png", inner, kind) for n, (inner, kind) in enumerate(zip((12, 10, 15), modalities, strict=True))
    ]
    results = iter([batch["pred"] for batch in batches])
    evaluator = SupervisedEvaluator(
        device="cpu",
        val_data_loader=batches,
        network=torch.nn.Identity(),
        inferer=lambda inputs, network: next(results),
        val_handlers=[AgreementReport(tmp_path / "scores")],
    )
    evaluator.run()
    with (tmp_path / "scores" / "agreement.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["image"], row["fibre"], row["true_fibre"]) for row in rows] == [
        ("0", "7", "3"),
        ("1", "7", "3"),
        ("2", "7", "3"),
    ]
    assert {row["unit"] for row in rows} == {"um"}
    assert [float(row["true_axon_diameter"]) for row in rows] == pytest.approx([12] * 3, rel=0.02)
    assert [float(row["axon_diameter"]) for row in rows] == pytest.approx([12, 10, 15], rel=0.02)
    assert [float(row["g_ratio"]) for row in rows] == pytest.approx([0.6, 0.5, 0.75], rel=0.02)
    pictures = {path.name for path in (tmp_path / "scores").glob("*.png")}
    assert pictures == {f"agreement_{kind or 'all'}.png" for kind in modalities}
    for name in pictures:
        with Image.open(tmp_path / "scores" / name) as picture:
            assert picture.format == "PNG" and picture.width > 2 * picture.height
