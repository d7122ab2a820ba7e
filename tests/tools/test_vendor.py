"""A copy is its first line and its source, byte by byte; only what differs is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import vendor as module
from tools.errors import InputError
from tools.vendor import differing_copies, vendor

HEADER = b"# Copied from shared/measure.py: edit there, then run python -m tools vendor\n"
SOURCE = '"""SEG, after Maška."""\n'.encode()
COPY = Path("bundles/a/a/measure.py")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A repository with one source and one copy of it that differs, among files that are no copies."""
    contents = {
        "shared/measure.py": SOURCE,
        COPY: HEADER + b"old\n",
        "bundles/a/a/other.py": b"# Copied from memory\n",
        "bundles/a/models/model.pt": bytes(range(256)),
        "bundles/b/b/empty.py": b"",
    }
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return tmp_path


def test_copy_becomes_its_first_line_and_the_source(root):
    assert vendor() == {"copies": 1, "renewed": "bundles/a/a/measure.py"}
    assert (root / COPY).read_bytes() == HEADER + SOURCE


def test_second_run_writes_nothing(root):
    vendor()
    before = (root / COPY).stat().st_mtime_ns
    assert vendor() == {"copies": 1, "renewed": "none"}
    assert (root / COPY).stat().st_mtime_ns == before


def test_check_names_what_differs_and_changes_nothing(root):
    with pytest.raises(InputError, match=r"differ from their source: bundles/a/a/measure\.py; run python"):
        vendor(check=True)
    assert (root / COPY).read_bytes() == HEADER + b"old\n"
    assert differing_copies(root) == [COPY]


def test_check_passes_where_all_copies_agree(root):
    vendor()
    assert vendor(check=True) == {"copies": 1, "renewed": "none"}
    assert differing_copies(root) == []


def test_line_ends_are_compared_too(root):
    (root / COPY).write_bytes((HEADER + SOURCE).replace(b"\n", b"\r\n"))
    assert differing_copies(root) == [COPY]
    vendor()
    assert differing_copies(root) == []


def test_missing_source_is_named(root):
    (root / "shared/measure.py").unlink()
    with pytest.raises(InputError, match=r"bundles/a/a/measure\.py: copied from .*shared/measure\.py, which does not"):
        vendor(check=True)


def test_nothing_is_left_beside_the_copy(root):
    vendor()
    assert [path.name for path in (root / COPY).parent.iterdir() if path.name[0] == "."] == []
