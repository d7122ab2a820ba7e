"""Files of microscopes over HTTP: the same choice and the same words as on the command line."""

import gzip
import io
import json
import shutil
import zipfile
from pathlib import Path

import httpx
import nibabel as nib
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from tests.tools.formats.raw_files import WRITERS, drawn
from tests.tools.serve.conftest import IMAGES, THRESHOLD, noise, png, running
from tools.formats import microscopes
from tools.serve.failures import Failure
from tools.serve.jobs import Limits
from tools.serve.uploads import check_start

OPENERS = [(tifffile, "TiffFile"), (Image, "open"), (nib, "load"), (zarr, "open_group"), (zipfile, "ZipFile")]
OPENERS += [(microscopes, "open_scenes"), (np, "memmap")]
NAMES = [name for name in WRITERS if name != "a.oif"]


def content_of(folder: Path, name: str, pixels: np.ndarray, **options) -> bytes:
    """A file as it is sent; an OME-Zarr in a zip file."""
    WRITERS[name](folder / name, pixels, **options)
    if (folder / name).is_dir():
        shutil.make_archive(str(folder / "zipped"), "zip", folder, name)
        return (folder / "zipped.zip").read_bytes()
    return (folder / name).read_bytes()


def bright(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content))) > 0


@pytest.mark.parametrize("name", ["a.czi", "a.zarr"])
def test_channel_is_chosen_as_on_the_command_line(server, tmp_path, name):
    pixels = drawn(channels=3)
    content = content_of(tmp_path, name, pixels)
    answer = server.post(content, name=name, bundle="images")
    told = answer.json()
    assert (answer.status_code, told["code"]) == (422, 422)
    assert told["message"] == "the image: 3 channels, expected one: 0 DAPI, 1 GFP, 2 Cy5; give its channel"
    for wanted in ("GFP", "1"):
        answer = server.post(content, name=name, bundle="images", channel=wanted)
        np.testing.assert_array_equal(bright(answer.content), pixels[0, 0, 1, 0] > THRESHOLD)
    answer = server.post(content, name=name, bundle="images", channel="RFP")
    assert answer.status_code == 422
    assert answer.json()["message"] == "the image: no channel 'RFP'; there are 0 DAPI, 1 GFP, 2 Cy5"


@pytest.mark.parametrize("name", ["a.czi", "a.zarr"])
def test_scene_and_time_are_chosen(server, tmp_path, name):
    pixels = drawn(scenes=2, times=2)
    content = content_of(tmp_path, name, pixels)
    assert "2 scenes, expected one" in server.post(content, name=name, bundle="images").json()["message"]
    message = server.post(content, name=name, bundle="images", scene="1").json()["message"]
    assert message == "the image: 2 time points, expected one; give its time, 0 to 1"
    answer = server.post(content, name=name, bundle="images", scene="1", time="1")
    np.testing.assert_array_equal(bright(answer.content), pixels[1, 1, 0, 0] > THRESHOLD)


@pytest.mark.parametrize("name", ["a.czi", "a.zarr"])
def test_volume_has_the_spacing_of_its_file(server, tmp_path, name):
    pixels = drawn(channels=2, depth=3)
    content = content_of(tmp_path, name, pixels)
    answer = server.post(content, name=name, bundle="volumes", channel="0")
    volume = nib.Nifti1Image.from_bytes(gzip.decompress(answer.content))
    np.testing.assert_allclose(volume.header.get_zooms(), (0.5, 0.5, 2.0), rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(volume.dataobj).transpose(2, 1, 0), pixels[0, 0, 0] > THRESHOLD)


def test_page_lists_the_channels_and_takes_the_choice(tmp_path):
    content = content_of(tmp_path, "a.czi", drawn(channels=2))
    (tmp_path / "results").mkdir()
    with running(Limits(timeout_s=20), page_folder=tmp_path / "results") as server:
        fields = httpx.get(f"{server.url}/bundles").json()[0]["fields"]
        assert fields[-3:] == ["scene", "channel", "time"]

        def ask(**given):
            files = {"image": ("a.czi", content)}
            answer = httpx.post(f"{server.url}/results", files=files, data=given, timeout=60)
            return json.loads(answer.text.splitlines()[-1])

        assert ask() == {
            "state": "failed",
            "message": "the image: 2 channels, expected one: 0 DAPI, 1 GFP; give its channel",
        }
        assert ask(channel="GFP")["state"] == "done"


def test_choice_of_a_picture_is_refused(server):
    answer = server.post(png(noise(0)), bundle="images", channel="0")
    assert answer.status_code == 422 and answer.json()["message"] == "the image: holds one image, leave out channel"


