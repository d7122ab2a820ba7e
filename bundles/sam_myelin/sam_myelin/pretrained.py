"""Meta's weights of Segment Anything: fetched when a run starts, checked, and put into our network."""

import hashlib
import logging
import os
import shutil
import urllib.request
from pathlib import Path
from typing import NamedTuple, cast

import ignite.distributed as idist
from ignite.engine import Engine, Events
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from .common.errors import InputError
from .common.files import replacing
from .common.training.checkpoints import bare_network, read_weights
from .network import SamMyelin

__all__ = ["CHECKPOINTS", "Checkpoint", "SamWeightsLoader", "fetch_checkpoint", "load_sam_weights"]

logger = logging.getLogger(__name__)

TIMEOUT_S = 30  # without a sign of life from the server
CHUNK_BYTES = 1 << 20
OURS = "segmenter."  # what Meta's checkpoints do not have
UNUSED = ("pixel_mean", "pixel_std")  # what they have, or not, and `normalisation` knows


class Checkpoint(NamedTuple):
    """Where Meta offers the weights of a variant, and the SHA-256 of the file."""

    url: str
    sha256: str

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[-1]


_META = "https://dl.fbaipublicfiles.com/segment_anything"
# the digits in their names are those of an MD5; large_files.yml names the same files
CHECKPOINTS = {
    "vit_b": Checkpoint(
        f"{_META}/sam_vit_b_01ec64.pth", "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912"
    ),
    "vit_l": Checkpoint(
        f"{_META}/sam_vit_l_0b3195.pth", "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622"
    ),
    "vit_h": Checkpoint(
        f"{_META}/sam_vit_h_4b8939.pth", "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e"
    ),
}


def fetch_checkpoint(variant: str, folder: str | os.PathLike) -> Path:
    """Meta's checkpoint of a variant: the file in a folder, or downloaded into it, checked by its SHA-256 either way.

    Parameters
    ----------
    variant : str
        One of `CHECKPOINTS`.
    folder : path
        The bundle's models/; it is created.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If Meta has no such variant, the file cannot be fetched, or is another one; it is then put aside, with
        ``.wrong`` after its name.
    """
    if variant not in CHECKPOINTS:
        raise InputError(
            f"--variant {variant}: Meta offers no weights for it, only for {', '.join(CHECKPOINTS)}; give one of "
            "these, or --sam_weights none for random ones"
        )
    checkpoint = CHECKPOINTS[variant]
    path = Path(folder) / checkpoint.name
    if not path.is_file():
        _download(checkpoint.url, path)
    _check(path, checkpoint)
    return path


def load_sam_weights(network: SamMyelin | DistributedDataParallel, path: str | os.PathLike) -> None:
    """Put weights into a `SamMyelin`: Meta's, or those of a fine-tuned one.

    Parameters
    ----------
    network : SamMyelin
        Also inside of DistributedDataParallel. Where the file has no `segmenter`, as Meta's, its own stays as it is.
    path : path
        A plain state_dict with Meta's names.

    Raises
    ------
    InputError
        If the file cannot be read, or anything else is missing, unknown or of another shape; nothing is loaded then.
    """
    network = _bare(network)
    weights = read_weights(path, "cpu", "--sam_weights")
    weights = {name: value for name, value in weights.items() if name not in UNUSED}
    expected = network.state_dict()
    if not any(name.startswith(OURS) for name in weights):
        expected = {name: value for name, value in expected.items() if not name.startswith(OURS)}
    for name in sorted(expected.keys() | weights.keys()):
        found, wanted = (tuple(part[name].shape) if name in part else "nothing" for part in (weights, expected))
        if found != wanted:
            raise InputError(
                f"{path}: weights of another network: {name} is {found} in the file and {wanted} in {network.variant}; "
                "give the --variant that they belong to, or other weights"
            )
    network.load_state_dict(weights, strict=False)


class SamWeightsLoader:
    """Puts weights into a `SamMyelin` when an engine starts.

    Not when the network is built: a bundle that is opened, verified, exported or used needs no network connection.

    Parameters
    ----------
    network : SamMyelin
    weights : str
        The word ``meta`` for those of the network's variant, which are fetched if need be; a path, as for
        `load_sam_weights`; the word ``none`` for the network as it is.
    folder : path
        Where Meta's checkpoints are, or go: the bundle's models/.
    resume_path : path, optional
        Where this file exists the training goes on from it, and nothing is fetched.

    Raises
    ------
    InputError
        As from `fetch_checkpoint` and `load_sam_weights`.
    """

    def __init__(
        self,
        network: SamMyelin | DistributedDataParallel,
        weights: str,
        folder: str | os.PathLike,
        resume_path: str | os.PathLike | None = None,
    ) -> None:
        self.network, self.weights, self.folder, self.resume_path = network, str(weights), folder, resume_path

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine | None = None) -> None:
        if self.weights == "none" or (self.resume_path is not None and Path(self.resume_path).is_file()):
            return
        path = Path(self.weights)
        if self.weights == "meta":
            with idist.one_rank_first(local=True):  # one process of a machine fetches, the others find the file
                path = fetch_checkpoint(_bare(self.network).variant, self.folder)
        elif not path.is_file():
            raise InputError(f"--sam_weights {path}: no such file; give meta, none, or the path of a state_dict")
        load_sam_weights(self.network, path)
        logger.info("loaded weights from %s", path)


def _download(url: str, path: Path) -> None:
    logger.info("fetching %s into %s", url, path.parent)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial, urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
            total = int(response.headers.get("Content-Length") or 0) or None
            with (
                partial.open("wb") as file,
                tqdm.wrapattr(file, "write", total=total, desc=path.name, disable=None) as progress,
            ):
                shutil.copyfileobj(response, progress, CHUNK_BYTES)
    except (OSError, ValueError) as error:  # no connection, no such page, no room, no permission, no URL
        raise InputError(
            f"{url}: cannot be fetched into {path.parent} ({_brief(error)}); connect to the network once, put the file "
            "there yourself, or give --sam_weights none for random weights, or the path of others"
        ) from error


def _check(path: Path, checkpoint: Checkpoint) -> None:
    """Refuse a file that is not the one Meta offers, and put it aside."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found == checkpoint.sha256:
        return
    num_bytes, aside = path.stat().st_size, path.with_name(f"{path.name}.wrong")
    try:
        path.replace(aside)
        what_to_do = f"it is now {aside.name}; start again to fetch it anew, or put the file of {checkpoint.url} there"
    except OSError as error:
        what_to_do = f"it cannot be put aside ({_brief(error)}); replace it by the file of {checkpoint.url}"
    raise InputError(
        f"{path}: damaged or another file: SHA-256 {found} ({num_bytes} bytes), expected {checkpoint.sha256}; "
        f"{what_to_do}"
    )


def _bare(network: SamMyelin | DistributedDataParallel) -> SamMyelin:
    return cast(SamMyelin, bare_network(network))


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
