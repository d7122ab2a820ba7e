"""The command line, ``python -m tools VERB``: each verb one line, its function imported only when it is called."""

import sys

from tools.command_line import run

VERBS = {
    "convert ctc": ("tools.convert.ctc:ctc", "a Cell Tracking Challenge folder to NIfTI and dataset.json"),
    "convert tiff": ("tools.convert.stacks:tiff", "single volumes, as they come from a microscope, to the same"),
    "convert crypts": ("tools.convert.crypts:crypts", "RGB slides with masks of crypts to tiled TIFF and dataset.json"),
    "convert livecell": (
        "tools.convert.livecell:livecell",
        "LIVECell or COCO instances to label maps and dataset.json",
    ),
    "convert myelin": ("tools.convert.myelin:myelin", "BIDS microscopy of nerves to fibres, prompts and dataset.json"),
    "sample ctc": (
        "tools.sample.ctc:ctc",
        "small synthetic embryos with their markers, as the Cell Tracking Challenge",
    ),
    "sample crypts": ("tools.sample.crypts:crypts", "synthetic stained slides with crypts and run lengths"),
    "sample livecell": ("tools.sample.livecell:livecell", "synthetic phase contrast in LIVECell's layout"),
    "sample myelin": ("tools.sample.myelin:myelin", "synthetic electron microscopy of nerves in BIDS"),
    "sample": ("tools.sample.formats:sample", "BUNDLE DST: the one of these that a bundle's road begins with"),
    "segment": ("tools.segment.commands:segment", "images with a bundle: masks, tables, outlines"),
    "score": (
        "tools.score.commands:score",
        "SEG, DET and OP_CSB of results against truth, as the challenge has them",
    ),
    "export ctc": ("tools.formats.ctc:ctc", "instance maps to result folders of the Cell Tracking Challenge"),
    "export onnx": ("tools.segment.onnx_export:onnx", "a bundle's network as ONNX, compared with PyTorch"),
    "overlay": ("tools.overlay:overlay", "a picture of a volume with the outlines of its result and its truth"),
    "errors": ("tools.error_analysis:errors", "where masks differ from the truth: borders, dim nuclei, depth"),
    "card": ("tools.card.commands:card", "measured scores of a run into a bundle's metadata and model card"),
    "verify": ("tools.share.commands:verify", "check what must hold for a bundle that is given to others"),
    "share": ("tools.share.commands:share", "a bundle as a zip file that monai.bundle downloads"),
    "space": ("tools.space.commands:space", "a folder that serves a bundle: a Hugging Face Space, or a container"),
    "vendor": ("tools.vendor:vendor", "renew the files that bundles copy from elsewhere"),
    "quickstart": ("tools.quickstart:quickstart", "sample, convert, train, evaluate, infer and draw, in minutes"),
    "compare": (
        "tools.runs.compare.commands:compare",
        "networks, or values of a knob, trained on the same folds: a table",
    ),
    "crossval": (
        "tools.runs.crossval.commands:crossval",
        "bundles over the folds of a dataset, their ensembles: a report",
    ),
    "tune": (
        "tools.runs.tune.commands:tune",
        "values of a bundle's train.json that validate better, searched by Optuna",
    ),
    "auto3dseg": (
        "tools.runs.auto3dseg.commands:auto3dseg",
        "bundles as algorithms of MONAI's Auto3DSeg: its templates",
    ),
    "serve": ("tools.serve.commands:serve", "bundles over HTTP, and a page to try them on"),
}


def main() -> None:
    """Run the verb that the command line names, and end with its exit code."""
    sys.exit(run(VERBS, sys.argv[1:]))


if __name__ == "__main__":
    main()
