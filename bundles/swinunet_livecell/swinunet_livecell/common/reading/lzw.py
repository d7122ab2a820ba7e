"""LZW data, checked before it is decoded.

The decoder of imagecodecs follows codes that were never defined wherever in memory they lead, so that a damaged file
could end the interpreter. Where codes are defined is a matter of how many came since the last clearing of the table,
which is quick to check for thousands at a time.
"""

from typing import Any

import numpy as np

__all__ = ["decode_lzw", "find_damage"]

CLEAR, END, FIRST = 256, 257, 258
NUM_CODES = 4096
# of the n-th code after a clearing: the bits before it, its width, and the first code that is not defined then
_NEXT = FIRST - 1 + np.arange(NUM_CODES)
_WIDTHS = 9 + (_NEXT >= 511).astype(np.int64) + (_NEXT >= 1023) + (_NEXT >= 2047)
_STARTS = np.concatenate([[0], np.cumsum(_WIDTHS)[:-1]])
_LIMITS = np.concatenate([[FIRST], np.minimum(_NEXT[1:] + 1, NUM_CODES)]).astype(np.uint32)
_MASKS = ((1 << _WIDTHS) - 1).astype(np.uint32)
_NUM_BITS = int(_WIDTHS.sum())
# for each place in its first byte that codes can begin at: the byte of the n-th code, and by how much it is shifted
_BYTES = [(first + _STARTS) >> 3 for first in range(8)]
_SHIFTS = [(32 - _WIDTHS - ((first + _STARTS) & 7)).astype(np.uint32) for first in range(8)]
SHORTEST = 16  # codes between two clearings on average; of clearings alone a stream would take for ever


def find_damage(data: bytes) -> int | None:
    """Number of the first bit of a code that is not defined where it stands; None where all are.

    Examples
    --------
    >>> find_damage(bytes([0x80, 0x30, 0xA0, 0x50, 0x10])) is None  # a clearing, "a", the code that it defines, an end
    True
    """
    if len(data) > 1 and data[0] == 0 and data[1] & 1:
        return None  # of the old kind, from the other end of each byte; imagecodecs refuses it
    padded = np.frombuffer(data + bytes(4), np.uint8)
    num_bits, start, num_blocks = 8 * len(data), 0, 0
    while start + 9 <= num_bits:
        num_blocks += 1
        if num_blocks > 64 + start // (9 * SHORTEST):
            return start
        length = NUM_CODES
        if start + _NUM_BITS > num_bits:
            length = int(np.searchsorted(_STARTS + _WIDTHS, num_bits - start, side="right"))
        first, phase = start >> 3, start & 7
        part = padded[first : first + _NUM_BITS // 8 + 6].astype(np.uint32)
        four = (part[:-3] << 24) | (part[1:-2] << 16) | (part[2:-1] << 8) | part[3:]  # bytes from each on
        codes = four.take(_BYTES[phase][:length])
        codes >>= _SHIFTS[phase][:length]
        codes &= _MASKS[:length]
        is_end = codes - np.uint32(CLEAR) < 2  # those before wrap around
        is_wrong = codes >= _LIMITS[:length]
        end, wrong = int(is_end.argmax()), int(is_wrong.argmax())
        if is_wrong[wrong] and not (is_end[end] and end < wrong):
            return start + int(_STARTS[wrong])
        if not is_end[end]:
            # a table that is full stays as it is until it is cleared; nobody writes that but where data end
            return None if length < NUM_CODES else start
        if codes[end] == END:
            return None
        start += int(_STARTS[end] + _WIDTHS[end])
    return None


def decode_lzw(data: bytes, /, *, out: Any = None, **options: Any) -> Any:
    """`imagecodecs.lzw_decode` for data that is not damaged; ValueError if it is."""
    damage = find_damage(bytes(data))
    if damage is not None:
        raise ValueError(f"LZW with a code that is not defined, at byte {damage // 8} of {len(data)}")
    import imagecodecs

    return imagecodecs.lzw_decode(data, out=out, **options)
