"""MONAI imported without the heavy packages that it takes along for what no inference does.

It tries them when it is imported, and does without where they are missing: plots in notebooks and profiling
(Matplotlib, pandas), tracking (MLflow), a metric of training (scikit-learn), and one transform of ultrasound
(scipy.signal). They take a third of the time of the import. A bundle that uses one of them itself still can; that part
of MONAI says in this process that it is not installed.
"""

import sys

__all__ = ["LEFT_OUT", "import_monai"]

LEFT_OUT = ("matplotlib.pyplot", "mlflow", "pandas", "scipy.signal", "sklearn")


def import_monai() -> None:
    """Import `monai`, unless it is there already."""
    if "monai" in sys.modules:
        return
    absent = [name for name in LEFT_OUT if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None makes an import fail
    try:
        import monai  # noqa: F401
    finally:
        for name in absent:
            sys.modules.pop(name, None)
