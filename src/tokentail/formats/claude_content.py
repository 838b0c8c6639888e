"""The only place that looks at the content of Claude Code's lines: how long it is. The content itself goes no further."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tokentail.formats.claude import decode_all, entry_of, is_whole, place_of, text
from tokentail.formats.parsed import Look
from tokentail.model import LogFile


def look_at(line: bytes, file: LogFile) -> list[Look]:
    """The records of a line, each with the lengths of what stands beside its usage."""
    objects, malformed = decode_all(line)
    alone = len(objects) == 1 and not malformed and is_whole(line, objects[0][1])
    return list(_looks(objects, line if alone else None, file))


def _looks(objects: list[tuple[dict[str, Any], bytes]], whole: bytes | None, file: LogFile) -> Iterator[Look]:
    place = place_of(file)
    for value, own_bytes in objects:
        entry = entry_of(value, own_bytes if whole is None else whole, place)
        if entry is not None:
            content = value["message"].get("content")
            blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
            yield Look(
                entry.record,
                text(value.get("uuid")),
                sum(_length(block, "text") for block in blocks) + (len(content) if isinstance(content, str) else 0),
                sum(_tool_input(block) for block in blocks),
                sum(_length(block, "signature") for block in blocks),
            )


def _length(block: Mapping[str, object], name: str) -> int:
    value = block.get(name)
    return len(value) if isinstance(value, str) else 0


def _tool_input(block: Mapping[str, object]) -> int:
    if "input" not in block:
        return 0
    try:
        return len(json.dumps(block["input"], separators=(",", ":"), ensure_ascii=False))
    except (ValueError, RecursionError):
        return 0
