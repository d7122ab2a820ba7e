"""Instance maps become CTC results on the original grid; what does not fit is refused, never wrapped."""

import nibabel as nib
import numpy as np
import pytest
import tifffile

from common.errors import InputError
from common.reading.tiff import read_volume
from tools.__main__ import VERBS
from tools.command_line import run
from tools.convert.ctc import ctc as convert_ctc
from tools.convert.nifti import write_volume
from tools.formats.ctc import ctc as export_ctc
from tools.score.commands import score_folders


@pytest.fixture
def predict(tmp_path):
    """Function that writes an instance map to ``tmp_path/pred``."""

    def write(stem, labels):
        (tmp_path / "pred").mkdir(exist_ok=True)
        write_volume(tmp_path / "pred" / f"{stem}_instances.nii.gz", labels, (2.0, 1.0, 0.5))

    return write


@pytest.fixture
def export(tmp_path):
    """Function that exports ``tmp_path/pred`` to ``tmp_path/out``."""
    return lambda **options: export_ctc(tmp_path / "pred", tmp_path / "out", like=tmp_path / "source", **options)


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_map_comes_back_on_the_grid_and_with_the_digits_of_its_image(sequence, predict, export, ramp, tmp_path):
    sequence("01", frames=(0, 7), digits=4)
    sequence("03")
    for frame in (0, 7):
        predict(f"01_t{frame:04d}", ramp(first=frame, dtype="int32"))
    assert export() == {"sequences": 1, "frames": 2, "objects": 239, "results": tmp_path / "out"}
    assert files(tmp_path / "out") == ["01_RES/mask0000.tif", "01_RES/mask0007.tif", "01_RES/res_track.txt"]
    tracks = np.loadtxt(tmp_path / "out/01_RES/res_track.txt", dtype=int)
    assert tracks[0].tolist() == [1, 0, 0, 0] and tracks[6].tolist() == [7, 0, 7, 0]
    assert tracks[-1].tolist() == [126, 7, 7, 0]
    result = read_volume(tmp_path / "out/01_RES/mask0007.tif")
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result, ramp(first=7))


def test_what_was_converted_comes_back_and_scores_1(sequence, tmp_path):
    sequence(frames=(0, 1))
    convert_ctc(tmp_path / "source", tmp_path / "dataset", spacing=(2, 1, 1))
    for path in (tmp_path / "dataset/labels").glob("*.nii.gz"):
        path.rename(path.with_name(path.name.replace(".nii.gz", "_instances.nii.gz")))
    export_ctc(tmp_path / "dataset/labels", tmp_path / "out", like=tmp_path / "source")
    (frames,) = score_folders(tmp_path / "source/01_GT", tmp_path / "out/01_RES").values()
    assert all(matches.ious.min() == 1 for frame in frames for matches in frame.matches.values())


@pytest.mark.parametrize("shape", [(5, 6, 1), (5, 6)])
def test_flat_image_gives_a_flat_result(put, ramp, export, tmp_path, shape):
    put("01/t000.tif", ramp((6, 5)))
    (tmp_path / "pred").mkdir()
    labels = ramp((6, 5)).T.reshape(shape)
    nib.save(nib.Nifti1Image(labels, np.eye(4)), tmp_path / "pred/01_t000_instances.nii.gz")
    export()
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out/01_RES/mask000.tif"), ramp((6, 5)))


def test_high_labels_of_few_objects_are_renumbered(sequence, predict, export, ramp, tmp_path):
    sequence()
    predict("01_t000", ramp(first=0, dtype="int32") * 1000)
    export()
    np.testing.assert_array_equal(read_volume(tmp_path / "out/01_RES/mask000.tif"), ramp(first=0))


