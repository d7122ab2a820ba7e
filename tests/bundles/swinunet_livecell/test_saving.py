"""Results lie on the image's grid, whole, under the image's name."""

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, decollate_batch
from monai.transforms import Activationsd, Compose, Invertd, Resized
from PIL import Image
from swinunet_livecell.common.errors import InputError
from swinunet_livecell.common.reading.picture_transforms import ReadGrayd
from swinunet_livecell.saving import SaveMaskd

SHAPE = (52, 70)


@pytest.fixture
def item(write_image):
    """An item as it comes out of the evaluator: cells in the upper left and lower right corner."""
    read = ReadGrayd("image")({"image": str(write_image("A172_1.tif", np.zeros(SHAPE, np.uint8)))})
    probability = torch.full((1, *SHAPE), 0.25)
    probability[:, :20, :10] = 1.0
    probability[:, 30:, 50:] = 0.5
    return read | {"pred": probability}


def read_png(path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_mask_is_0_and_255_where_it_should_be(item, tmp_path):
    output_dir = tmp_path / "new" / "output"
    SaveMaskd("pred", output_dir)(item)
    assert [path.name for path in output_dir.iterdir()] == ["A172_1_mask.png"]
    mask = read_png(output_dir / "A172_1_mask.png")
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, 255 * (item["pred"][0].numpy() >= 0.5))


def test_probability_and_instances_on_request(item, tmp_path):
    SaveMaskd("pred", tmp_path / "out", save_probability=True, save_instances=True)(item)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"A172_1_{kind}.png" for kind in ("mask", "prob", "instances")
    }
    probability = read_png(tmp_path / "out/A172_1_prob.png")
    assert probability.dtype == np.uint16
    np.testing.assert_allclose(probability / 65535, item["pred"][0], atol=1e-5)
    cells = read_png(tmp_path / "out/A172_1_instances.png")
    assert (cells.dtype, cells.max(), cells[0, 0], cells[-1, -1]) == (np.uint16, 2, 1, 2)


def test_interrupted_writing_leaves_the_old_file(item, tmp_path, monkeypatch):
    SaveMaskd("pred", tmp_path / "out")(item)
    before = (tmp_path / "out/A172_1_mask.png").read_bytes()

    def fail(self, file, **options):
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(KeyboardInterrupt):
        SaveMaskd("pred", tmp_path / "out", threshold=0.1)(item)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["A172_1_mask.png"]
    assert (tmp_path / "out/A172_1_mask.png").read_bytes() == before


def test_result_of_another_size(item, tmp_path):
    item["pred"] = item["pred"][:, :32, :32]
    with pytest.raises(ValueError, match=r"A172_1\.tif: result \(32, 32\), image \(52, 70\)"):
        SaveMaskd("pred", tmp_path)(item)


def test_folder_that_cannot_be_made(item, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="give another --output_dir"):
        SaveMaskd("pred", tmp_path / "file" / "out")(item)


def test_squashed_image_gives_a_mask_of_the_original_size(write_image, tmp_path):
    """The original's way: the image is squashed to a square, the probability is stretched back."""
    pixels = np.zeros(SHAPE, np.uint8)
    pixels[:26] = 255
    preprocessing = Compose([ReadGrayd("image"), Resized("image", spatial_size=[32, 32], mode="bilinear")])
    dataset = Dataset([{"image": str(write_image("a.png", pixels))}], preprocessing)
    (batch,) = DataLoader(dataset, batch_size=1)
    assert batch["image"].shape == (1, 1, 32, 32)
    batch["pred"] = (batch["image"] - 127) / 10
    (item,) = decollate_batch(batch)
    Compose(
        [
            Invertd("pred", transform=preprocessing, orig_keys="image", nearest_interp=False, to_tensor=True),
            Activationsd("pred", sigmoid=True),
            SaveMaskd("pred", tmp_path / "out"),
        ]
    )(item)
    mask = read_png(tmp_path / "out/a_mask.png")
    assert mask.shape == SHAPE
    assert np.mean(mask == pixels) > 0.98
