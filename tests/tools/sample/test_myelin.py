"""The sample is a small BIDS dataset that the converter takes without a word."""

import io
import json

import numpy as np
from PIL import Image
from scipy import ndimage

from tools.sample.myelin import draw_files
from tools.sample.nerve import draw_nerve


def test_masks_agree_and_the_sidecar_tells_the_size_of_a_pixel():
    files = dict(draw_files(num_subjects=1, size=96))
    name = "derivatives/labels/sub-01/micr/sub-01_sample-1_TEM_seg-{}-manual.png"
    axon, myelin, both = (
        np.asarray(Image.open(io.BytesIO(files[name.format(kind)]))) for kind in ("axon", "myelin", "axonmyelin")
    )
    assert np.array_equal(both == 255, axon == 255)
    assert np.array_equal(both == 127, myelin == 255)
    assert set(np.unique(both)) == {0, 127, 255}
    assert json.loads(files["sub-01/micr/sub-01_TEM.json"])["PixelSizeUnits"] == "um"


def test_sheaths_are_dark_around_textured_axons_and_fibres_touch():
    image, labels, axon = draw_nerve(np.random.default_rng(0), 256)
    assert (image.shape, image.dtype) == ((256, 256), np.uint8)
    sheath = ndimage.binary_erosion((labels > 0) & ~axon)
    inside = ndimage.binary_erosion(axon, iterations=2)
    assert image[sheath].mean() + 60 < min(image[inside].mean(), image[labels == 0].mean())
    assert image[inside].std() > 10
    assert len(np.unique(labels)) - 1 > ndimage.label(labels > 0)[1] + 3
    assert all((axon & (labels == label)).any() for label in np.unique(labels[sheath]) if (labels == label).sum() > 600)
