"""The only place that makes the logs to measure on: trees from a plan, kept for the next time, and copies to append to."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from dataclasses import asdict
from datetime import date
from pathlib import Path

import tokentail.demo
from tokentail.demo.tree import TreePlan, write_tree

USUAL = TreePlan(total_bytes=540_000_000, files=1300, days=60)
MANY_FILES = TreePlan(total_bytes=100_000_000, files=10_000, days=60, text_scale=0.25)
_MADE = "made.json"  # written last: without it the tree is taken for half made


def tree(cache: Path, plan: TreePlan) -> Path:
    """The folder that holds the plan's logs under `projects`; made anew when the plan or the code that follows it has changed."""
    plan_hash = digest(json.dumps(asdict(plan), default=_plain, sort_keys=True).encode())
    code = sorted(Path(tokentail.demo.__file__).parent.glob("*.py"))
    folder = cache / f"tree-{plan_hash}-{digest(*(path.read_bytes() for path in code))}"
    if not (folder / _MADE).exists():
        for old in cache.glob(f"tree-{plan_hash}-*"):
            shutil.rmtree(old)
        folder.mkdir(parents=True)
        truth = write_tree(folder, plan)
        (folder / _MADE).write_text(json.dumps({"files": truth.files, "bytes": truth.bytes, "totals": truth.totals._asdict()}))
    return folder


def digest(*parts: bytes) -> str:
    """A short name for content."""
    return hashlib.blake2b(b"".join(parts), digest_size=4).hexdigest()


def size_of(folder: Path) -> tuple[int, int]:
    """How many logs stand below a folder, and their bytes."""
    logs = list((folder / "projects").rglob("*.jsonl"))
    return len(logs), sum(log.stat().st_size for log in logs)


def twin(folder: Path, into: Path, *, writable: int) -> list[Path]:
    """
    The same tree again, made of links but for `writable` files that may be appended to.

    Those are the greatest file and others at random; they come in that order.
    """
    logs = sorted((folder / "projects").rglob("*.jsonl"), key=lambda log: (-log.stat().st_size, str(log)))
    chosen = [logs[0], *random.Random(1).sample(logs[1:], writable - 1)]
    for log in logs:
        copy = into / log.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copy2 if log in chosen else os.link)(log, copy)
    return [into / log.relative_to(folder) for log in chosen]


def append_reply(log: Path, number: int) -> int:
    """Write one more reply at the end of a log, as Claude Code would; gives the bytes written."""
    usage = {"input_tokens": 3, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 20_000, "output_tokens": 500}
    message = {"id": f"msg_bench{number:06}", "type": "message", "role": "assistant", "model": "claude-opus-4-8", "usage": usage}
    line = {
        "type": "assistant",
        "timestamp": f"2026-11-20T12:00:{number % 60:02}.000Z",
        "sessionId": log.stem,
        "requestId": f"req_bench{number:06}",
        "uuid": f"00000000-0000-4000-8000-{number:012}",
        "message": message | {"content": [{"type": "text", "text": "One more line."}], "stop_reason": "end_turn"},
    }
    # The end of a log need not be the end of a line.
    with log.open("rb") as file:
        file.seek(max(log.stat().st_size - 1, 0))
        torn = file.read() not in {b"", b"\n"}
    data = b"\n" * torn + json.dumps(line, separators=(",", ":")).encode() + b"\n"
    with log.open("ab") as out:
        return out.write(data)


def _plain(value: object) -> str:
    assert isinstance(value, date)
    return value.isoformat()
