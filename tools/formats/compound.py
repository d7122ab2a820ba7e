"""Compound files, as Microsoft calls them, in which Olympus keeps an OIB: whether their chains of sectors end."""

from pathlib import Path

import numpy as np

from common.errors import InputError

__all__ = ["check_chains"]

SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
HEAD_BYTES, NUM_IN_HEAD = 512, 109
LAST_SECTOR = 0xFFFFFFFA  # higher numbers end a chain, or mark sectors that are in none


def check_chains(path: Path) -> None:
    """Refuse a compound file with a chain of sectors that never ends; what else is wrong, its reader reports."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        if not head.startswith(SIGNATURE) or len(head) < HEAD_BYTES:
            return
        sector_bytes = 4096 if head[30] == 12 else 512
        num_sectors = size // sector_bytes

        def sector(number: int) -> np.ndarray:
            file.seek((number + 1) * sector_bytes)
            content = file.read(sector_bytes)
            return np.frombuffer(content[: len(content) // 4 * 4], "<u4")

        numbers = np.frombuffer(head, "<u4")
        num_tables, small, more, num_more = (int(numbers[at]) for at in (11, 15, 17, 18))
        if max(num_tables, num_more) > num_sectors:
            raise InputError(f"{path}: claims more sectors than its {size} bytes hold; copy it again")
        tables = [numbers[19 : 19 + NUM_IN_HEAD]]
        for _ in range(num_more):
            if more >= num_sectors:
                break
            part = sector(more)
            tables.append(part[:-1])
            more = int(part[-1]) if len(part) else LAST_SECTOR
        places = np.concatenate(tables)[:num_tables]
        after = [np.array([], "<u4"), *(sector(int(place)) for place in places if place < num_sectors)]
        chain = np.concatenate(after)
        _check(path, chain)
        # the small sectors' own table is a chain of large ones
        table = []
        while small < min(len(chain), num_sectors):
            table.append(sector(small))
            small = int(chain[small])
        _check(path, np.concatenate([np.array([], "<u4"), *table]))


def _check(path: Path, after: np.ndarray) -> None:
    """Refuse a table of each sector's next one that holds a circle."""
    ends = len(after)
    reached = np.append(np.where(after < ends, after, ends).astype(np.int64), ends)
    for _ in range(ends.bit_length()):  # each time twice as far along every chain
        reached = reached[reached]
    if (reached != ends).any():
        raise InputError(f"{path}: its sectors lead back to an earlier one; copy or export it again")
