"""Embeddings kept on disk, under a name that only the same image and the same encoder have."""

import hashlib
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .common.files import replacing

__all__ = ["EmbeddingCache", "hash_weights", "read_embedding"]

logger = logging.getLogger(__name__)

FORMAT = "1"  # to be counted up when the same image gets another embedding: other normalisation, resizing, rounding
ARRAY = "embedding"
# NumPy reads the head of an array by Python's parser, which in Python 3.11 now and then fails where several threads use
# it at once (SystemError: AST constructor recursion depth mismatch), as those of MONAI's CacheDataset do
_READING = threading.Lock()


def hash_weights(encoder: nn.Module) -> str:
    """SHA-256 of the weights of an image encoder, whatever device they are on: names, types, shapes and values.

    Only the encoder's: training the decoder leaves the embeddings as they are.
    """
    digest = hashlib.sha256()
    for name, value in sorted(encoder.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


class EmbeddingCache:
    """A folder of embeddings in half precision, one file each.

    The name of a file is a hash of the image's pixels, the variant, the size of its input and the encoder's weights:
    what changes any of them makes another file, so that none is ever stale. Files are written whole or not at all, so
    that an interrupted run goes on where it was; a checksum shows whether one is damaged.

    Parameters
    ----------
    folder : path
        It is created with the first embedding.
    variant : str
        Of the encoder.
    image_size : int
        Side of the encoder's input in pixels.
    weights_hash : str
        As `hash_weights` gives it.
    """

    def __init__(self, folder: str | os.PathLike, *, variant: str, image_size: int, weights_hash: str) -> None:
        self.folder = Path(folder)
        self.encoder = f"{FORMAT} {variant} {image_size} {weights_hash}"

    def path(self, image: np.ndarray) -> Path:
        """File of an image (Y, X) or (Y, X, 3), of its pixels before any normalisation."""
        digest = hashlib.sha256(f"{self.encoder} {image.dtype.str} {image.shape};".encode())
        digest.update(np.ascontiguousarray(image).reshape(-1).view(np.uint8).data)
        return self.folder / f"{digest.hexdigest()}.npz"

    def __contains__(self, image: np.ndarray) -> bool:
        """Whether there is a file, whole or damaged."""
        return self.path(image).is_file()

    def get(self, image: np.ndarray, compute: Callable[[np.ndarray], torch.Tensor]) -> torch.Tensor:
        """Embedding of an image, from disk if it is there, else computed and kept.

        Parameters
        ----------
        image : ndarray of uint8 or uint16, shape (Y, X) or (Y, X, 3)
        compute : callable
            Takes the image, returns its embedding (256, h, w).

        Returns
        -------
        Tensor of float16, shape (256, h, w)
            On the CPU; the same whether it was on disk or not.

        Raises
        ------
        ValueError
            If the embedding is not finite in half precision: weights are damaged, or not Segment Anything's.
        """
        path = self.path(image)
        if path.is_file():
            try:
                return torch.from_numpy(read_embedding(path))
            except Exception as error:  # a damaged archive raises almost anything
                logger.warning("%s: damaged embedding (%s), computing it again", path, " ".join(str(error).split()))
        embedding = compute(image).detach().to("cpu", torch.float16).numpy()
        if not np.isfinite(embedding).all():
            raise ValueError("an embedding that is not finite in half precision; load the encoder's weights again")
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial, partial.open("wb") as file:
            arrays: dict[str, Any] = {ARRAY: embedding}
            np.savez(file, **arrays)
        return torch.from_numpy(embedding)


def read_embedding(path: Path | str) -> np.ndarray:
    """Embedding float16 (256, h, w) in a file of `EmbeddingCache`; raises whatever a damaged one makes of it."""
    # a zip file, which has a checksum of its content; NumPy alone would leave a damaged one open
    with _READING, Path(path).open("rb") as file, np.load(file, allow_pickle=False) as archive:
        embedding = archive[ARRAY]
    if embedding.dtype != np.float16 or embedding.ndim != 3:
        raise ValueError(f"{embedding.dtype} of shape {embedding.shape}, expected float16 of three axes")
    return embedding