@pytest.mark.parametrize("num_objects", [65535, 65536])
def test_65535_objects_fit_and_one_more_is_an_error(put, predict, export, tmp_path, num_objects):
    labels = np.arange(2, 2 + 256 * 257, dtype=np.int32).reshape(1, 256, 257)
    labels[labels > num_objects + 1] = 0
    put("01/t000.tif", np.zeros(labels.shape, np.uint8))
    predict("01_t000", labels)
    if num_objects == 65535:
        assert export()["objects"] == 65535
        return
    with pytest.raises(InputError, match="01_t000_instances.nii.gz: 65536 objects, uint16 holds at most 65535"):
        export()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((4, 5, 6), np.uint8), r"shape \(4, 5, 6\), expected \(4, 6, 5\) as in .*t000.tif"),
        (np.zeros((4, 6, 5), np.float32), "labels are float32, expected integers"),
        (np.full((4, 6, 5), -1, np.int16), "label -1, expected 0 for background"),
    ],
)
def test_map_that_does_not_fit(sequence, predict, export, labels, message):
    sequence()
    predict("01_t000", labels)
    with pytest.raises(InputError, match=f"01_t000_instances.nii.gz: {message}"):
        export()


def test_missing_frame_is_named(sequence, predict, export, ramp):
    sequence(frames=(0, 1))
    predict("01_t001", ramp())
    with pytest.raises(FileNotFoundError, match="01_t000_instances.nii.gz: no such file, but other frames of sequence"):
        export()


def test_map_of_no_image(sequence, predict, export, ramp):
    sequence()
    predict("09_t000", ramp())
    with pytest.raises(
        InputError, match="09_t000_instances.nii.gz: no image of this name in the dataset, which has 01_"
    ):
        export()


def test_nothing_to_export(sequence, export, tmp_path):
    sequence()
    with pytest.raises(FileNotFoundError, match="pred: no such folder"):
        export()
    (tmp_path / "pred").mkdir()
    with pytest.raises(InputError, match="pred: nothing to export"):
        export()


def test_truncated_map(sequence, predict, export, ramp, tmp_path):
    sequence()
    predict("01_t000", ramp())
    path = tmp_path / "pred/01_t000_instances.nii.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="01_t000_instances.nii.gz: cannot be read as a gray volume"):
        export()


def test_results_are_not_replaced_unasked(sequence, predict, export, ramp, tmp_path):
    sequence()
    predict("01_t000", ramp())
    export()
    predict("01_t000", ramp(first=2))
    with pytest.raises(InputError, match="mask000.tif: already exists; choose another folder or give --overwrite"):
        export()
    np.testing.assert_array_equal(read_volume(tmp_path / "out/01_RES/mask000.tif"), ramp())
    export(overwrite=True)
    np.testing.assert_array_equal(read_volume(tmp_path / "out/01_RES/mask000.tif"), ramp(first=2))


def test_destination_that_is_a_file(sequence, predict, export, ramp, tmp_path):
    sequence()
    predict("01_t000", ramp())
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match="mask000.tif: cannot be written"):
        export()


def test_interrupted_write_leaves_no_half_file(sequence, predict, export, ramp, tmp_path, monkeypatch):
    sequence()
    predict("01_t000", ramp())

    def interrupt(path, *_, **__):
        path.write_bytes(b"half")
        raise KeyboardInterrupt("killed")

    monkeypatch.setattr(tifffile, "imwrite", interrupt)
    with pytest.raises(KeyboardInterrupt, match="killed"):
        export()
    assert files(tmp_path / "out") == []


def test_verb(sequence, predict, ramp, tmp_path, capsys):
    sequence()
    predict("01_t000", ramp())
    words = ["export", "ctc", str(tmp_path / "pred"), str(tmp_path / "out")]
    like = ["--like", str(tmp_path / "source")]
    for arguments, message in (
        (words, "--like missing"),
        ([*words, *like, "--overwrit"], "unknown flag --overwrit; did you mean --overwrite?"),
        ([*words, *like, "--overwrite", "maybe"], "--overwrite maybe: expected no value"),
    ):
        assert run(VERBS, arguments) == 1
        assert message in capsys.readouterr().err
    assert run(VERBS, [*words, *like]) == 0
    assert capsys.readouterr().out.split()[:6] == ["sequences", "1", "frames", "1", "objects", "120"]
