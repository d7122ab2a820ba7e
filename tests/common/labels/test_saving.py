"""Label images as files."""

import numpy as np
import tifffile

from common.labels.saving import write_labels


def test_many_objects_need_a_tiff(tmp_path, caplog):
    many = np.arange(70000, dtype=np.int32).reshape(200, 350)
    path = write_labels(tmp_path, "a_fibres", many)
    assert path.name == "a_fibres.tif" and "numbers up to 69999" in caplog.text
    np.testing.assert_array_equal(tifffile.imread(path), many)
    write_labels(tmp_path, "a_fibres", many % 9)
    assert [path.name for path in tmp_path.iterdir()] == ["a_fibres.png"], "the older file would tell otherwise"
