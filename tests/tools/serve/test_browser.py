"""The page as a user sees it, in a real browser; the real server with two real bundles."""

import shutil
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.tools.formats.raw_files import drawn, write_czi
from tests.tools.serve.conftest import noise, png, running, server_process, until
from tools.bundles import find_bundle
from tools.sample.formats import sample_images
from tools.segment.results import read_mask
from tools.serve.jobs import Limits

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
if CHROMIUM is None:
    pytest.skip("no Chromium on this machine; apt-get install chromium", allow_module_level=True)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with server_process(tmp_path_factory.mktemp("server"), "swinunet_livecell", "maskrcnn_2p5d") as (address, _):
        yield address


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, url):
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(url)
    page.wait_for_selector("#bundle option", state="attached")
    yield page
    page.close()


def upload(page, path: Path) -> None:
    page.set_input_files("#file input[type=file]", str(path))
    page.wait_for_selector(f"#dropped >> text={path.name}")


def choose(page, bundle: str) -> None:
    page.select_option("#bundle", bundle)


def segment(page) -> None:
    page.click("#segment")
    page.wait_for_selector("#counts >> text=/ in [0-9.]+ s/", timeout=60_000)


def picture(page, name: str) -> np.ndarray:
    """A picture on the page, as the browser got it."""
    source = page.locator(f"#{name} img").evaluate("image => image.src")
    with urllib.request.urlopen(source) as answer:
        return np.asarray(Image.open(answer).convert("RGB"))


def download(page, name: str, folder: Path) -> Path:
    with page.expect_download() as waiting:
        page.click(f"#{name}")
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def test_upload_gives_outlines_and_a_mask(page, tmp_path):
    (image, *_) = sample_images(find_bundle("swinunet_livecell"), tmp_path / "samples")
    upload(page, image)
    segment(page)
    plain, outlined = picture(page, "image"), picture(page, "outlines")
    mask, _ = read_mask(download(page, "mask", tmp_path))
    magenta = (outlined == (255, 0, 255)).all(axis=-1)
    assert plain.shape == outlined.shape and plain.shape[:2] == mask.shape
    assert magenta.any() and not (plain == (255, 0, 255)).all(axis=-1).any()
    np.testing.assert_array_equal(plain[~magenta], outlined[~magenta])
    assert (mask[magenta] > 0).mean() > 0.9
    assert f"{len(np.unique(mask[mask > 0]))} objects" in page.inner_text("#counts")
    with zipfile.ZipFile(download(page, "zip", tmp_path)) as archive:
        assert {f"{image.stem}_mask.png", f"{image.stem}_instances.png"} <= set(archive.namelist())


def test_other_bundle_takes_the_result_away(page):
    page.locator("#samples >> text=.tif").first.click()
    page.wait_for_selector("#dropped >> text=Round")
    segment(page)
    choose(page, "maskrcnn_2p5d")
    page.wait_for_selector("#mask", state="hidden")
    assert page.inner_text("#counts").strip() == "" and page.locator("#outlines img").count() == 0


def test_progress_is_seen(browser, tmp_path):
    (tmp_path / "a.png").write_bytes(png(noise(0)))
    with running(Limits(), page_folder=tmp_path) as server:
        server.worker.gate.clear()
        page = browser.new_page()
        page.goto(server.url)
        upload(page, tmp_path / "a.png")
        page.click("#segment")
        text = page.locator("#counts >> text=/segmenting, [0-9]+ s/")
        text.wait_for()
        box, shown = text.bounding_box(), page.locator("#counts").bounding_box()
        assert box["height"] > 0 and shown["y"] <= box["y"] and box["y"] + box["height"] <= shown["y"] + shown["height"]
        server.worker.gate.set()
        page.wait_for_selector("#counts >> text=/ in [0-9.]+ s/")
        page.close()


def test_channel_of_a_microscopes_file_is_chosen_on_the_page(browser, tmp_path):
    write_czi(tmp_path / "a.czi", drawn(channels=2))
    (tmp_path / "results").mkdir()
    with running(Limits(), page_folder=tmp_path / "results") as server:
        page = browser.new_page()
        page.goto(server.url)
        upload(page, tmp_path / "a.czi")
        page.click("#segment")
        page.wait_for_selector("text=2 channels, expected one: 0 DAPI, 1 GFP; give its channel")
        page.fill("#channel", "GFP")
        segment(page)
        page.close()


def test_bad_file_is_told_in_words_and_the_next_one_works(page, tmp_path):
    page.locator("#samples >> text=.tif").first.click()
    page.wait_for_selector("#dropped >> text=Round")
    segment(page)
    (tmp_path / "text.png").write_text("hello")
    upload(page, tmp_path / "text.png")
    page.click("#segment")
    page.wait_for_selector("text=not an image; give PNG, JPEG, TIFF or NIfTI")
    assert "Traceback" not in page.inner_text("body")
    assert page.locator("#outlines img").count() == 0 and not page.locator("#mask").is_visible()
    page.locator("#samples >> text=.tif").first.click()
    page.wait_for_selector("#dropped >> text=Round")
    segment(page)


