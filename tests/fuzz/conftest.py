"""Fuzzing: a few seconds for each reader as a test, minutes by hand: ``pytest tests/fuzz --fuzz_minutes 10``.

What it finds is printed as bytes; mend the reader, and keep a small file of that kind in ``corpus/<target>/``.
"""

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from common.errors import InputError, causes

CORPUS = Path(__file__).with_name("corpus")
MAX_SECONDS, MAX_BYTES = 2.0, 500 << 20
EXAMPLES = 40  # of a test; more with --fuzz_minutes
EXPECTED = (InputError, FileNotFoundError)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz_minutes", type=float, default=0.0, help="minutes of fuzzing for each reader")


@contextmanager
def limited_memory() -> Iterator[None]:
    """Let this process take no more than `MAX_BYTES` beyond what it has, where the system can tell."""
    statm = Path("/proc/self/statm")
    if not statm.is_file():
        yield
        return
    import resource

    present = int(statm.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (present + MAX_BYTES, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def holds(read: Callable[[Path], object], path: Path) -> None:
    """The promise: a reader reads a file or refuses it in words, in two seconds and 500 MiB."""
    refusal: BaseException | None = None
    started = time.process_time()  # of this process: others may be using the machine
    try:
        with limited_memory():
            read(path)
    except EXPECTED as error:
        refusal = error
    seconds = time.process_time() - started
    assert seconds < MAX_SECONDS, f"took {seconds:.1f} s"
    assert refusal is None or str(refusal).strip()
    assert not any(isinstance(cause, MemoryError) for cause in causes(refusal)), f"took more than {MAX_BYTES >> 20} MiB"


@pytest.fixture
def fuzz(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., None]:
    """Function that reads mutated contents, and the corpus of former finds, through the readers of a target."""
    minutes = request.config.getoption("--fuzz_minutes", 0.0)
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)

    def run(contents: st.SearchStrategy[bytes], name: str, *readers: Callable[[Path], object]) -> None:
        def check(content: bytes) -> None:
            # a name of its own, as some readers keep what they know of a file
            path = tmp_path / f"{hashlib.sha1(content).hexdigest()[:12]}{name}"
            path.write_bytes(content)
            try:
                for read in readers:
                    holds(read, path)
            finally:
                path.unlink()

        for path in sorted((CORPUS / request.node.originalname.removeprefix("test_")).glob("*")):
            check(path.read_bytes())
        end, number = time.monotonic() + 60 * minutes, 0
        while number == 0 or time.monotonic() < end:
            bounded = settings(
                max_examples=EXAMPLES if not minutes else 1000,
                database=None,
                phases=[Phase.explicit, Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            )
            seed(number)(bounded(given(contents)(check)))()
            number += 1

    return run


def replace_at(content: bytes, where: int, new: bytes) -> bytes:
    return content[:where] + new + content[where + len(new) :]


ODD = [0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**40, 2**63 - 1]


@st.composite
def mutated(draw: st.DrawFn, contents: Sequence[bytes]) -> bytes:
    """A valid file with a few bytes changed, most of them near its ends, where headers are; or cut, or longer."""
    content = draw(st.sampled_from(contents))
    for _ in range(draw(st.integers(1, 4))):
        size = max(len(content), 1)
        near = st.integers(0, min(size, 400) - 1)
        where = draw(st.one_of(near, near.map(lambda place, size=size: size - 1 - place), st.integers(0, size - 1)))
        kind = draw(st.sampled_from(["byte", "number", "number", "cut", "repeat", "insert"]))
        if kind == "byte":
            content = replace_at(content, where, bytes([draw(st.integers(0, 255))]))
        elif kind == "number":
            width = draw(st.sampled_from([1, 2, 4, 8]))
            number = draw(st.sampled_from(ODD)) % 256**width
            order = draw(st.sampled_from(["little", "big"]))
            content = replace_at(content, where - where % width, number.to_bytes(width, order))
        elif kind == "cut":
            content = content[:where]
        elif kind == "repeat":
            content = content[:where] + content[where : where + 64] * 2 + content[where + 64 :]
        else:
            content = content[:where] + draw(st.binary(max_size=16)) + content[where:]
    return content


ODD_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1e308, 2**31, 2**63, -(2**70), 0.5, float("nan"), float("inf")]),
    st.sampled_from(["", "x", "\0", "../..", "=1+1", "\ud7ff", "9" * 400]),
    st.sampled_from([[], {}, [[]], [None], {"a": None}, [[[[]]]], [{}], [1, 2, 3]]),
)


@st.composite
def mutated_document(draw: st.DrawFn, documents: Sequence[object]) -> object:
    """A document of JSON with a few values replaced, left out, or doubled, wherever they stand."""
    document = draw(st.sampled_from(documents))
    for _ in range(draw(st.integers(1, 3))):
        document = _mutate(draw, document)
    return document


def _mutate(draw: st.DrawFn, value: object) -> object:
    if isinstance(value, dict) and value and draw(st.integers(0, 5)):
        key = draw(st.sampled_from(sorted(value)))
        if not draw(st.integers(0, 5)):
            return {name: of for name, of in value.items() if name != key}
        return {**value, key: _mutate(draw, value[key])}
    if isinstance(value, list) and value and draw(st.integers(0, 5)):
        index = draw(st.integers(0, len(value) - 1))
        if not draw(st.integers(0, 5)):
            return [*value, value[index]]
        return [*value[:index], _mutate(draw, value[index]), *value[index + 1 :]]
    return draw(ODD_VALUES)
