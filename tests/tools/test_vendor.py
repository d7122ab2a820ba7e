"""A bundle carries the files of common/ that it reaches, whole and unchanged, and no others."""

from pathlib import Path

import pytest

from common.errors import InputError
from tools import vendor as module
from tools.vendor import differing_copies, vendor

SCORE = '"""SEG, after Maška."""\n\nfrom ..files import replacing\n'.encode()
COPIES = Path("bundles/a/a/common")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A repository of one bundle that imports one module of common/, which imports another; a config names a third."""
    contents = {
        "common/__init__.py": b"",
        "common/files.py": b"import os\n",
        "common/unused.py": b"",
        "common/names.py": b"",
        "common/labels/__init__.py": b"",
        "common/labels/seg.py": SCORE,
        "bundles/a/a/__init__.py": b"",
        "bundles/a/a/network.py": b"def build():\n    from .common.labels.seg import seg\n",
        "bundles/a/configs/train.json": b'{"stem": {"_target_": "a.common.names.stem"}, "other": "$b.common.unused"}',
        "bundles/a/models/model.pt": bytes(range(256)),
    }
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return tmp_path


def copied(root: Path) -> list[str]:
    return sorted(path.relative_to(root / COPIES).as_posix() for path in (root / COPIES).rglob("*") if path.is_file())


def test_copies_are_what_package_and_configs_reach(root):
    vendor()
    assert copied(root) == ["__init__.py", "files.py", "labels/__init__.py", "labels/seg.py", "names.py"]
    assert (root / COPIES / "labels/seg.py").read_bytes() == SCORE


def test_second_run_writes_nothing(root):
    vendor()
    before = (root / COPIES / "files.py").stat().st_mtime_ns
    assert vendor() == {"copies": 5, "renewed": "none"}
    assert (root / COPIES / "files.py").stat().st_mtime_ns == before


@pytest.mark.parametrize("content", [b"old\n", SCORE.replace(b"\n", b"\r\n")], ids=["other", "line_ends"])
def test_check_names_what_differs_and_changes_nothing(root, content):
    vendor()
    (root / COPIES / "labels/seg.py").write_bytes(content)
    with pytest.raises(InputError, match=r"differ from common/: bundles/a/a/common/labels/seg\.py; run python"):
        vendor(check=True)
    assert (root / COPIES / "labels/seg.py").read_bytes() == content
    vendor()
    assert (root / COPIES / "labels/seg.py").read_bytes() == SCORE


def test_what_is_not_needed_is_named_and_removed(root):
    vendor()
    (root / COPIES / "unused.py").write_bytes(b"")
    assert differing_copies(root) == [COPIES / "unused.py"]
    vendor()
    assert "unused.py" not in copied(root)


def test_what_is_missing_is_named(root):
    vendor()
    (root / COPIES / "files.py").unlink()
    assert differing_copies(root) == [COPIES / "files.py"]


def test_import_of_what_is_not_there_is_refused(root):
    (root / "bundles/a/a/other.py").write_bytes(b"from .common.gone import x\n")
    with pytest.raises(InputError, match=r"imports common\.gone\.x, which common/ does not have"):
        vendor(check=True)