@pytest.mark.parametrize("name", NAMES)
def test_damaged_file_is_told_without_a_path_of_ours(server, tmp_path, name):
    content = content_of(tmp_path, name, drawn(channels=2))
    answer = server.post(content[: len(content) // 2], name=name, bundle="images", channel="0")
    assert answer.status_code in (415, 422)
    assert "upload" not in answer.json()["message"]
    assert server.post(png(noise(0))).status_code == 200


@pytest.mark.parametrize(
    ("side", "code", "message"),
    [
        (60000, 415, "bytes are 7200000000 bytes of pixels; copy or export it again"),
        (2000, 413, "takes about 69 MiB, expected at most 20 MiB"),
    ],
)
def test_size_that_a_header_claims_is_refused_before_it_is_decoded(server, tmp_path, side, code, message):
    root = zarr.open_group(tmp_path / "a.zarr", mode="w")
    root.create_array("0", shape=(side, side), chunks=(1000, 1000), dtype="u2")
    root.attrs["ome"] = {"multiscales": [{"axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "0"}]}]}
    shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path / "a.zarr")
    answer = server.post((tmp_path / "a.zip").read_bytes(), name="a.zip", bundle="images")
    assert answer.status_code == code and message in answer.json()["message"]


def test_zip_that_is_no_image(server):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../evil.txt", b"text")
    answer = server.post(buffer.getvalue(), name="a.zip", bundle="images")
    assert answer.status_code == 415
    assert answer.json()["message"] == "a zip file without an OME-Zarr in it; zip the folder of one image"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("/etc/.zgroup", b'{"zarr_format": 2}', "cannot be read as OME-Zarr"),
        ("a/.zattrs", bytes(80 << 20), "its metadata are 83886080 bytes, expected at most 67108864; export it again"),
    ],
)
def test_zip_that_leads_out_of_itself_or_swells(server, name, content, told):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/.zgroup" if name.startswith("a") else "etc/x", b'{"zarr_format": 2}')
        archive.writestr(name, content)
    answer = server.post(buffer.getvalue(), name="a.zip", bundle="images")
    assert answer.status_code == 415 and told in answer.json()["message"]
    assert "request-" not in answer.json()["message"], "a path of ours"


def test_oif_without_its_folder(server, tmp_path):
    WRITERS["a.oif"](tmp_path / "a.oif", drawn())
    answer = server.post((tmp_path / "a.oif").read_bytes(), name="a.oif")
    assert answer.status_code == 422 and "send it as OIB" in answer.json()["message"]
    check_start(tmp_path / "a.oif", IMAGES, Limits())  # where the folder is there


@pytest.fixture
def data_dir(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def local(data_dir):
    with running(Limits(max_queue=4, timeout_s=20), data_dir) as server:
        yield server


@pytest.mark.parametrize("name", ["a.zarr", "a.oif"])
def test_image_of_many_files_lies_on_the_server(local, data_dir, name):
    pixels = drawn(channels=2)
    WRITERS[name](data_dir / name, pixels)
    answer = local.post_path(name, channel="GFP").json()
    assert answer["mask_path"] == f"results/{name}_mask.png"
    np.testing.assert_array_equal(
        np.asarray(Image.open(data_dir / answer["mask_path"])) > 0, pixels[0, 0, 1, 0] > THRESHOLD
    )


@pytest.mark.parametrize("name", ["a.zarr", "a.oif"])
@pytest.mark.parametrize("is_folder", [False, True])
def test_image_of_many_files_does_not_lead_out_of_the_data_folder(local, data_dir, tmp_path, name, is_folder):
    WRITERS[name](data_dir / name, drawn())
    folder = data_dir / (name if name == "a.zarr" else "a.oif.files")
    inside = next(path for path in sorted(folder.rglob("*")) if path.is_dir() or not is_folder or name == "a.oif")
    inside.rename(tmp_path / inside.name)
    inside.symlink_to(tmp_path / inside.name)
    answer = local.post_path(name)
    assert answer.status_code == 403 and not local.worker.jobs
    assert answer.json()["message"] == f"image_path: {inside.name} in it leads out of the data folder"


def test_folder_that_is_no_image(local, data_dir):
    (data_dir / "plate").mkdir()
    answer = local.post_path("plate")
    assert answer.status_code == 404
    assert answer.json()["message"] == "image_path: a folder that is no OME-Zarr; name one of the images in it"


def test_oif_in_a_zip_file_is_told_from_an_ome_zarr(server, tmp_path):
    WRITERS["a.oif"](tmp_path / "a.oif", drawn())
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in (tmp_path / "a.oif", *(tmp_path / "a.oif.files").iterdir()):
            archive.write(path, path.relative_to(tmp_path))
    answer = server.post((tmp_path / "a.zip").read_bytes(), name="a.zip")
    assert answer.status_code == 415
    assert answer.json()["message"].endswith(
        "an OIF in a zip file, which is read from its own folder only; unzip it, or save it as OIB or OME-TIFF"
    )


@pytest.mark.parametrize("name", [*NAMES, "a.png", "a.nii"])
def test_server_itself_opens_no_image(tmp_path, name):
    """Only the process that segments does."""
    if name in NAMES:
        content = content_of(tmp_path, name, drawn(depth=2))
    else:
        content = png(noise(0)) if name == "a.png" else nib.Nifti1Image(drawn()[0, 0, 0], np.eye(4)).to_bytes()
    opened = []
    with running(Limits(max_queue=4, timeout_s=20)) as server, pytest.MonkeyPatch.context() as patched:
        server.worker.run = lambda job, timeout_s: (_ for _ in ()).throw(Failure(422, "opened by the worker"))
        for module, opener in OPENERS:
            patched.setattr(module, opener, lambda *_, opener=opener, **__: opened.append(opener))
        answer = server.post(content, name=name, bundle="images" if name == "a.png" else "volumes")
    assert answer.json()["message"] == "opened by the worker" and not opened
