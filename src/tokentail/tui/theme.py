"""The only place that knows colours: a dark and a light theme, and which of them suits the terminal."""

from __future__ import annotations

import os
import re
import select
import sys
import time
from collections.abc import Mapping

from textual.theme import Theme

ASK_WITHIN_S = 0.2
_ANSWER = re.compile(rb"\x1b\]11;rgb:([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})(?:\x07|\x1b\\)")
_LAST_ANSWER = re.compile(rb"\x1b\[\?[0-9;]*c")  # to "who are you?", which every terminal answers

DARK = Theme(
    name="tokentail-dark",
    dark=True,
    primary="#7fbfb5",
    secondary="#5d81a8",
    accent="#7fc4b8",
    warning="#e0b068",
    error="#e07a72",
    success="#8fc48a",
    foreground="#d3d9e0",
    background="#14171c",
    surface="#1a1e24",
    panel="#20252c",
    variables={
        "muted": "#7d8896",
        "faint": "#333b45",
        "gold": "#e3bd7b",
        "live": "#8fc48a",
        "kind-read": "#476488",
        "kind-write": "#5fa79c",
        "kind-input": "#d8b469",
        "kind-output": "#de8a74",
        "footer-background": "#14171c",
        "footer-foreground": "#7d8896",
        "footer-key-foreground": "#7fc4b8",
        "footer-description-foreground": "#7d8896",
        "footer-item-background": "#14171c",
        "footer-description-background": "#14171c",
        "footer-key-background": "#14171c",
        "scrollbar": "#333b45",
        "scrollbar-hover": "#46515e",
        "scrollbar-active": "#5b6876",
        "scrollbar-background": "#14171c",
        "scrollbar-background-hover": "#14171c",
        "scrollbar-background-active": "#14171c",
        "scrollbar-corner-color": "#14171c",
    },
)
LIGHT = Theme(
    name="tokentail-light",
    dark=False,
    primary="#1f776c",
    secondary="#4a6d97",
    accent="#15756a",
    warning="#a15c00",
    error="#b3382e",
    success="#3b7d35",
    foreground="#2a2e35",
    background="#fbfaf7",
    surface="#f4f2ec",
    panel="#ebe8e0",
    variables={
        "muted": "#6c737d",
        "faint": "#d4d0c6",
        "gold": "#8c5c00",
        "live": "#3b7d35",
        "kind-read": "#9fb6d2",
        "kind-write": "#4f988c",
        "kind-input": "#d5a032",
        "kind-output": "#cb6249",
        "footer-background": "#fbfaf7",
        "footer-foreground": "#6c737d",
        "footer-key-foreground": "#15756a",
        "footer-description-foreground": "#6c737d",
        "footer-item-background": "#fbfaf7",
        "footer-description-background": "#fbfaf7",
        "footer-key-background": "#fbfaf7",
        "scrollbar": "#d4d0c6",
        "scrollbar-hover": "#bdb8ac",
        "scrollbar-active": "#a5a093",
        "scrollbar-background": "#fbfaf7",
        "scrollbar-background-hover": "#fbfaf7",
        "scrollbar-background-active": "#fbfaf7",
        "scrollbar-corner-color": "#fbfaf7",
    },
)


def suits(environment: Mapping[str, str]) -> Theme:
    """The theme for this terminal: the light one where its background is light, else the dark one."""
    told = environment.get("COLORFGBG", "").rpartition(";")[2]
    if told.isdecimal():
        return LIGHT if int(told) in (7, 15) else DARK
    light = is_light(ask_background())
    return LIGHT if light else DARK


def is_light(answer: bytes) -> bool:
    """Whether a terminal's answer names a light background; no answer names none."""
    match = _ANSWER.search(answer)
    if match is None:
        return False
    red, green, blue = (int(part, 16) / int(b"f" * len(part), 16) for part in match.groups())
    return 0.299 * red + 0.587 * green + 0.114 * blue > 0.5


def ask_background() -> bytes:
    """
    What the terminal says about its background; empty where it says nothing.

    A second question that every terminal answers ends the wait, so one that does not know the first costs no time.
    """
    try:
        import termios
        import tty
    except ImportError:
        return b""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return b""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    answer, until = b"", time.monotonic() + ASK_WITHIN_S
    try:
        tty.setcbreak(terminal, termios.TCSANOW)
        os.write(sys.stdout.fileno(), b"\x1b]11;?\x07\x1b[c")
        while not _LAST_ANSWER.search(answer) and select.select([terminal], [], [], max(until - time.monotonic(), 0))[0]:
            more = os.read(terminal, 256)
            if not more:
                break
            answer += more
    except OSError:
        return b""
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)
    return answer
