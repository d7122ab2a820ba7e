"""``python -m benchmarks`` lists the comparisons, ``NAME [options]`` after it runs one, ``all`` most of them."""

import argparse
import ast
import inspect
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent


def main(arguments: Sequence[str]) -> int:
    """Run one comparison, or list all.

    Parameters
    ----------
    arguments : sequence of str
        The command line after ``python -m benchmarks``.

    Returns
    -------
    int
        Exit code; 1 for bad input, told in one line on stderr.
    """
    titles = {path.stem: _title(path) for path in sorted(HERE.glob("*.py")) if "\ndef compare(" in path.read_text()}
    if not arguments or arguments[0] in ("-h", "--help"):
        lines = [f"{name:<{max(map(len, titles))}}  {title}" for name, title in titles.items()]
        print("usage: python -m benchmarks NAME ...   (--help after a name says more)\n", *lines, sep="\n")
        print("\npython -m benchmarks all [--quick] [--output PAGE]: those of docs/performance.md, which it writes")
        return 0
    name, *options = arguments
    if name == "all":
        return _all(options)
    if name not in titles:
        print(f"error: no comparison {name}; choose one of {', '.join(titles)}", file=sys.stderr)
        return 1
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.INFO)
    tables = sys.stdout
    try:
        with redirect_stdout(sys.stderr):  # before MONAI's loggers take hold of stdout, which is for tables alone
            module = import_module(f"benchmarks.{name}")
    except ModuleNotFoundError as error:
        print("error: not installed:", error.name, file=sys.stderr)
        return 1
    given = _parse(name, module, options)
    markdown = given.pop("markdown")
    with redirect_stdout(sys.stderr):
        try:
            for text in _report(module, given, markdown):
                print(text, file=tables, flush=True)
        except (ValueError, OSError) as error:
            print("error:", " ".join(str(error).split()), file=sys.stderr)
            return 1
    return 0


def _all(options: Sequence[str]) -> int:
    from benchmarks.performance import PAGE, write_page

    parser = argparse.ArgumentParser("python -m benchmarks all", description=inspect.getdoc(write_page))
    parser.add_argument("--quick", action="store_true", help="smaller inputs and fewer rounds")
    parser.add_argument("--output", type=Path, default=PAGE, help=f"{PAGE.name} in docs/ if not given")
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], help="some of them, a,b")
    return write_page(**vars(parser.parse_args(options)))


def _title(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())).splitlines()[0]


def _parse(name: str, module: object, options: Sequence[str]) -> dict[str, object]:
    """Options by the keyword parameters of ``compare``, whose defaults say of which type they are."""
    text = f"{module.__doc__}\n{inspect.getdoc(module.compare)}"
    parser = argparse.ArgumentParser(
        f"python -m benchmarks {name}", description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for option in inspect.signature(module.compare).parameters.values():
        if option.kind is option.KEYWORD_ONLY:
            if isinstance(option.default, bool):
                parser.add_argument(f"--{option.name}", action="store_true")
                continue
            kind = _count if isinstance(option.default, int) else str
            parser.add_argument(f"--{option.name}", type=kind, default=option.default, help=f"{option.default!r}")
    parser.add_argument("--markdown", action="store_true", help="tables for a page")
    return vars(parser.parse_args(options))


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number, at least 1")
    return int(text)


def _report(module: object, options: dict[str, object], markdown: bool) -> Iterator[str]:
    """What was compared on what, every table as soon as it is measured, and what its columns mean."""
    import torch

    from benchmarks.harness import as_markdown, as_text

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    yield f"device: {device}, {torch.get_num_threads()} threads; load before: {os.getloadavg()[0]:.2f}"
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        for part in module.compare(Path(folder), **options):
            yield part if isinstance(part, str) else f"\n{(as_markdown if markdown else as_text)(part)}"
    yield f"\n{module.__doc__.partition(chr(10))[2].strip()}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
