"""An axon and its sheath are one fibre, and two fibres that touch are two."""

import numpy as np
import pytest
from scipy import ndimage

from common.labels.fibres import label_axons, label_fibres
from tools.convert.prompts import as_tsv, find_prompts
from tools.sample.nerve import draw_nerve


def rings(shape, *fibres):
    """Axon and myelin of round fibres, each (row, column, axon radius, fibre radius); later ones lie on top."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    axon, myelin = np.zeros(shape, bool), np.zeros(shape, bool)
    for row, column, inner, outer in fibres:
        distance = np.hypot(y - row, x - column)
        axon |= distance < inner
        myelin |= (distance >= inner) & (distance < outer)
    return axon, myelin & ~axon


def disc(shape, row, column, radius):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(y - row, x - column) < radius


@pytest.mark.parametrize("inner", [(10, 10), (15, 5), (5, 15)], ids=["alike", "thin and thick", "thick and thin"])
@pytest.mark.parametrize("gap", [39, 34], ids=["in a point", "pressed flat"])
def test_touching_sheaths_are_parted_where_they_touch(inner, gap):
    axon, myelin = rings((50, 90), (25, 25, inner[0], 20), (25, 25 + gap, inner[1], 20))
    labels = label_fibres(axon, myelin).labels
    contact = 25 + gap / 2
    assert np.array_equal(labels > 0, axon | myelin)
    (border,) = (
        column for column in np.flatnonzero(np.diff(labels[25])) if labels[25, column] * labels[25, column + 1]
    )
    assert abs(border + 0.5 - contact) < 2
    left = (axon | myelin) & (np.arange(90) < contact)
    own = labels == labels[25, 25]
    assert (own & left).sum() / (own | left).sum() > 0.95


def test_no_line_is_left_out_between_sheaths_that_touch():
    axon, myelin = np.zeros((9, 20), bool), np.zeros((9, 20), bool)
    axon[3:6, 3:6] = axon[3:6, 14:17] = True
    myelin[1:8, 1:19] = ~axon[1:8, 1:19]
    fibres = label_fibres(axon, myelin)
    assert np.array_equal(fibres.labels > 0, axon | myelin)
    assert (fibres.labels[1:8, 1:10] == 1).all() and (fibres.labels[1:8, 10:19] == 2).all()


def test_an_axon_with_a_single_pixel_of_myelin_is_not_bare():
    axon, myelin = np.zeros((2, 9, 9), bool)
    axon[3:6, 3:6], myelin[2, 4] = True, True
    assert label_fibres(axon, myelin).bare_axons == ()


def test_axons_alone_are_fibres_of_their_very_pixels():
    axon = np.zeros((9, 20), bool)
    axon[3:6, 3:6] = axon[3:6, 14:17] = True
    fibres = label_fibres(axon, np.zeros_like(axon))
    assert fibres.bare_axons == (1, 2) and np.array_equal(fibres.labels > 0, axon) and not fibres.myelin.any()


def test_fibre_among_neighbours_on_all_sides_keeps_its_sheath():
    around = [(60 + 40 * np.sin(a), 60 + 40 * np.cos(a), 12, 20) for a in np.arange(6) * np.pi / 3]
    axon, myelin = rings((120, 120), (60, 60, 12, 20), *around)
    myelin |= ndimage.binary_closing(axon | myelin, iterations=6) & ~axon  # no background is left between them
    labels = label_fibres(axon, myelin).labels
    own = labels == labels[60, 60]
    truth = disc(axon.shape, 60, 60, 20)
    assert labels.max() == 7
    assert (own & truth).sum() / (own | truth).sum() > 0.9


def test_drawn_nerve_is_parted_as_it_was_drawn():
    _, truth, axon = draw_nerve(np.random.default_rng(3), 160)
    labels = label_fibres(axon, (truth > 0) & ~axon).labels
    for label in np.unique(labels[axon]):
        own, drawn = labels == label, truth == np.bincount(truth[(labels == label) & axon]).argmax()
        assert (own & drawn).sum() / (own | drawn).sum() > 0.9


def test_c_shaped_axon_is_one_fibre_with_a_point_inside_it():
    axon, sheath = disc((60, 60), 30, 30, 20) & ~disc((60, 60), 30, 30, 13), disc((60, 60), 30, 30, 25)
    axon[22:38, 30:] = False
    fibres = label_fibres(axon, sheath & ~axon)
    assert np.array_equal(np.unique(fibres.labels), [0, 1])
    assert np.array_equal(fibres.labels > 0, sheath)
    (prompt,) = find_prompts(fibres.labels, fibres.axon)
    rows, columns = np.nonzero(axon)
    assert not axon[round(rows.mean()), round(columns.mean())]
    assert axon[prompt.y, prompt.x]


def test_axon_without_myelin_is_a_reported_fibre_and_takes_nothing_from_its_neighbour():
    axon, myelin = rings((50, 90), (25, 25, 10, 18))
    bare = disc(axon.shape, 25, 51, 8)  # touches the other's sheath
    fibres = label_fibres(axon | bare, myelin)
    label = fibres.labels[25, 51]
    assert fibres.bare_axons == (label,)
    assert np.array_equal(fibres.labels == label, bare)


def test_myelin_without_an_axon_is_reported_and_stays_myelin():
    axon, myelin = rings((50, 90), (25, 25, 10, 18))
    lone = np.zeros_like(axon)
    lone[10:14, 60:70] = True
    fibres = label_fibres(axon, myelin | lone)
    assert [(region.box, region.area_px) for region in fibres.lone_myelin] == [((60, 10, 69, 13), 40)]
    assert not fibres.labels[lone].any()
    assert fibres.myelin[lone].all()


def test_specks_are_no_axons_but_stay_what_the_myelin_mask_says():
    axon, myelin = rings((50, 50), (25, 25, 10, 18))
    axon[25, 40] = True
    axon[2, 2] = True
    fibres = label_fibres(axon, myelin)
    assert (fibres.num_specks, fibres.labels.max()) == (2, 1)
    assert fibres.myelin[25, 40]
    assert fibres.labels[25, 40] == 1
    assert not fibres.labels[2, 2]


def test_ids_are_unique_beyond_eight_bits_and_without_gaps():
    axon = np.zeros((100, 100), bool)
    myelin = np.ones_like(axon)
    for dy in (0, 1):
        for dx in (0, 1):
            axon[1 + dy : 99 : 5, 1 + dx : 99 : 5] = True
    labels = label_fibres(axon, myelin & ~axon).labels
    num_axons = ndimage.label(axon)[1]
    assert num_axons == 400
    assert np.array_equal(np.unique(labels), np.arange(1, 401))
    assert np.array_equal(np.unique(labels[axon]), np.arange(1, 401))
    for label in (1, 200, 400):
        assert ndimage.label(axon & (labels == label), np.ones((3, 3)))[1] == 1


@pytest.mark.parametrize("kind", ["neither", "myelin", "axon"])
def test_empty_masks(kind):
    empty, full = np.zeros((9, 8), bool), np.ones((9, 8), bool)
    fibres = label_fibres(full if kind == "axon" else empty, full if kind == "myelin" else empty)
    assert fibres.labels.max() == (kind == "axon")
    assert fibres.bare_axons == ((1,) if kind == "axon" else ())
    assert len(fibres.lone_myelin) == (kind == "myelin")


def test_masks_of_two_shapes():
    with pytest.raises(ValueError, match=r"axon \(4, 5\) and myelin \(5, 4\) differ in shape"):
        label_fibres(np.zeros((4, 5), bool), np.zeros((5, 4), bool))


def test_inputs_are_not_changed():
    axon, myelin = rings((50, 50), (25, 25, 10, 18))
    both = axon | myelin
    before = axon.copy(), both.copy()
    fibres = label_fibres(axon, both)
    assert np.array_equal(axon, before[0]) and np.array_equal(both, before[1])
    assert not (fibres.axon & fibres.myelin).any()


def test_axons_that_meet_at_a_corner_are_one():
    axon = np.zeros((8, 8), bool)
    axon[1:4, 1:4] = axon[4:7, 4:7] = True
    assert label_axons(axon)[0].max() == 1


def test_boxes_are_those_of_the_pixels():
    _, truth, axon = draw_nerve(np.random.default_rng(5), 128)
    fibres = label_fibres(axon, (truth > 0) & ~axon)
    prompts = find_prompts(fibres.labels, fibres.axon)
    assert [prompt.id for prompt in prompts] == list(range(1, fibres.labels.max() + 1))
    for prompt in prompts:
        rows, columns = np.nonzero(fibres.labels == prompt.id)
        box = (prompt.x_min, prompt.y_min, prompt.x_max, prompt.y_max)
        assert box == (columns.min(), rows.min(), columns.max(), rows.max())
        assert fibres.labels[prompt.y, prompt.x] == prompt.id
        assert fibres.axon[prompt.y, prompt.x]
        assert prompt.axon_px + prompt.myelin_px == len(rows)


def test_table_without_a_prompt_has_its_header():
    empty = find_prompts(np.zeros((4, 4), int), np.zeros((4, 4), bool))
    assert as_tsv(empty) == "id\tx\ty\tx_min\ty_min\tx_max\ty_max\taxon_px\tmyelin_px\n"


@pytest.mark.parametrize(("num_pixels", "is_axon"), [(3, True), (2, False)])
def test_axon_of_three_pixels_is_one(num_pixels, is_axon):
    axon = np.zeros((9, 9), bool)
    axon[4, 3 : 3 + num_pixels] = True
    assert label_axons(axon)[0].max() == is_axon and label_axons(axon)[1] == (not is_axon)


def test_spur_of_a_sheath_does_not_make_it_thicker():
    axon, myelin = rings((110, 90), (85, 25, 10, 20), (85, 64, 10, 20))
    plain = label_fibres(axon, myelin).labels
    spur = np.zeros_like(axon)
    spur[5:66, 25] = True
    labels = label_fibres(axon, myelin | spur).labels
    assert (labels[spur] == 1).all()
    ends = [np.flatnonzero(one[85] == one[85, 25]).max() for one in (plain, labels)]
    assert abs(ends[0] - ends[1]) <= 1
