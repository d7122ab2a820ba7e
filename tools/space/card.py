"""README.md of a Space: its settings, and what it shows."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from tools.share.hub import licence_entry

__all__ = ["space_card"]

MAX_SHORT = 60  # characters, the Hub's limit
PORT = 7860  # of app.py and the Dockerfile
TEXT = """
# {name}

{description}

Drop an image on the page, or send it to the endpoint:

```
curl -F image=@samples/{bundle}/{sample} URL/seg_mask --output mask{ending}
```

It runs anywhere:

```
pip install -r requirements.txt
python app.py                     # http://localhost:7860; PORT sets another port
```

There is no password, and other machines of the network can reach it, by its address or by the names in `ALLOWED_HOSTS`.
`HOST=127.0.0.1` keeps it to this machine. For a container, see the first lines of the Dockerfile. Everything about
the model, its scores and its limits is in [its card](bundles/{bundle}/docs/README.md). {use}
Licences: code {code}, weights {weights}, data {data}.
The samples are synthetic.
"""


def space_card(bundle: str, metadata: Mapping[str, Any], sample: str) -> str:
    """Content of README.md: front matter, then text; ``sample`` is the file name of a sample image."""
    licences = metadata["licences"]
    settings = {
        "title": metadata.get("name", bundle),
        "emoji": "🔬",
        "colorFrom": "indigo",
        "colorTo": "green",
        "sdk": "docker",
        "app_port": PORT,
        "pinned": False,
        "short_description": _short(str(metadata["task"])),
        "tags": ["monai", "microscopy", bundle],
    } | licence_entry(licences["weights"], f"bundles/{bundle}/docs/data_license.txt")
    front = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    text = TEXT.format(
        name=settings["title"],
        description=metadata["description"],
        bundle=bundle,
        sample=sample,
        ending=".nii.gz" if sample.endswith(".nii.gz") else ".png",
        use=metadata.get("intended_use", ""),
        **{kind: licences[kind] for kind in ("code", "weights", "data")},
    )
    return f"---\n{front}---\n{text}"


def _short(text: str) -> str:
    """The text, or what of it ends before a preposition or a comma and is short enough."""
    if len(text) <= MAX_SHORT:
        return text
    ends = (match.start() for match in re.finditer(r", | (?:of|in|from|and) ", text))
    return text[: max((end for end in ends if end <= MAX_SHORT), default=MAX_SHORT)]
