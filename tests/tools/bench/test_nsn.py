"""Bad input is refused before anything is measured; the table reads as one."""

from __future__ import annotations

import json

import pytest

from common.errors import InputError
from tools.bench import nsn as module
from tools.bench.nsn import nsn
from tools.bench.table import Row, as_text


@pytest.fixture
def weights(tmp_path):
    (tmp_path / "model.pt").touch()
    return str(tmp_path / "model.pt")


def datalist(folder, **sections):
    folder.mkdir()
    (folder / "dataset.json").write_text(json.dumps({"name": "drawn"} | sections))
    return str(folder)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"num_volumes": "2"}, "--num_volumes 2: expected a whole number, at least 3"),
        ({"memory": "false"}, "--memory false: expected True or False"),
        ({"init_channels": "x"}, "--init_channels x: expected a whole number"),
        ({"ckpt_path": "none.pt"}, r"none\.pt: no such checkpoint"),
        ({"dataset_dir": "nowhere"}, r"nowhere/dataset\.json: not a MONAI datalist"),
        ({"datasets_dir": "x"}, "unknown flag --datasets_dir; did you mean --dataset_dir"),
    ],
)
def test_bad_options_are_refused(weights, options, match):
    with pytest.raises(InputError, match=match):
        nsn(**{"ckpt_path": weights, "memory": "False"} | options)


def test_empty_lists_are_refused(weights, tmp_path):
    training_only = datalist(tmp_path / "a", training=[{"image": "x"}])
    testing_only = datalist(tmp_path / "b", testing=[{"image": "x"}])
    with pytest.raises(InputError, match=r"a/dataset\.json: nothing under testing"):
        nsn(ckpt_path=weights, dataset_dir=training_only)
    with pytest.raises(InputError, match=r"b/dataset\.json: nothing under training"):
        nsn(ckpt_path=weights, dataset_dir=testing_only, train_dir=testing_only)


def test_changed_keys_are_keys_of_the_configs():
    train = json.loads((module.CONFIGS / "train.json").read_text())
    assert "inferer" in train["validate"]["inferer"]
    assert {"amp", "max_epochs", "warmup_epochs", "val_interval", "init_channels", "ckpt_path"} <= set(train)


def test_table_aligns_and_leaves_no_trailing_blanks():
    rows = [Row("a", "1 s", "10 s", "10.0 x faster", ">= 3 x", "yes"), Row("longer", "2 GiB")]
    assert as_text(rows).splitlines() == [
        "what    ours   other  ratio          target  met",
        "a       1 s    10 s   10.0 x faster  >= 3 x  yes",
        "longer  2 GiB",
    ]
