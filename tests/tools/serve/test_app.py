import gzip
import io
import re
import tempfile
import zipfile
from pathlib import Path

import httpx
import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.tools.serve.conftest import THRESHOLD, noise, png, running
from tools.segment.results import Result, safe_stem
from tools.serve.failures import Failure
from tools.serve.jobs import Limits
from tools.serve.results import encode


def decoded(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def tiff(pixels: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, photometric="minisblack", **options)
    return buffer.getvalue()


def nifti(volume: np.ndarray) -> bytes:
    return gzip.compress(nib.Nifti1Image(volume, np.diag([0.8, 0.8, 2.0, 1])).to_bytes())


def test_png_gives_its_mask_as_png(server):
    image = noise(0)
    answer = server.post(png(image))
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/png"
    np.testing.assert_array_equal(decoded(answer.content), (image > THRESHOLD) * 255)


def test_jpeg_is_taken(server):
    buffer = io.BytesIO()
    Image.fromarray(noise(0, (16, 16))).save(buffer, format="JPEG", quality=100)
    expected = decoded(buffer.getvalue()) > THRESHOLD
    np.testing.assert_array_equal(decoded(server.post(buffer.getvalue()).content) > 0, expected)


@pytest.mark.parametrize(
    ("query", "accept"),
    [
        ("?format=tiff", None),
        ("", "image/tiff"),
        ("?format=tiff", "image/png"),
        ("", "image/png;q=0.5, image/tiff"),
    ],
)
def test_tiff_by_query_or_accept(server, query, accept):
    answer = server.post(png(noise(1)), query, headers={"accept": accept} if accept else None)
    assert answer.headers["content-type"] == "image/tiff"
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(answer.content)), (noise(1) > THRESHOLD) * 255)


def test_mask_of_more_objects_than_a_png_holds_is_refused_as_such(tmp_path):
    tifffile.imwrite(tmp_path / "a_mask.tif", np.full((4, 4), 70_000, np.uint32))
    result = Result(tmp_path / "a.png", tmp_path / "a_mask.tif", (), 0.0)
    with pytest.raises(Failure, match="more than 65535 objects, which a PNG cannot hold"):
        encode(result, "png")


def test_image_as_nifti_has_x_first(server):
    answer = server.post(png(noise(1)), "?format=nifti")
    volume = nib.Nifti1Image.from_bytes(gzip.decompress(answer.content))
    np.testing.assert_array_equal(np.asarray(volume.dataobj)[..., 0], (noise(1).T > THRESHOLD) * 255)


def test_zip_holds_all_results(server):
    answer = server.post(png(noise(1)), "?format=zip", name="../My cells.ome.tif")
    assert zipfile.ZipFile(io.BytesIO(answer.content)).namelist() == ["My_cells_mask.png"]
    assert answer.headers["content-disposition"] == 'attachment; filename="My_cells_results.zip"'


@pytest.mark.parametrize(
    ("filename", "stem"),
    [
        ("a.b.NII.GZ", "a.b"),
        ("C:\\Users\\me\\Zelle 1.tif", "Zelle_1"),
        ("..", "image"),
        ('x"\r\nSet-Cookie: y.png', "x_Set-Cookie_y"),
        ("ä.png", "image"),
        ("a" * 300, "a" * 80),
        (None, "image"),
    ],
)
def test_results_are_named_after_the_file_as_far_as_that_is_safe(filename, stem):
    assert safe_stem(filename) == stem


def test_stack_needs_spacing_and_comes_back_with_it(server):
    stack = noise(2, (5, 6, 7))
    refused = server.post(tiff(stack), bundle="volumes")
    assert refused.status_code == 422 and "for example spacing=2.0,0.8,0.8" in refused.json()["message"]
    assert "--" not in refused.json()["message"], "a request has no options"
    answer = server.post(tiff(stack), bundle="volumes", spacing="2.0,0.8,0.5")
    volume = nib.Nifti1Image.from_bytes(gzip.decompress(answer.content))
    np.testing.assert_allclose(volume.header.get_zooms(), (0.5, 0.8, 2.0), rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(volume.dataobj).transpose(2, 1, 0), stack > THRESHOLD)


def test_single_page_is_no_volume(server):
    answer = server.post(tiff(noise(0)), bundle="volumes", spacing="2.0,0.8,0.5")
    assert answer.status_code == 422 and "one page, but volumes takes volumes" in answer.json()["message"]


