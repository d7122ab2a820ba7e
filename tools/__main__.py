"""The command line, ``python -m tools VERB``: one line per verb, its function imported only when called."""

import sys

from tools.command_line import run

VERBS = {
    "convert ctc": ("tools.convert.ctc:ctc", "turn a Cell Tracking Challenge folder into NIfTI and dataset.json"),
    "convert tiff": ("tools.convert.stacks:tiff", "turn single volumes, as they come from a microscope, into the same"),
    "convert crypts": (
        "tools.convert.crypts:crypts",
        "turn RGB slides with masks of crypts into tiled TIFF and dataset.json",
    ),
    "convert livecell": (
        "tools.convert.livecell:livecell",
        "turn LIVECell or COCO instances into label maps and dataset.json",
    ),
    "convert myelin": (
        "tools.convert.myelin:myelin",
        "turn BIDS microscopy of nerves into fibres, prompts and dataset.json",
    ),
    "sample ctc": ("tools.sample.ctc:ctc", "make small synthetic embryos in the layout of the Cell Tracking Challenge"),
    "sample crypts": ("tools.sample.crypts:crypts", "make synthetic stained slides with crypts and run lengths"),
    "sample livecell": ("tools.sample.livecell:livecell", "make synthetic phase contrast in LIVECell's layout"),
    "sample myelin": ("tools.sample.myelin:myelin", "make synthetic electron micrographs of nerves in BIDS"),
    "sample": ("tools.sample.formats:sample", "BUNDLE DST: make the sample that fits a bundle"),
    "segment": ("tools.segment.commands:segment", "segment images with a bundle: masks, tables, outlines"),
    "correct": ("tools.corrections:correct", "keep an image and its corrected labels, to fine-tune on"),
    "finetune": ("tools.finetune:finetune", "train on from a bundle's weights, on few images of your own"),
    "score": ("tools.score.commands:score", "compute SEG, DET and OP_CSB, as the Cell Tracking Challenge defines them"),
    "export ctc": ("tools.formats.ctc:ctc", "turn instance maps into result folders of the Cell Tracking Challenge"),
    "export onnx": ("tools.segment.onnx_export:onnx", "write a bundle's network as ONNX and compare it with PyTorch"),
    "overlay": ("tools.overlay:overlay", "draw the outlines of a result, and of the truth, over an image"),
    "errors": ("tools.error_analysis:errors", "show where masks differ from the truth: borders, dim nuclei, depth"),
    "card": ("tools.card.commands:card", "write measured scores into a bundle's metadata and model card"),
    "verify": ("tools.share.commands:verify", "check a bundle before you give it to others"),
    "share": ("tools.share.commands:share", "pack a bundle as a zip file that monai.bundle downloads"),
    "space": (
        "tools.space.commands:space",
        "write a folder that serves a bundle: a Hugging Face Space, or a container",
    ),
    "vendor": ("tools.vendor:vendor", "renew the shared files that bundles carry copies of"),
    "quickstart": ("tools.quickstart:quickstart", "sample, convert, train, evaluate, infer and draw, in minutes"),
    "compare": (
        "tools.runs.compare.commands:compare",
        "compare networks, or values of a setting, on the same folds in a table",
    ),
    "crossval": (
        "tools.runs.crossval.commands:crossval",
        "train bundles on all folds of a dataset and compare them in a report",
    ),
    "tune": ("tools.runs.tune.commands:tune", "search for values of train.json that validate better (Optuna)"),
    "auto3dseg": (
        "tools.runs.auto3dseg.commands:auto3dseg",
        "write templates that make bundles algorithms of MONAI's Auto3DSeg",
    ),
    "serve": ("tools.serve.commands:serve", "serve bundles over HTTP, with a page to try them on"),
}


def main() -> None:
    """Run the verb that the command line names, and end with its exit code."""
    sys.exit(run(VERBS, sys.argv[1:]))


if __name__ == "__main__":
    main()
