"""Documents of strangers: datalists, COCO, GeoJSON, tables, bundles in zip files."""

import contextlib
import io
import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import strategies as st

from common.datalist import read_dataset
from common.errors import InputError
from tests.fuzz.conftest import mutated, mutated_document
from tools.convert.coco import read_coco
from tools.convert.crypt_masks import find_masks
from tools.segment.prompts import PROMPTS, parse_prompts
from tools.share import checks
from tools.share.commands import verify
from tools.share.packages import package_of

BUNDLE = Path(__file__).parents[2] / "bundles" / "devonet_nsn"
DATALIST = {
    "name": "a",
    "licence": "CC0-1.0",
    "spacing": [2.0, 1.0, 1.0],
    "training": [{"image": "images/a.nii.gz", "label": "labels/a.nii.gz", "fold": 0, "sequence": "01"}],
    "testing": [{"image": "images/b.nii.gz", "label": "labels/b.nii.gz"}],
}
SQUARE = [1.0, 1.0, 5.0, 1.0, 5.0, 5.0, 1.0, 5.0]
COCO = {
    "images": [{"id": 1, "file_name": "a.tif", "height": 12, "width": 16}],
    "categories": [{"id": 1, "name": "cell"}],
    "licenses": [{"name": "CC0"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": [SQUARE], "area": 16},
        {"id": 2, "image_id": 1, "category_id": 1, "segmentation": {"size": [12, 16], "counts": [100, 20, 72]}},
        {"id": 3, "image_id": 1, "category_id": 1, "segmentation": {"size": [12, 16], "counts": "T3d0h2"}},
    ],
}
RING = [[1.0, 1.0], [9.0, 1.0], [9.0, 9.0], [1.0, 1.0]]
GEOJSON = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [RING]},
            "properties": {"classification": {"name": "crypt"}},
        },
        {"type": "Feature", "geometry": {"type": "MultiPolygon", "coordinates": [[RING], [RING]]}, "properties": {}},
    ],
}


def texts(document: object) -> st.SearchStrategy[bytes]:
    """A document that is valid JSON but for its values, and one that is not."""
    whole = json.dumps(document).encode()
    deep = b"[" * 2000 + b"]" * 2000
    changed = mutated_document([document]).map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass"))
    return st.one_of(changed, changed, mutated([whole]), st.just(deep))


def test_datalist(fuzz, tmp_path):
    def read(path):
        folder = tmp_path / "dataset"
        folder.mkdir(exist_ok=True)
        path.replace(folder / "dataset.json")
        try:
            dataset = read_dataset(folder)
            for item, _ in dataset.places():
                assert isinstance(item.image, Path) and item.name
        finally:
            (folder / "dataset.json").replace(path)

    fuzz(texts(DATALIST), ".json", read)


def test_coco(fuzz):
    fuzz(texts(COCO), ".json", read_coco)


def test_geojson(fuzz, tmp_path):
    def read(path):
        folder = tmp_path / "masks"
        folder.mkdir(exist_ok=True)
        place = path.replace(folder / "a.geojson")
        try:
            for mask in find_masks(folder, ["a"]).values():
                mask.check((12, 16))
                mask.read((12, 16))
        finally:
            place.replace(path)

    fuzz(texts(GEOJSON), ".json", read)


def test_run_lengths(fuzz, tmp_path):
    def read(path):
        for mask in find_masks(tmp_path, ["a"], path).values():
            mask.check((12, 16))
            mask.read((12, 16))

    fuzz(mutated([b"id,rle\na,1 20 40 3\n", b"\xef\xbb\xbfid,predicted\na,0 0\n"]), ".csv", read)


def test_prompts(fuzz):
    def read(path):
        for name in PROMPTS:
            with contextlib.suppress(InputError):
                parse_prompts(name, path.read_text(errors="replace"))

    fuzz(texts([[1, 2, 3, 4], [5.0, 6.0, 7.0, 8.0]]), ".json", read)


def archive(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return stream.getvalue()


LARGE_FILES = {"large_files": [{"path": "models/model.pt", "url": "https://example.org/a", "hash_val": "1"}]}
FILES = {
    "a/configs/metadata.json": (BUNDLE / "configs/metadata.json").read_bytes(),
    "a/configs/train.json": b'{"imports": ["$import glob"]}',
    "a/docs/README.md": b"# A\n",
    "a/large_files.yml": json.dumps(LARGE_FILES).encode(),
    "a/LICENSE": b"free",
    "a/a/__init__.py": b"import os\n",
}


def test_zip(fuzz, monkeypatch):
    """But for the weights, whose check runs the bundle's code on purpose, in a process of its own."""
    monkeypatch.setitem(checks.CHECKS, "weights", lambda bundle: [str(name) for name in checks._large_files(bundle)])
    package_of("numpy")  # reads what is installed, once for all
    metadata = json.loads(FILES["a/configs/metadata.json"])

    def with_document(name, document):
        return archive(FILES | {name: json.dumps(document).encode("utf-8", "surrogatepass")})

    def no_network(address, timeout):
        raise OSError(f"{address} was asked for")

    monkeypatch.setattr(checks, "urlopen", no_network)
    contents = st.one_of(
        mutated([archive(FILES)]),
        mutated_document([metadata]).map(lambda document: with_document("a/configs/metadata.json", document)),
        mutated_document([LARGE_FILES]).map(lambda document: with_document("a/large_files.yml", document)),
        mutated([FILES["a/configs/metadata.json"]]).map(
            lambda content: archive(FILES | {"a/configs/metadata.json": content})
        ),
        mutated([FILES["a/a/__init__.py"]]).map(lambda content: archive(FILES | {"a/a/__init__.py": content})),
    )
    fuzz(contents, ".zip", lambda path: verify(str(path)))


@pytest.mark.parametrize("kind", ["bomb", "link", "object"])
def test_zip_of_an_attacker(tmp_path, monkeypatch, capsys, kind):
    monkeypatch.setitem(checks.CHECKS, "weights", lambda bundle: [str(name) for name in checks._large_files(bundle)])
    path = tmp_path / "a.zip"
    if kind == "bomb":
        path.write_bytes(archive(FILES | {"a/big": bytes(200 << 20)}))
        with pytest.raises(InputError, match=r"a.zip: \d+ bytes that would become \d+"):
            verify(str(path))
    elif kind == "link":
        with zipfile.ZipFile(path, "w") as packed:
            for name, content in FILES.items():
                packed.writestr(name, content)
            link = zipfile.ZipInfo("a/docs/data_license.txt")
            link.external_attr = 0o120777 << 16
            packed.writestr(link, "/etc/passwd")
        with pytest.raises(InputError, match="member 'a/docs/data_license.txt' is a link"):
            verify(str(path))
    else:
        path.write_bytes(
            archive(FILES | {"a/large_files.yml": b"!!python/object/apply:os.system ['echo run > ran']\n"})
        )
        monkeypatch.chdir(tmp_path)
        with pytest.raises(InputError, match="checks failed"):
            verify(str(path))
        assert "NO  weights: cannot be checked" in capsys.readouterr().out and not (tmp_path / "ran").exists()
