"""What a bundle's card says about the settings that segmenting takes, for ``segment BUNDLE --help``."""

import itertools
import re
import textwrap
from collections.abc import Sequence, Set

from tools.card.files import MODEL_CARD
from tools.segment.description import describe, is_ours

__all__ = ["help_of_settings"]

NAME = r"`--\w+`(?: \*)?"  # the asterisk: of the network's shape
ROW = re.compile(rf"^\| ({NAME}(?:, {NAME})*) \| (.*?) \| (.*) \|$", re.MULTILINE)  # of the card's table of overrides
# of settings that several bundles have, where the card does not say it
OF_ALL = {
    "ckpt_path": ("`--ckpt_path`", "models/model.pt", "other weights, such as those that `finetune` writes"),
    "save_probability": ("`--save_probability`", "", "True also writes the probabilities"),
}


def help_of_settings(words: Sequence[str], options: Set[str]) -> str:
    """The settings of a bundle, the first of the words or that of ``--bundle``, but for ``options`` of the verb.

    Empty without a bundle. InputError if there is no such one.
    """
    named = [word.removeprefix("--bundle=") for word in words if word.startswith("--bundle=")]
    named += [name for option, name in itertools.pairwise(words) if option == "--bundle"]
    named += [word for word in words[:1] if not word.startswith("-")]
    if not named:
        return ""
    bundle = describe(named[0])
    config = {key: of for key, of in bundle.settings.items() if key not in options and not is_ours(key, of)}
    card = bundle.root / MODEL_CARD
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    heading, rows = f"Settings of {bundle.name}", ROW.findall(text)
    told = {name for names, _, _ in rows for name in re.findall(r"--(\w+)", names)}
    entries: list[str] = []
    for names, stated, meaning in [*(row for key, row in OF_ALL.items() if key not in told), *rows]:
        known = [name for name in re.findall(r"--(\w+)", names) if name in config]
        defaults = ", ".join(str(config[name]) for name in known)
        if known:
            title = f"{', '.join(f'--{name}' for name in known)} : {stated if set(defaults) & {*'$@'} else defaults}"
            about = textwrap.fill(
                re.sub(r"`|^\w+\.json: ", "", meaning), 120, initial_indent=" " * 4, subsequent_indent=" " * 4
            )
            entries += [title.removesuffix(" : "), about]
    return "\n".join([heading, "-" * len(heading), *entries, f"More about them: {card}"]) if entries else ""
