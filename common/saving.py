"""What transforms that write results have in common."""

from monai.config import KeysCollection
from monai.transforms import MapTransform, SaveImaged

__all__ = ["WritesResults"]


class WritesResults(SaveImaged):
    """Base of transforms that write files.

    They are of MONAI's type for that, so that programs which keep results themselves, as MONAI Label does, leave them
    out of a bundle's postprocessing.
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)  # a writer of MONAI's is not wanted
