"""Bundles on the Hugging Face Hub, through MONAI's `push_to_hf_hub`."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from common.errors import InputError
from common.files import write_text
from tools.bundles import read_metadata
from tools.card.numbers import rounded
from tools.share.checks import copy_shared
from tools.share.links import MODEL_CARD, relink
from tools.temporary import temporary_folder
from tools.toolbox import Metric, metrics_of

__all__ = ["check_hub", "front_matter", "hub_card", "licence_entry", "push"]

DATA_LICENCE = "docs/data_license.txt"
TASK = "image-segmentation"
TAGS = ["monai", "medical", "medical-image-segmentation", "microscopy"]
KNOWN_LICENCES = {
    *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "unlicense"),
    *(f"cc-by-{version}" for version in ("2.0", "2.5", "3.0", "4.0")),
    *(f"cc-by-{kind}-{version}" for kind in ("sa", "nc", "nc-sa") for version in ("3.0", "4.0")),
    *("cc-by-nc-2.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"),
}
LATEST = "latest_version"  # what monai.bundle.download takes where no version is asked for


def check_hub(repository: str) -> None:
    """Refuse what an upload to ``owner/name`` would fail at, before anything is written.

    InputError if huggingface_hub or the token is missing, or the name is none that the Hub allows.
    """
    hub = _library()
    if not os.environ.get("HF_TOKEN"):
        raise InputError(
            "--hub: no HF_TOKEN in the environment; make a token with write access on the Hub and export it"
        )
    if repository.count("/") != 1:
        raise InputError(f"--hub {repository}: expected owner/name, or the owner alone for owner/<bundle>")
    try:
        hub.utils.validate_repo_id(repository)
    except hub.errors.HFValidationError as error:
        raise InputError(f"--hub {repository}: {error}") from error


def push(bundle: Path, repository: str) -> str:
    """Upload a checked bundle to ``owner/name``, tagged with its version; what the Hub calls the upload.

    A new repository is private until its owner opens it on the Hub. MONAI's function would put the card there with the
    licence of the code, so it gets a copy of the bundle whose card is the repository's README already; the bundle's own
    docs/README.md goes there before it. InputError if the Hub cannot be reached, refuses, or has this version already.
    """
    from monai.bundle import push_to_hf_hub  # here, since verify does without and it takes seconds

    hub = _library()
    version = str(read_metadata(bundle)["version"])
    api = hub.HfApi(token=os.environ.get("HF_TOKEN"))
    try:
        api.create_repo(repo_id=repository, private=True, exist_ok=True)
        tags = {tag.name for tag in api.list_repo_refs(repository).tags}
        if version in tags:
            raise InputError(f"{repository}: has version {version} already; raise it in {bundle}/configs/metadata.json")
        api.upload_file(repo_id=repository, path_or_fileobj=str(bundle / MODEL_CARD), path_in_repo=MODEL_CARD)
        with temporary_folder("hub") as folder:
            staged = folder / bundle.resolve().name
            _stage(bundle, staged)
            done = push_to_hf_hub(
                repo=repository,
                name=bundle.resolve().name,
                bundle_dir=str(folder),
                token=os.environ.get("HF_TOKEN"),
                private=True,
                version=version,
                commit_message=f"Version {version}",
                # what an earlier version had and this one has not; docs/ has the card, which is not staged
                delete_patterns=[f"{path.name}/*" for path in sorted(staged.iterdir()) if _is_replaced(path)],
            )
        if LATEST in tags:  # a tag that is there would stay where it is
            api.delete_tag(repository, tag=LATEST)
        api.create_tag(repository, tag=LATEST)
    except InputError:
        raise
    except (OSError, ValueError, hub.errors.HTTPError) as error:  # ValueError: front matter that the Hub refuses
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{repository}: the Hub did not take it ({reason}); check network, token and metadata, and repeat"
        ) from error
    return str(getattr(done, "commit_url", done))


def hub_card(bundle: Path) -> str:
    """README.md of a repository on the Hub: front matter, then the bundle's model card with links from the root."""
    header = yaml.safe_dump(front_matter(read_metadata(bundle), bundle.resolve().name), sort_keys=False, width=120)
    root = bundle.resolve()
    text = relink(root, lambda file: file.relative_to(root).as_posix())
    return f"---\n{header}---\n\n{text}"


def front_matter(metadata: Mapping[str, Any], name: str) -> dict[str, object]:
    """What the Hub reads of a model card: licence of the weights, tags, library and scores, rounded as in the card.

    The metadata have ``licences`` and ``eval_metrics``. Data sets of the Hub have no key: none of ours lies there, so
    ``datasets`` is left out.
    """
    content: dict[str, object] = {
        **licence_entry(metadata["licences"]["weights"]),
        "library_name": "monai",
        "pipeline_tag": TASK,
        "tags": [*TAGS, name],
    }
    results: dict[tuple[str, str], list[dict[str, object]]] = {}
    about = metrics_of(metadata)
    for metric, entry in metadata["eval_metrics"].items():
        title = about.get(metric, Metric(metric)).title
        score = {"type": metric, "name": title, "value": float(rounded(entry["mean"]))}
        results.setdefault((entry["dataset"], entry["split"]), []).append(score)
    if results:
        content["model-index"] = [
            {"name": metadata.get("name", name), "results": [_result(*of, scores) for of, scores in results.items()]}
        ]
    return content


def licence_entry(spdx: str, link: str = DATA_LICENCE) -> dict[str, str]:
    """The Hub's word for a licence; of one that it does not know, name and file."""
    word = spdx.lower()
    known = word in KNOWN_LICENCES
    return {"license": word} if known else {"license": "other", "license_name": word, "license_link": link}


def _result(dataset: str, split: str, scores: list[dict[str, object]]) -> dict[str, object]:
    slug = re.sub(r"[^a-z0-9]+", "-", dataset.lower()).strip("-")
    return {"task": {"type": TASK}, "dataset": {"name": dataset, "type": slug, "split": split}, "metrics": scores}


def _stage(bundle: Path, folder: Path) -> None:
    """Copy what is shared of a bundle; its card becomes README.md."""
    copy_shared(bundle, folder, without=bundle / MODEL_CARD)
    write_text(folder / "README.md", hub_card(bundle))


def _is_replaced(path: Path) -> bool:
    return path.is_dir() and path.name != Path(MODEL_CARD).parts[0]


def _library() -> ModuleType:
    try:
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError as error:
        raise InputError("--hub needs huggingface_hub; pip install -r requirements.txt") from error
    return huggingface_hub
