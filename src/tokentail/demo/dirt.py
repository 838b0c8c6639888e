"""The only place that spoils a log: everything that real files were found to suffer, and what it does to the truth."""

from __future__ import annotations

import json
import random
from typing import NamedTuple

from tokentail.demo.conversation import Line
from tokentail.demo.plan import CLEAN, Dirt
from tokentail.demo.shapes import Use, answer, token, usage, uuid
from tokentail.model import USAGE_MARK

_BOM = b"\xef\xbb\xbf"


class Spoiled(NamedTuple):
    """The bytes of a file, and how many of its lines are malformed (R1); every reply line is still whole."""

    data: bytes
    malformed: int


def spoil(lines: list[Line], rng: random.Random, dirt: Dirt) -> Spoiled:
    """The lines as a file, with the faults that the shares choose."""
    if dirt == CLEAN or not lines:
        return Spoiled(b"".join([line.data + b"\n" for line in lines]), 0)
    return _Spoiler(lines, rng, dirt).spoil()


class _Spoiler:
    def __init__(self, lines: list[Line], rng: random.Random, dirt: Dirt) -> None:
        self._lines, self._rng, self._dirt = lines, rng, dirt
        self._malformed = 0

    def spoil(self) -> Spoiled:
        dirt = self._dirt
        if self._chosen(dirt.doubled):
            self._lines = self._lines + self._lines[len(self._lines) // 2 :]
        bom = self._chosen(dirt.bom)
        if bom:
            self._start_with_a_reply()
        data = self._respelled([line.data for line in self._lines])
        if self._chosen(dirt.bad_utf8):
            data = [_with_bad_bytes(line) if self._rng.random() < 0.3 else line for line in data]
        if self._chosen(dirt.nul_runs):
            data = self._with_nul_run(data)
        if self._chosen(dirt.two_on_a_line):
            data = self._with_two_on_a_line(data)
        body = self._joined(self._with_bad_lines(data))
        return Spoiled((_BOM if bom else b"") + body, self._malformed)

    def _chosen(self, share: float) -> bool:
        return self._rng.random() < share

    def _start_with_a_reply(self) -> None:
        """So that a reader that trips over the mark loses something."""
        for place, line in enumerate(self._lines):
            if line.reply is not None:
                self._lines = [line, *self._lines[:place], *self._lines[place + 1 :]]
                return

    def _respelled(self, data: list[bytes]) -> list[bytes]:
        if self._chosen(self._dirt.sorted_keys):
            return [json.dumps(json.loads(line), sort_keys=True, separators=(",", ":")).encode() for line in data]
        if self._chosen(self._dirt.spaced):
            return [json.dumps(json.loads(line), ensure_ascii=False).encode() for line in data]
        return data

    def _with_nul_run(self, data: list[bytes]) -> list[bytes]:
        """A hole that a crash left: on a line of its own, or in front of a line that carries no reply."""
        place = self._rng.randrange(len(data) + 1)
        hole = bytes(self._rng.choice((1, 512, 4096)))
        if place < len(data) - 1 and self._lines[place].reply is None and self._chosen(0.5):
            self._malformed += USAGE_MARK in data[place]
            return [*data[:place], hole + data[place], *data[place + 1 :]]
        return [*data[:place], hole, *data[place:]]

    def _with_two_on_a_line(self, data: list[bytes]) -> list[bytes]:
        """What follows a reply's newline that got lost: another object, the reply's own next line, or half an object."""
        place = self._rng.randrange(len(data))
        if data[place].startswith(b"\0"):
            return data
        title = f'{{"type":"summary","summary":"Mended","leafUuid":"{uuid(self._rng)}"}}'.encode()
        # A broken end of the file's last line could also be one that is still being written: not malformed yet.
        rests = (title,) if place == len(data) - 1 else (title, title[:-9], b" " + data[place + 1])
        rest = self._rng.choice(rests)
        glued = data[place] + rest
        broken = not rest.endswith(b"}") or b"\0" in rest
        self._malformed += broken and USAGE_MARK in glued
        return [*data[:place], glued, *data[place + 1 :]]

    def _with_bad_lines(self, data: list[bytes]) -> list[bytes]:
        if not self._dirt.bad_lines:
            return data
        mixed = []
        for line in data:
            if self._chosen(self._dirt.bad_lines):
                bad, malformed = _bad_line(self._rng)
                mixed.append(bad)
                self._malformed += malformed
            mixed.append(line)
        return mixed

    def _joined(self, data: list[bytes]) -> bytes:
        newline = b"\r\n" if self._chosen(self._dirt.crlf) else b"\n"
        body = newline.join(data) + newline
        if self._chosen(self._dirt.torn_end):
            return body + _half(self._rng)  # pending, so not malformed
        if self._chosen(self._dirt.no_newline):
            return body.removesuffix(newline)
        return body


def _bad_line(rng: random.Random) -> tuple[bytes, bool]:
    """A line that counts nothing, and whether it is malformed: broken, and it could have carried usage."""
    match rng.randrange(9):
        case 0:
            return b"", False
        case 1:
            return b"spool: usage 12 of 40", False
        case 2:
            return rng.choice((b"null", b"42", b"[1,2]", b'"words"', b"{}", b'{"odd":"thing"}')), False
        case 3:
            half = _half(rng)
            return half, USAGE_MARK in half
        case 4:
            return b'{"type":"user","message":{"role":"user","content":"torn \xff\xfe\xc3 bytes"},"uuid":"x"}', False
        case 5:
            return b'{"type":"assistant","message":"no object","usage":{"output_tokens":9},"timestamp":"2026-01-01T00:00:00.000Z"}', False
        case 6:
            return (
                b'{"type":"assistant","message":{"id":"msg_none","model":"m","usage":null},"timestamp":"2026-01-01T00:00:00.000Z"}',
                False,
            )
        case 7:
            return b'{"type":"assistant","message":{"id":"msg_when","model":"m","usage":{"output_tokens":9}},"timestamp":"soon"}', False
        case _:
            return b'{"type":"assistant","message":{"id":"msg_bad","usage":{"output_tokens":}}}', True


def _half(rng: random.Random) -> bytes:
    """A line that was cut while it was written."""
    use = Use(5_000, 70_000, 0, 0, (0, 0))
    spent = usage(use, old=False, early=False)
    body = answer(b"", spent, model="claude-opus-5-5", message=token(rng, "msg_01", 22), request="", stop="", old=False)
    line = b'{"parentUuid":null,"isSidechain":false,' + body + f'"uuid":"{uuid(rng)}","timestamp":"2026-01-01T00:00:00.000Z"}}'.encode()
    return line[: rng.randint(20, len(line) - 1)]


def _with_bad_bytes(line: bytes) -> bytes:
    """Bytes that are no UTF-8, inside a text: they spoil nothing else."""
    return line.replace(b'"text":"', b'"text":"\xff\xc3 ', 1)
