"""Names and paths of a dataset's testing images."""

from __future__ import annotations

import json

import pytest

from common.errors import InputError
from tools.bench.testing_items import read_testing_items


def test_labels_only_where_there_are_some(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).touch()
    testing = [{"image": "a.png", "label": "c.png", "cell_type": "x"}, {"image": "b.png"}]
    (tmp_path / "dataset.json").write_text(json.dumps({"name": "cells", "testing": testing}))
    name, items = read_testing_items(tmp_path)
    assert name == "cells"
    assert items == [{"image": tmp_path / "a.png", "label": tmp_path / "c.png"}, {"image": tmp_path / "b.png"}]


def test_missing_file_is_told(tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps({"testing": [{"image": "gone.png"}]}))
    with pytest.raises(InputError, match=r"gone\.png: no such file, but .*dataset\.json lists it"):
        read_testing_items(tmp_path)
