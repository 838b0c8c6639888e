"""Tests of `tokentail.reports.signs`: outputs that are not UTF-8 get every report, in the signs that they have."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tokentail
from builders import line, write_logs
from sample import write_sample
from tokentail.reports.build import KINDS
from tokentail.reports.signs import make_safe
from tokentail.reports.text import text_width


def written(words: str, encoding: str, *, errors: str = "strict") -> str:
    """What an output of that encoding gets of these words."""
    held = io.BytesIO()
    stream = io.TextIOWrapper(held, encoding=encoding, errors=errors, newline="")
    make_safe(stream)
    stream.write(words)
    stream.flush()
    return held.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("words", "encoding", "expected"),
    [
        ("≥ 1.20", "ascii", ">=1.20"),
        ("≥  The output", "ascii", ">= The output"),
        ("a≥b", "ascii", "a>b"),
        ("──├└│…●", "ascii", "--|`|~*"),
        ("███▌", "ascii", "####"),
        ("███▎", "ascii", "###."),
        ("日本é", "ascii", "?????"),
        ("e\u0301\ufffd", "ascii", "e?"),
        ("é€ ≥ 1", "latin-1", "é? >=1"),
        ("██▌ ≥ ─", "cp437", "██▌ ≥ ─"),
        ("██▊", "cp437", "██#"),
        ("日本 ≥ \ud800", "utf-8", "日本 ≥ ?"),
    ],
)
def test_what_is_written_instead(words: str, encoding: str, expected: str) -> None:
    """A sign of the same width and much the same look; what the output can hold stays as it is."""
    assert written(words, encoding) == expected
    assert len(expected) == text_width(words) or encoding != "ascii"


def test_who_has_chosen_keeps_the_choice() -> None:
    """`PYTHONIOENCODING=ascii:backslashreplace` says what is to be written."""
    assert written("≥", "ascii", errors="backslashreplace") == "\\u2265"


def run(folder: Path, encoding: str, *words: str) -> str:
    """What a real process prints where the output has that encoding; it must end well and say nothing else."""
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")},
        "PYTHONPATH": str(Path(tokentail.__file__).parents[1]),
        "TOKENTAIL_HOME": str(folder / "home"),
        "COLUMNS": "150",
        "PYTHONIOENCODING": encoding,
        "TZ": "UTC",
    }
    command = [sys.executable, "-m", "tokentail", *words, "--source", str(folder / "logs")]
    ran = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert ran.stderr == b""
    return ran.stdout.decode(encoding)


@pytest.mark.parametrize("words", [*((name,) for name in KINDS), ("sessions", "--chart"), ("sessions", "--csv"), ("verify",), ()])
def test_a_process_whose_output_is_ascii(words: tuple[str, ...], tmp_path: Path) -> None:
    """Reports, charts, CSV and the overview end well there, and say of a lower bound that it is one."""
    write_sample(tmp_path / "logs")
    shown = run(tmp_path, "ascii", *words)
    assert shown.isascii()
    assert ">=" in shown or words in (("sessions", "--csv"), ("verify",), ())


def test_columns_stay_columns_in_ascii(tmp_path: Path) -> None:
    """The table is the one that an output of UTF-8 gets, sign by sign."""
    later = line("m2", model="claude-haiku-4-5", timestamp="2026-10-05T10:00:00.000Z")
    write_logs(tmp_path / "logs", {"-a/s1.jsonl": line("m1", stop_reason=None) + later})
    shown, expected = run(tmp_path, "ascii", "daily"), run(tmp_path, "utf-8", "daily")
    signs = str.maketrans({"─": "-", "█": "#", "▎": ".", "▏": ".", "▍": ".", "▌": "#", "▋": "#", "▊": "#", "▉": "#"})
    assert shown == re.sub("≥ ", ">=", expected).translate(signs)
