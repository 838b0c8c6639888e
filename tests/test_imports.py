"""What a report loads: packages cost tens of milliseconds each, so a report that finds nothing new does without them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import tokentail

# Of the screen, of the page, and what only new lines need.
SLOW = ("asyncio", "msgspec", "rich", "starlette", "stringzilla", "textual", "uvicorn")

PROGRAM = f"""
import sys
from tokentail.cli import main
code = main(sys.argv[1:])
print(*[name for name in {SLOW!r} if name in sys.modules], file=sys.stderr)
sys.exit(code)
"""

USAGE = {"input_tokens": 3, "output_tokens": 50, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
LINE = {
    "type": "assistant",
    "timestamp": "2026-10-01T12:00:00.000Z",
    "requestId": "req_1",
    "uuid": "u1",
    "sessionId": "s1",
    "message": {"id": "msg_1", "role": "assistant", "model": "claude-opus-5", "stop_reason": "end_turn", "usage": USAGE},
}


def loaded_by(tmp_path: Path, *words: str) -> tuple[str, set[str]]:
    """The output of a command, run by itself, and which of the slow packages it loaded."""
    code = Path(tokentail.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(code), "TOKENTAIL_HOME": str(tmp_path / "home"), "CLAUDE_CONFIG_DIR": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", PROGRAM, *words], env=environment, capture_output=True, text=True, check=True)
    return ran.stdout, set(ran.stderr.split())


def write_log(tmp_path: Path) -> None:
    folder = tmp_path / "projects" / "-home-dev-app"
    folder.mkdir(parents=True)
    (folder / "s1.jsonl").write_text(json.dumps(LINE, separators=(",", ":")) + "\n", encoding="utf-8")


def test_a_report_that_finds_nothing_new_loads_nothing_slow(tmp_path: Path) -> None:
    """The second daily report shows what the first one counted, without what reading lines or drawing a screen needs."""
    write_log(tmp_path)
    first, _ = loaded_by(tmp_path, "daily")
    second, slow = loaded_by(tmp_path, "daily")
    assert second == first
    assert "2026-10-01" in second
    assert slow == set()


def test_a_report_that_reads_new_lines_loads_no_screen(tmp_path: Path) -> None:
    """What is new costs the parser's packages, and no others."""
    write_log(tmp_path)
    _, slow = loaded_by(tmp_path, "daily")
    assert slow <= {"msgspec", "stringzilla"}


def test_help_loads_nothing_slow(tmp_path: Path) -> None:
    """Who asks what there is to type waits for no package."""
    assert loaded_by(tmp_path, "daily", "--help")[1] == set()