def test_request_that_names_no_bundle_is_told_which_was_asked(server):
    message = server.post(nifti(noise(0, (4, 4, 4)))).json()["message"]
    assert message.endswith("no bundle was named, so the first of images, volumes was asked")


def test_file_may_have_any_field_name(server):
    answer = httpx.post(f"{server.url}/seg_mask", files={"file": ("a.png", png(noise(0)))})
    np.testing.assert_array_equal(decoded(answer.content), (noise(0) > THRESHOLD) * 255)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_images_are_sent_by_post(server, method):
    answer = httpx.request(method, f"{server.url}/seg_mask")
    assert answer.status_code == 405 and answer.headers["allow"] == "POST"
    assert answer.json() == {"status": "error", "code": 405, "message": "send images by POST"}


def test_volume_as_tiff_stack_keeps_spacing(server):
    volume = noise(3, (7, 6, 5))
    answer = server.post(nifti(volume), "?format=tiff", bundle="volumes")
    with tifffile.TiffFile(io.BytesIO(answer.content)) as file:
        np.testing.assert_array_equal(file.asarray(), volume.transpose(2, 1, 0) > THRESHOLD)
        assert file.imagej_metadata["spacing"] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("content", "fields", "code", "word"),
    [
        (b"hello", {}, 415, "not an image"),
        (b"", {}, 415, "empty"),
        (png(noise(0))[:30], {}, 415, "damaged"),
        (nifti(noise(0, (4, 4, 4))), {}, 422, "2D images"),
        (png(noise(0)), {"bundle": "volumes"}, 422, "volumes"),
        (png(noise(0)), {"bundle": "none"}, 422, "not served"),
        (png(noise(0)), {"spacing": "1,1,1"}, 422, "unknown field"),
        (nifti(noise(0, (4, 4, 4)))[:60], {"bundle": "volumes"}, 415, "not an image|damaged"),
        (gzip.decompress(nifti(noise(0, (4, 4, 4))))[:360], {"bundle": "volumes"}, 415, "damaged"),
    ],
    # gzip writes the time: as names of tests the bytes would differ between pytest-xdist's workers
    ids=[
        "text",
        "empty",
        "image",
        "volume",
        "image for volumes",
        "no bundle",
        "spacing of image",
        "gzip",
        "cut volume",
    ],
)
def test_wrong_input_is_told_in_json(server, content, fields, code, word):
    answer = server.post(content, **fields)
    assert answer.status_code == code
    problem = answer.json()
    assert problem["status"] == "error" and problem["code"] == code
    assert any(part in problem["message"] for part in word.split("|"))
    assert problem["message"].count("damaged") < 2 and "--" not in problem["message"]


def test_overview_in_a_vsi_is_not_taken_for_the_slide(server):
    answer = server.post(tiff(noise(0)), name="A.VSI")
    assert answer.status_code == 415 and "an overview only" in answer.json()["message"]


def test_format_that_cannot_hold_the_mask_is_refused(server):
    assert server.post(nifti(noise(0, (4, 4, 4))), "?format=png", bundle="volumes").status_code == 406
    assert server.post(png(noise(0)), "?format=bmp").status_code == 406
    for accepted in ("text/html", "image/png;q=0"):
        assert server.post(png(noise(0)), headers={"accept": accepted}).status_code == 406


def test_no_file_and_no_form(server):
    assert httpx.post(f"{server.url}/seg_mask", content=b"x").status_code == 415
    form = {"content-type": "multipart/form-data; boundary=b"}
    field = b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\nno file\r\n--b--\r\n'
    assert httpx.post(f"{server.url}/seg_mask", content=field, headers=form).status_code == 422
    assert (
        httpx.post(f"{server.url}/seg_mask", content=b"[", headers={"content-type": "application/json"}).status_code
        == 422
    )
    assert httpx.get(f"{server.url}/nowhere").json()["status"] == "error"


def test_lists_health_metrics_and_docs(server):
    server.post(png(noise(0)))
    server.post(b"hello")
    names = [bundle["name"] for bundle in httpx.get(f"{server.url}/bundles").json()]
    health = httpx.get(f"{server.url}/health").json()
    counters = httpx.get(f"{server.url}/metrics").text
    assert names == ["images", "volumes"] and health["status"] == "ok" and health["done"] == 1
    head = httpx.head(f"{server.url}/health")
    assert head.status_code == 200 and not head.content, "what load balancers ask"
    assert 'seg_mask_requests_total{bundle="images",code="200"} 1.0' in counters
    assert 'seg_mask_requests_total{bundle="images",code="415"} 1.0' in counters
    assert list(httpx.get(f"{server.url}/openapi.json").json()["paths"]["/seg_mask"]) == ["post"]
    sources = re.findall(r'(?:src|href)="([^"]+)"', httpx.get(f"{server.url}/docs").text)
    assert len(sources) == 3  # nothing of another machine's
    assert all(httpx.get(f"{server.url}{source}").status_code == 200 for source in sources)


