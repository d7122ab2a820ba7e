"""What a network gave for windows that several blocks see: kept for them, no longer than they need it."""

from types import SimpleNamespace

import numpy as np
import pytest

from tools.convert.nifti import write_volume
from tools.segment import work
from tools.segment.blocks.plan import Cutting, Plan, plan_blocks
from tools.segment.blocks.segmenting import _forget_windows
from tools.segment.description import describe
from tools.segment.sources import Source

ODD_SPACING = (2.3, 0.7, 0.9)


@pytest.fixture
def plan(tmp_path) -> Plan:
    write_volume(tmp_path / "a.nii", np.zeros((120, 40, 40), np.uint16), ODD_SPACING)
    bundle = describe("devonet_nsn", overrides={"roi_size": [16, 32, 32]})
    made = plan_blocks(bundle, Source(tmp_path / "a.nii", "a"), tmp_path / "out", {}, Cutting((30, 40, 40)))
    assert made is not None and len(made.blocks) == 4
    return made


def test_windows_are_forgotten_when_no_block_that_is_left_sees_them(plan):
    folder = plan.windows(plan.bundle)
    folder.mkdir()
    starts = range(0, 150, 12)
    for start in starts:
        (folder / f"{start}_0_0_16_32_32.npy").touch()
    first = plan.part(plan.bundle, plan.blocks[2])["start"][0]
    _forget_windows(plan, plan.blocks[2:])
    left = sorted(int(path.name.split("_")[0]) for path in folder.iterdir())
    assert first > 0 and left == [start for start in starts if start >= first]


def test_blocks_share_the_windows_at_their_seams(plan):
    parts = [plan.part(plan.bundle, block) for block in plan.blocks]
    seen = [set(range(part["start"][0], part["stop"][0] - 15, 12)) for part in parts]
    for number in range(3):
        assert seen[number] & seen[number + 1], "windows that both see begin at the same pixels of the network"
    for part, block in zip(parts, plan.blocks, strict=True):
        for first, begin, ratio, (core, _) in zip(
            part["first"], part["start"], plan.ratios(plan.bundle), block.core, strict=True
        ):
            assert first <= begin * ratio <= max(core, first + 1)


@pytest.mark.parametrize(("free", "is_kept"), [(0, False), (1e12, True)])
def test_windows_are_kept_only_where_the_disk_has_room_for_the_results(plan, monkeypatch, free, is_kept):
    monkeypatch.setattr(work, "disk_usage", lambda path: SimpleNamespace(free=free))
    known = work._known(plan, plan.blocks[0], plan.bundle)
    assert ("windows" in known["part"]) == is_kept and plan.windows(plan.bundle).is_dir() == is_kept
