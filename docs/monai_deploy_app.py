"""An app of MONAI Deploy that runs a bundle on an image file and leaves its label map beside the results.

``python monai_deploy_app.py BUNDLE_ROOT IMAGE RESULT.npy``, in an environment with `monai-deploy-app-sdk`, `pydicom`,
`highdicom` and what the bundle needs. In an app of your own, take `BundleOperator` and put what makes and takes images
around it.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from monai.deploy.conditions import CountCondition
from monai.deploy.core import Application, Image, IOType, Operator, OperatorSpec
from monai.deploy.operators.monai_bundle_inference_operator import IOMapping, MonaiBundleInferenceOperator
from monai.transforms import Compose, SaveImaged


class BundleOperator(MonaiBundleInferenceOperator):
    """Takes the path of an image, which the bundle's own reader opens, and gives the label map on the image's grid."""

    def _get_compose(self, obj_name: str, disallowed_prefixes: list[str]) -> Compose:
        compose = super()._get_compose(obj_name, [])  # the reader stays
        compose.transforms = tuple(step for step in compose.transforms if not isinstance(step, SaveImaged))
        return compose

    def _receive_input(self, name: str, op_input: Any, context: Any) -> tuple[Any, dict]:
        image = self._preproc.transforms[0]({name: op_input.receive(name)})[name]
        return image, image.meta

    def pre_process(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        return Compose(self._preproc.transforms[1:])(data)

    def _send_output(self, value: Any, name: str, metadata: dict, op_output: Any, context: Any) -> None:
        labels = np.asarray(value)
        op_output.emit(Image(labels[0] if labels.ndim == 4 else labels, metadata=metadata), name)


class Give(Operator):
    """Gives the path of an image, as often as its condition says."""

    def __init__(self, fragment: Application, path: Path, condition: CountCondition, **kwargs: Any) -> None:
        self.path = path
        super().__init__(fragment, condition, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        spec.output("image")

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        op_output.emit(str(self.path), "image")


class Keep(Operator):
    """Writes a label map, (X, Y, Z) or (X, Y), as an array of NumPy."""

    def __init__(self, fragment: Application, path: Path, **kwargs: Any) -> None:
        self.path = path
        super().__init__(fragment, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        spec.input("pred")

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        np.save(self.path, op_input.receive("pred").asnumpy())


class BundleApp(Application):
    """Image file, bundle, label map."""

    def __init__(self, bundle_root: Path, image: Path, result: Path) -> None:
        self.paths = bundle_root, image, result
        super().__init__()

    def compose(self) -> None:
        bundle_root, image, result = self.paths
        bundle = BundleOperator(
            self,
            app_context=Application.init_app_context([]),
            input_mapping=[IOMapping("image", Image, IOType.IN_MEMORY)],
            output_mapping=[IOMapping("pred", Image, IOType.IN_MEMORY)],
            bundle_path=bundle_root,
            name="bundle",
        )
        give = Give(self, image, CountCondition(self, 1), name="give")
        self.add_flow(give, bundle, {("image", "image")})
        self.add_flow(bundle, Keep(self, result, name="keep"), {("pred", "pred")})


if __name__ == "__main__":
    BundleApp(*(Path(word).resolve() for word in sys.argv[1:4])).run()