@pytest.fixture
def data_dir(tmp_path):
    folder = tmp_path / "data"
    (folder / "plate").mkdir(parents=True)
    (folder / "plate" / "a.png").write_bytes(png(noise(4)))
    (tmp_path / "secret.png").write_bytes(png(noise(5)))
    return folder


@pytest.fixture
def local(data_dir):
    with running(Limits(max_queue=4, timeout_s=20), data_dir) as server:
        yield server


def test_path_below_data_dir_gives_mask_path(local, data_dir):
    answer = local.post_path("plate/a.png").json()
    assert answer["status"] == "success" and answer["mask_path"] == "results/plate/a.png_mask.png"
    np.testing.assert_array_equal(np.asarray(Image.open(data_dir / answer["mask_path"])), (noise(4) > THRESHOLD) * 255)
    absolute = local.post_path(str(data_dir / "plate" / "a.png")).json()["mask_path"]
    assert Path(absolute) == (data_dir / "results" / "plate" / "a.png_mask.png").resolve()


@pytest.mark.parametrize("path", ["../secret.png", "plate/../../secret.png", "/etc/passwd", "~/x.png", "\0", ".."])
def test_traversal_is_forbidden(local, path):
    answer = local.post_path(path)
    assert answer.status_code in ((403,) if path != "~/x.png" else (404,))
    assert not local.worker.jobs


@pytest.mark.parametrize("is_folder", [False, True])
def test_links_out_of_data_dir_are_forbidden(local, data_dir, is_folder):
    (data_dir / "link").symlink_to(data_dir.parent if is_folder else data_dir.parent / "secret.png")
    assert local.post_path("link/secret.png" if is_folder else "link").status_code == 403


def test_results_do_not_leave_through_a_link(local, data_dir, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (data_dir / "results").symlink_to(tmp_path / "elsewhere")
    assert local.post_path("plate/a.png").status_code == 403
    assert not [path for path in (tmp_path / "elsewhere").rglob("*") if path.is_file()]


def test_without_data_dir_no_path_is_read(server, data_dir):
    assert server.post_path(str(data_dir / "plate" / "a.png")).status_code == 403


@pytest.mark.parametrize("path", ["/seg_mask", "/results"])
@pytest.mark.parametrize("query", ["?bundle=volumes", "?spacing=1,1,1", "?token=a", "?x"])
def test_what_an_address_says_and_nobody_reads_is_refused(tmp_path, path, query):
    with running(Limits(max_queue=4, timeout_s=20), page_folder=tmp_path) as server:
        answer = httpx.post(f"{server.url}{path}{query}", files={"image": ("a.png", png(noise(0)))}, timeout=60)
        assert answer.status_code == 422 and not server.worker.jobs
    told, name = answer.json()["message"], query.split("=")[0].removeprefix("?")
    takes = "takes only format" if path == "/seg_mask" else "takes none"
    assert told == f"?{name}=: the address {takes}; send it as a field beside the image (curl -F), or in the JSON"


def test_what_is_said_twice_is_refused(server):
    assert (
        server.post(png(noise(0)), "?format=png&format=zip").json()["message"] == "format: given 2 times, expected once"
    )
    fields = [("bundle", (None, "images")), ("bundle", (None, "volumes")), ("image", ("a.png", png(noise(0))))]
    answer = httpx.post(f"{server.url}/seg_mask", files=fields, timeout=60)
    assert (answer.status_code, answer.json()["message"]) == (422, "bundle: given 2 times, expected once")
    headers, content = {"Content-Type": "application/json"}, '{"image_path": "a.png", "image_path": "b.png"}'
    answer = httpx.post(f"{server.url}/seg_mask", content=content, headers=headers, timeout=60)
    assert (answer.status_code, answer.json()["message"]) == (422, "image_path: given 2 times, expected once")


def test_nothing_is_left_in_the_temporary_folder(server, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    server.post(png(noise(0)))
    server.post(b"hello")
    assert not list(Path(tmp_path).iterdir())
