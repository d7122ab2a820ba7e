"""A server that can be left running: requests of all kinds leave its memory and its disk as they were."""

import pytest

from tests.tools.serve.endurance import WARM_UP, endure

pytestmark = pytest.mark.thorough


def test_mixed_requests_leave_memory_and_disk_as_they_were(tmp_path):
    figures = endure(60, tmp_path, warm_up=WARM_UP)
    assert max(figures.growth()) < 0.05, figures
    assert not figures.left
