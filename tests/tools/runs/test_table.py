"""The same blocks as Markdown that can be read as it is, and as a page that needs no other file."""

import pytest
from PIL import Image

from tools.runs.table import Heading, Picture, Table, Text, as_html, as_markdown


@pytest.fixture
def blocks(tmp_path):
    Image.new("L", (2, 2)).save(tmp_path / "dot.png")
    table = Table(["name", "n"], [["a|b", "1"], ["<c>", "22"]])
    return [Heading("Title", 1), Text("One `two` & three."), table, Picture(tmp_path / "dot.png", "a dot")]


def test_markdown_has_aligned_columns_and_relative_pictures(blocks, tmp_path):
    assert as_markdown(blocks, tmp_path) == (
        "# Title\n\nOne `two` & three.\n\n"
        "| name | n  |\n| ---- | -- |\n| a\\|b | 1  |\n| <c>  | 22 |\n\n![a dot](dot.png)"
    )


def test_page_is_escaped_and_holds_its_pictures(blocks):
    page = as_html(blocks)
    assert "<title>Title</title>" in page and "<h1>Title</h1>" in page
    assert "<p>One <code>two</code> &amp; three.</p>" in page
    assert "<td>&lt;c&gt;</td><td>22</td>" in page and "<td>a|b</td>" in page
    assert 'src="data:image/png;base64,' in page and "http" not in page
