"""JSON files that are missing, damaged or hold something else are told with what to do."""

import pytest

from common.errors import InputError
from common.json_file import read_json


def test_fields_of_an_object(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1}', encoding="utf-8-sig")  # as some editors save it
    assert read_json(tmp_path / "a.json") == {"a": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"{", "not a readable JSON .*"),
        (b'{"a": "\xb5"}', "not a readable JSON .*"),
        (b"[" * 100_000, "not a readable JSON .*"),
        (b"[]", "a list, expected fields with names in {}"),
    ],
)
def test_what_is_no_object_is_told_with_advice(tmp_path, content, message):
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.json: {message}; look again"):
        read_json(tmp_path / "a.json", "look again")
