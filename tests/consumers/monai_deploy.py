"""The app of docs/monai_deploy_app.py with a bundle: it gives a label map on the grid of the image.

Run in an environment with `monai-deploy-app-sdk` by ``.ci/consumers``:
``python monai_deploy.py BUNDLE_ROOT DATASET_DIR DATASET_DIR WORK_DIR OVERRIDES``.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from pixels import describe

APP = Path(__file__).parents[2] / "docs/monai_deploy_app.py"


def main(bundle_root: str, dataset_dir: str, _second: str, work_dir: str, _overrides: str) -> None:
    dataset = json.loads(Path(dataset_dir, "dataset.json").read_text())
    image, result = Path(dataset_dir, dataset["testing"][0]["image"]), Path(work_dir, "result.npy")
    done = subprocess.run(
        [sys.executable, APP, bundle_root, image, result], cwd=work_dir, capture_output=True, text=True, timeout=1200
    )
    if done.returncode or not result.is_file():
        errors = [line for line in (done.stdout + done.stderr).splitlines() if "Error" in line]
        sys.exit(f"the app ended with {done.returncode}: {(errors or ['nothing was written'])[-1]}")
    labels = np.load(result)
    print(describe(labels.T if labels.ndim == 2 else labels, image))


if __name__ == "__main__":
    main(*sys.argv[1:])
