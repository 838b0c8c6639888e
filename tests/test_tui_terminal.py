"""The live screen in a real terminal: a pseudo-terminal, a process of its own, and a log that is written meanwhile."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from builders import line, write_logs

WITHIN_S = 40.0
LOG = "-home-dev-app/s1.jsonl"
ANSWERS = {  # what a terminal with a white background says when it is asked
    b"\x1b]11;?\x07": b"\x1b]11;rgb:ffff/ffff/ffff\x07",
    b"\x1b[c": b"\x1b[?62;22c",
}
_CONTROL = re.compile(rb"\x1b(?:\[[0-9;:?<=>]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|P[^\x1b]*\x1b\\|[()][A-Z0-9]|.)", re.DOTALL)


class Terminal:
    """A terminal of 80 by 24, and the program that runs in it."""

    def __init__(self, process: subprocess.Popen[bytes], keyboard: int, line_settings: int) -> None:
        self.process, self._keyboard, self._settings = process, keyboard, line_settings
        self.before = termios.tcgetattr(line_settings)
        self.output = b""

    @property
    def painted(self) -> str:
        """All that was ever painted, without what moves the cursor and colours."""
        return _CONTROL.sub(b" ", self.output).decode(errors="replace")

    @property
    def settings(self) -> list[object]:
        return termios.tcgetattr(self._settings)

    def press(self, keys: bytes) -> None:
        os.write(self._keyboard, keys)

    def wait_for(self, words: str) -> None:
        """Read until these words were painted."""
        self._read(lambda: words in self.painted, words)

    def wait_for_end(self) -> int:
        self._read(lambda: self.process.poll() is not None, "the end")
        with contextlib.suppress(AssertionError):
            self._read(lambda: False, "nothing more", within_s=0.2)
        return self.process.wait()

    def _read(self, done: Callable[[], bool], what: str, *, within_s: float = WITHIN_S) -> None:
        end = time.monotonic() + within_s
        while not done():
            assert time.monotonic() < end, f"never painted: {what}\n{self.painted[-4000:]}"
            if select.select([self._keyboard], [], [], 0.05)[0]:
                with contextlib.suppress(OSError):
                    self._take(os.read(self._keyboard, 65_536))

    def _take(self, data: bytes) -> None:
        self.output += data
        for question, answer in ANSWERS.items():
            if question in data:
                os.write(self._keyboard, answer)


@contextmanager
def terminal(folder: Path, logs: Path, *, home: Path | None = None) -> Iterator[Terminal]:
    """`tokentail --source` in a terminal."""
    keyboard, line_settings = pty.openpty()
    fcntl.ioctl(line_settings, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "COLORFGBG", "COLUMNS", "LINES"}}
    environment |= {"TOKENTAIL_HOME": str(home or folder / "home"), "TERM": "xterm-256color", "COLORTERM": "truecolor", "TZ": "UTC"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tokentail", "--source", str(logs)],
        stdin=line_settings,
        stdout=line_settings,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    try:
        yield Terminal(process, keyboard, line_settings)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
        os.close(keyboard)
        os.close(line_settings)


def at(seconds_ago: float) -> str:
    moment = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_lines_that_are_appended_are_painted(tmp_path: Path) -> None:
    """The screen paints replies as they are logged, leaves with `q` and exit code 0, and the terminal is as it was."""
    logs = write_logs(tmp_path / "logs", {LOG: line("m1", timestamp=at(90), model="claude-opus-5")})
    with terminal(tmp_path, logs) as screen:
        screen.wait_for("opus 5")
        with (logs / LOG).open("ab") as log:
            log.write(line("m2", timestamp=at(0), model="claude-haiku-4-5", output=4321))
        screen.wait_for("4.32k")
        assert "haiku 4.5" in screen.painted

        screen.press(b"q")

        assert screen.wait_for_end() == 0
        assert screen.settings == screen.before
        assert screen.output.rfind(b"\x1b[?1049l") > screen.output.rfind(b"\x1b[?1049h") >= 0
        assert screen.output.rfind(b"\x1b[?25h") > screen.output.rfind(b"\x1b[?25l")
        assert b"\x1b[48;2;251;250;247m" in screen.output or b";48;2;251;250;247m" in screen.output
        assert screen.process.stderr is not None
        assert screen.process.stderr.read() == b""


def test_rows_are_painted_one_by_one(tmp_path: Path) -> None:
    """A feed that is full moves by a row for each reply: every one of them is painted, and what a key opens then, too."""
    logged = b"".join(line(f"m{number}", timestamp=at(200 + number)) for number in range(150))
    logs = write_logs(tmp_path / "logs", {LOG: logged})
    with terminal(tmp_path, logs) as screen:
        screen.wait_for("opus 5")
        for number in range(20):
            with (logs / LOG).open("ab") as log:
                log.write(line(f"n{number}", timestamp=at(0), model=f"zq-{number:03}", output=7, stop_reason=None))
            screen.wait_for(f"zq-{number:03}")
        with (logs / LOG).open("ab") as log:
            log.write(line("n19", timestamp=at(0), model="zq-019", output=8765))
        screen.wait_for("8.77k")

        for keys, words in (
            (b"2", "projects"),
            (b"5", "less"),
            (b"1", "requests"),
            (b"/", "session or"),
            (b"zq-007", "with"),
            (b"\x1b", "q-019"),
        ):
            screen.output = b""
            screen.press(keys)
            screen.wait_for(words)
        screen.press(b"?")
        screen.wait_for("1 to 7")
        screen.press(b"qq")  # of the help, and of the screen
        assert screen.wait_for_end() == 0


def test_theme_is_remembered(tmp_path: Path) -> None:
    """What a person chose holds in the next run, whatever the terminal says of its background."""
    logs = write_logs(tmp_path / "logs", {LOG: line("m1", timestamp=at(90))})
    dark = b"48;2;20;23;28"
    with terminal(tmp_path, logs) as screen:
        screen.wait_for("opus 5")
        assert dark not in screen.output
        screen.press(b"d")
        screen.press(b"q")
        assert screen.wait_for_end() == 0
    with terminal(tmp_path, logs) as screen:
        screen.wait_for("opus 5")
        assert dark in screen.output


def test_store_that_cannot_be_opened_is_told_on_stderr(tmp_path: Path) -> None:
    """An error ends the screen: the terminal is put right, the message says what is wrong, and the exit code is 1."""
    logs = write_logs(tmp_path / "logs", {LOG: line("m1", timestamp=at(90))})
    (tmp_path / "file").write_bytes(b"")
    with terminal(tmp_path, logs, home=tmp_path / "file") as screen:
        assert screen.wait_for_end() == 1
        assert screen.settings == screen.before
        assert screen.process.stderr is not None
        assert re.fullmatch(rb"tokentail: cannot write the store .*\n", screen.process.stderr.read())


def test_terminal_is_put_right_when_the_screen_is_told_to_go(tmp_path: Path) -> None:
    """SIGTERM ends the screen as a key would, with the exit code that shells know."""
    logs = write_logs(tmp_path / "logs", {LOG: line("m1", timestamp=at(90))})
    with terminal(tmp_path, logs) as screen:
        screen.wait_for("opus 5")

        screen.process.send_signal(signal.SIGTERM)

        assert screen.wait_for_end() == 128 + signal.SIGTERM
        assert screen.settings == screen.before
        assert screen.output.rfind(b"\x1b[?1049l") > screen.output.rfind(b"\x1b[?1049h")