def test_volume_has_a_slider_and_a_table(page, tmp_path):
    choose(page, "maskrcnn_2p5d")
    page.wait_for_selector("#spacing", state="visible")
    (volume, *_) = sample_images(find_bundle("maskrcnn_2p5d"), tmp_path / "samples")
    upload(page, volume)
    segment(page)
    middle = picture(page, "outlines")
    slider = page.locator("#plane")
    slider.focus()
    source = page.locator("#outlines img").evaluate("image => image.src")
    for _ in range(5):
        slider.press("ArrowLeft")
    page.wait_for_function("old => document.querySelector('#outlines img').src != old", arg=source)
    assert not np.array_equal(picture(page, "outlines"), middle)
    table = download(page, "csv", tmp_path).read_text().splitlines()
    labels, _ = read_mask(download(page, "mask", tmp_path))
    assert len(table) - 1 == len(np.unique(labels[labels > 0])) > 0
    page.wait_for_selector("#table", state="visible")


def test_who_leaves_gives_up_the_place_in_the_queue(browser, tmp_path):
    (tmp_path / "a.png").write_bytes(png(noise(0)))
    (tmp_path / "results").mkdir()
    with running(Limits(max_queue=4), page_folder=tmp_path / "results") as server:
        server.worker.gate.clear()
        pages = [browser.new_page() for _ in range(3)]
        for number, page in enumerate(pages):
            page.goto(server.url)
            upload(page, tmp_path / "a.png")
            page.click("#segment")
            until(lambda number=number: server.dispatcher.is_busy and server.dispatcher.num_waiting == number)
        pages[1].close()
        until(lambda: server.dispatcher.num_waiting == 1)
        server.worker.gate.set()
        shown = (pages[0], pages[2])
        for page in shown:
            page.wait_for_selector("#counts >> text=/ in [0-9.]+ s/")
        assert len(server.worker.jobs) == 2
        assert len(list((tmp_path / "results").iterdir())) == 2
        for page in shown:
            page.goto("about:blank")  # as a person leaves; what closes it from outside may end it before it says so
            page.close()
        until(lambda: not list((tmp_path / "results").iterdir()))


def test_nothing_is_asked_of_other_machines(page, url):
    page.wait_for_timeout(2000)  # what is fetched late, such as fonts
    assert page.asked and all(asked.startswith((url, "data:", "blob:")) for asked in page.asked)


def move(page, name: str, shape: tuple[int, int], *places: tuple[int, int]) -> None:
    """The mouse goes over a picture, its button down, from one pixel (Y, X) of the image to the next."""
    shown = page.locator(f"#{name} img")
    shown.evaluate("image => image.decode()")  # before that it has no size
    shown.scroll_into_view_if_needed()  # the mouse reaches what can be seen
    box = shown.bounding_box()
    for number, (y, x) in enumerate(places):
        page.mouse.move(box["x"] + x / shape[1] * box["width"], box["y"] + y / shape[0] * box["height"])
        if number == 0:
            page.mouse.down()
    page.mouse.up()


def test_boxes_and_points_are_given_with_the_mouse(browser, tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(png(noise(0, (40, 60))))
    (tmp_path / "results").mkdir()
    with running(Limits(), page_folder=tmp_path / "results") as server:
        page = browser.new_page()
        page.goto(server.url)
        upload(page, tmp_path / "a.png")
        assert not page.locator("#prompt").is_visible()
        segment(page)
        move(page, "image", (40, 60), (20, 30), (8, 40), (4, 6))
        move(page, "image", (40, 60), (30, 40), (36, 55))
        assert page.input_value("#boxes") == "[[6,4,30,20],[40,30,55,36]]"
        assert page.locator("#image polyline.box").count() == 2
        move(page, "image", (40, 60), (10, 10))
        assert page.input_value("#boxes") == "[[40,30,55,36]]"
        for place in [(2, 50), (20, 50), (2, 50)]:
            move(page, "image", (40, 60), place)
        assert page.input_value("#points") == "[[50,20]]"
        segment(page)
        assert server.worker.jobs[0].options == {}
        assert server.worker.jobs[1].options == {"boxes": "[[40,30,55,36]]", "points": "[[50,20]]"}
        assert page.locator("#image polyline.box").count() == page.locator("#image polyline.point").count() == 1
        upload(page, tmp_path / "b.png")
        assert (
            page.input_value("#boxes") == page.input_value("#points") == "" and page.locator("#image img").count() == 0
        )
        page.close()


def test_objects_are_removed_and_drawn_with_the_mouse(browser, tmp_path, monkeypatch):
    for place in ("tools.serve.page", "tools.corrections"):
        monkeypatch.setattr(f"{place}.classes_of", lambda bundle: ["object"])
    image = np.zeros((40, 40), np.uint8)
    image[4:12, 4:12] = 200
    (tmp_path / "a.png").write_bytes(png(image))
    (tmp_path / "results").mkdir()
    with running(Limits(), page_folder=tmp_path / "results", corrections=tmp_path / "kept") as server:
        page = browser.new_page()
        page.goto(server.url)
        upload(page, tmp_path / "a.png")
        segment(page)

        def drag(*places):
            before = page.locator("#outlines img").evaluate("image => image.src")
            move(page, "outlines", (40, 40), *places)
            changed = "old => (i => i.src != old && i.naturalWidth)(document.querySelector('#outlines img'))"
            page.wait_for_function(changed, arg=before)

        drag((8, 8))
        drag((20, 20), (20, 30), (30, 30), (30, 20))
        page.select_option("#action", "split")
        drag((18, 25), (33, 25))
        page.click("#keep")
        page.wait_for_selector("text=kept as images/a.png for images")
        page.close()
    (label,) = (tmp_path / "kept/images/labels").iterdir()
    labels = read_mask(label)[0]
    assert not labels[4:12, 4:12].any() and labels[25, 25] and np.count_nonzero(labels) == 100
    assert labels[25, 21] != labels[25, 29]
