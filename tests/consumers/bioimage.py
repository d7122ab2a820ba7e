"""A bundle's package for BioImage.IO: written, tested and run by `bioimageio.core`, and compared with the bundle.

Run in an environment with `bioimageio.core` by ``.ci/consumers``:
``python bioimage.py BUNDLE_ROOT DATASET_DIR DATASET_DIR WORK_DIR OVERRIDES``. It ends with an error unless the
program's own test of the package passes, and what it predicts for another image is what the bundle's network makes of
it.
"""

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch
from bioimageio.core import load_model_description, predict
from bioimageio.core import test_model as run_their_test

sys.path.insert(0, str(Path(__file__).parents[2]))

from tools.bundles import read_metadata
from tools.share.bioimage import write_package
from tools.share.export import load_network

SMALL = (16, 64, 64)  # voxels, so that it takes seconds
TOLERANCE = 1e-3  # of the largest value that the network gives


def another_image(package: Path) -> np.ndarray:
    """An image that the package was not made with: its test image, mirrored and darker."""
    with zipfile.ZipFile(package) as archive, archive.open("test_input.npy") as file:
        image = np.load(io.BytesIO(file.read()))
    return np.ascontiguousarray(image[..., ::-1] * np.float32(0.8))


def main(bundle_root: str, _first: str, _second: str, work_dir: str, _overrides: str) -> None:
    bundle, package = Path(bundle_root).resolve(), Path(work_dir, "package.bioimageio.zip")
    num_axes = len(read_metadata(bundle)["network_data_format"]["inputs"]["image"]["spatial_shape"])
    write_package(bundle, package, free_size=SMALL if num_axes == 3 else None)
    tested = run_their_test(package)
    if tested.status != "passed":
        sys.exit(f"its own test: {tested.status}: {tested.format()[-3000:]}")
    model = load_model_description(package)
    image = another_image(package)
    found = next(iter(predict(model=model, inputs={"image": image}).members.values())).data.to_numpy()
    packaged = read_metadata(bundle)["toolbox"].get("bioimage", {}).get("network", "")
    network = load_network(bundle, packaged).float().eval()
    with torch.inference_mode():
        expected = network(torch.from_numpy(image)).float().numpy()
    difference = np.abs(found - expected).max() / np.abs(expected).max()
    if found.shape != expected.shape or not difference <= TOLERANCE:
        sys.exit(
            f"it predicts {found.shape}, off by {difference:.2g} of the largest; the bundle gives {expected.shape}"
        )
    part = f"the part `{packaged}`" if packaged else "the network"
    print(f"{part}: test passed; another image gives {found.shape}, at most {difference:.0e} of the largest value off")


if __name__ == "__main__":
    main(*sys.argv[1:])
