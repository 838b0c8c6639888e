"""The only place that makes up prose, code and binary content: cut from a stock, because a tree needs half a gigabyte of it."""

from __future__ import annotations

import base64
import random
from functools import lru_cache

_CELL_BYTES = 64  # every cell is whole JSON text by itself, so any run of cells is
_CELLS = 8192
_BLOB_BYTES = 1 << 18
_ENDS = (b". ", b"\\n", b"\\n", b"\\n")

_STOCK = """
    anchor band basket beacon bolt bridge bucket cabin canvas chart cloud coil column copper cursor delta dial drift edge
    ember engine fence ferry field filter flag forge frame gate glass grain graph hatch hinge index inlet kettle kiln
    ladder lamp latch ledge lens lever line loom mast meadow mesh mill mirror node north oar orbit panel parcel path pebble
    pier pivot plank port pulse quarry queue raft ridge river rope route sail scale seed shelf shore signal slate spark
    spool spring stack stone stream switch table tide timber token tower track valve vault wave wheel window yard
    return while build check write count parse fetch retry close limit offset usage
"""
_OPENINGS = (
    *(b"",) * 12,
    *(b"    def ", b"        return ", b"    if not ", b"import ", b"  - ", b"\\t\\t", b"# ", b'    \\"key\\": \\"') * 2,
    b"C:\\\\dev\\\\",
    b"\\u001b[32m+ ",
    b"\\u001b[31m- ",
    b"caf\xc3\xa9 \xe2\x86\x92 ",
    b"\xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x9a\x80 ",
    b"\\u2713 \\ud83d\\ude80 ",
    b"\xe2\x94\x80\xe2\x94\x80\xe2\x94\x80 ",
    b'{\\"usage\\":{\\"input_tokens\\":999}} ',  # a transcript that was read: escaped, so it is no key
)


class Texts:
    """A stock of text, escaped for JSON, and of base64."""

    def __init__(self, seed: int) -> None:
        self._text, self._blob = _stock(seed)

    def text(self, rng: random.Random, size: float) -> bytes:
        """About that many bytes, as they stand between the quotes of a JSON string."""
        start = int(rng.random() * _CELLS) * _CELL_BYTES
        cells = min(int(size / _CELL_BYTES) + 1, _CELLS)
        return self._text[start : start + cells * _CELL_BYTES]

    def blob(self, rng: random.Random, size: float) -> bytes:
        """About that many bytes of base64."""
        start = int(rng.random() * _BLOB_BYTES / 8) * 4
        once = self._blob[start:]
        return (once * (int(size) // len(once) + 1))[: int(size) // 4 * 4]


@lru_cache(maxsize=2)
def _stock(seed: int) -> tuple[bytes, bytes]:
    rng = random.Random(f"{seed}/texts")
    words = [word.encode() + rng.choice((b" ", b" ", b" ", b"s ", b"ed ", b"() ", b", ")) for word in _STOCK.split() * 2]
    text = b"".join(_cell(rng, words) for _ in range(_CELLS))
    return text * 2, base64.b64encode(rng.randbytes(_BLOB_BYTES // 4 * 3))


def _cell(rng: random.Random, words: list[bytes]) -> bytes:
    cell = rng.choice(_OPENINGS)
    while (room := _CELL_BYTES - len(cell)) > 13:
        cell += words[int(rng.random() * len(words))]
    return cell + b"everything "[: room - 2] + rng.choice(_ENDS)
