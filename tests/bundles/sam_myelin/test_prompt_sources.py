"""Prompts come from where the user says, belong to the image, and are missed before a long run."""

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset
from sam_myelin.common.errors import InputError
from sam_myelin.common.reading.picture_transforms import ReadLabelsd
from sam_myelin.prompt_sources import FindPromptsd, as_prompts, as_tensor, check_prompts
from sam_myelin.prompt_tables import write_prompts
from sam_myelin.prompts import Prompts, prompts_from_axons, prompts_from_labels
from sam_myelin.reading import ReadMicrographd

NAN = float("nan")


@pytest.fixture
def image(write_image, fibres):
    """An image of the drawn fibres, in a folder of its own."""
    return write_image("images/sub-1_TEM.png", fibres[0].astype(np.uint8))


def some_prompts() -> Prompts:
    points, boxes = np.array([[14, 14], [NAN, NAN]], np.float32), np.array([[NAN] * 4, [30, 20, 59, 45]], np.float32)
    return Prompts(np.array([3, 70000]), points, boxes)


def assert_same(found: torch.Tensor, expected: Prompts) -> None:
    for values, wanted in zip(as_prompts(found), expected, strict=True):
        np.testing.assert_allclose(values, wanted, rtol=1e-6)


def test_auto_is_no_prompt(image):
    item = FindPromptsd()(ReadMicrographd("image", 1)({"image": image}))
    assert item["prompts"].shape == (0, 7) and item["prompts"].dtype == torch.float32
    (batch,) = DataLoader(Dataset([item]), batch_size=1)
    assert batch["prompts"].shape == (1, 0, 7)


@pytest.mark.parametrize("folder", ["none", "tables"])
def test_table_is_found_beside_the_image_or_below_a_folder(image, tmp_path, folder):
    table = image.parent if folder == "none" else tmp_path / "tables/sub-1/micr"
    table.mkdir(parents=True, exist_ok=True)
    write_prompts(table / "sub-1_TEM_prompts.tsv", some_prompts())
    where = folder if folder == "none" else str(tmp_path / folder)
    check_prompts([{"image": str(image)}], "prompts", where)
    item = FindPromptsd("prompts", where)(ReadMicrographd("image", 1)({"image": image}))
    assert item["prompts"].dtype == torch.float32
    assert_same(item["prompts"], some_prompts())


def test_prompt_outside_the_image(image):
    outside = Prompts(np.array([1]), np.array([[64.0, 3]]), np.full((1, 4), NAN))
    write_prompts(image.with_name("sub-1_TEM_prompts.tsv"), outside)
    with pytest.raises(InputError, match=r"sub-1_TEM_prompts\.tsv: 1 of 1 prompts outside the image"):
        FindPromptsd("prompts")(ReadMicrographd("image", 1)({"image": image}))


@pytest.mark.parametrize("name", ["sub-1_TEM_axon.png", "sub-1_TEM_seg-axon.tif", "sub-1_TEM_seg-axon-manual.png"])
def test_axons_make_prompts(image, fibres, write_image, name):
    axon = fibres[1]
    write_image(f"masks/deep/{name}", axon * np.uint8(255))
    item = FindPromptsd("axons", axon_dir=str(image.parents[1] / "masks"))(
        ReadMicrographd("image", 1)({"image": image})
    )
    assert_same(item["prompts"], prompts_from_axons(axon))


def test_axons_of_another_size(image, fibres, write_image):
    write_image("images/sub-1_TEM_axon.png", fibres[1].T * np.uint8(255))
    with pytest.raises(InputError, match=r"_axon\.png: 48 x 64 pixels .* its image .* has 64 x 48"):
        FindPromptsd("axons")(ReadMicrographd("image", 1)({"image": image}))


def test_truth_makes_prompts(image, fibres, write_image):
    labels, axon = fibres
    item = {
        "image": image,
        "label": write_image("l.png", labels),
        "axon": write_image("a.png", axon * np.uint8(255)),
    }
    read = ReadLabelsd(("label", "axon"))(ReadMicrographd("image", 1)(item))
    assert_same(FindPromptsd("truth")(read)["prompts"], prompts_from_labels(labels, axon))
    del read["axon"]
    with pytest.raises(InputError, match=r"sub-1_TEM\.png: no axon, which --prompt_source truth needs"):
        FindPromptsd("truth")(read)


@pytest.mark.parametrize("source", ["prompts", "axons"])
def test_what_is_missing_is_told_before_the_run(image, write_image, tmp_path, source):
    items = [{"image": str(image)}, {"image": str(write_image("images/b.png", np.zeros((4, 4), np.uint8)))}]
    with pytest.raises(InputError, match=rf"2 of 2 images .*: no sub-1_TEM_.*: no b_.* in {tmp_path}/images"):
        check_prompts(items, source)
    with pytest.raises(InputError, match=rf"{tmp_path}/gone: no such folder"):
        check_prompts(items, source, f"{tmp_path}/gone", f"{tmp_path}/gone")
    check_prompts(items, "auto")


def test_two_tables_of_one_image(image, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / "tables" / folder).mkdir(parents=True)
        write_prompts(tmp_path / "tables" / folder / "sub-1_TEM_prompts.tsv", some_prompts())
    with pytest.raises(InputError, match=r"both .*a/sub-1_TEM_prompts\.tsv and .*b/sub-1_TEM_prompts\.tsv could"):
        check_prompts([{"image": image}], "prompts", str(tmp_path / "tables"))


def test_broken_table_is_told_before_the_run(image):
    image.with_name("sub-1_TEM_prompts.tsv").write_text("id\n1\n")
    with pytest.raises(InputError, match="sub-1_TEM_prompts.tsv: no column x"):
        check_prompts([{"image": image}], "prompts")


def test_unknown_source():
    with pytest.raises(InputError, match="--prompt_source boxes: unknown; give auto, prompts, axons, truth"):
        FindPromptsd("boxes")


def test_number_that_a_float_cannot_hold():
    with pytest.raises(InputError, match="id 16777217: expected at most 16777216"):
        as_tensor(some_prompts()._replace(ids=np.array([1, 16777217])))
