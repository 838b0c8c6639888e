"""The only place that knows colours: a dark and a light theme, each with more contrast, too, and which of them suits the terminal."""

from __future__ import annotations

import os
import re
import select
import sys
import time
from collections.abc import Mapping
from typing import NamedTuple

from textual.theme import Theme

ASK_WITHIN_S = 0.2
_ANSWER = re.compile(rb"\x1b\]11;rgb:([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})(?:\x07|\x1b\\)")
_LAST_ANSWER = re.compile(rb"\x1b\[\?[0-9;]*c")  # to "who are you?", which every terminal answers


class _Palette(NamedTuple):
    """The colours of a theme; the first four are what is written, what it is written on, what is less important, and lines."""

    text: str
    ground: str
    muted: str
    faint: str
    accent: str
    gold: str  # money
    live: str
    warning: str
    error: str
    raised: str  # the ground of what stands before the rest
    chosen: str  # of a chosen row
    kinds: tuple[str, str, str, str]  # cache read, cache write, input, output
    heat: tuple[str, str, str, str, str]  # of a day: from nothing to the most
    scrollbar: tuple[str, str, str]


_DARK = _Palette(
    *("#d3d9e0", "#14171c", "#7d8896", "#333b45", "#7fc4b8", "#e3bd7b", "#8fc48a", "#e0b068", "#e07a72", "#1a1e24", "#2c3a4a"),
    kinds=("#476488", "#5fa79c", "#d8b469", "#de8a74"),
    heat=("#262c34", "#27504d", "#347a72", "#4fa599", "#8fe0d2"),
    scrollbar=("#333b45", "#46515e", "#5b6876"),
)
_LIGHT = _Palette(
    *("#2a2e35", "#fbfaf7", "#6c737d", "#d4d0c6", "#15756a", "#8c5c00", "#3b7d35", "#a15c00", "#b3382e", "#f4f2ec", "#dbe6ee"),
    kinds=("#9fb6d2", "#4f988c", "#d5a032", "#cb6249"),
    heat=("#e6e2d8", "#b9d8d0", "#7fb9ad", "#3f9184", "#0f5b51"),
    scrollbar=("#d4d0c6", "#bdb8ac", "#a5a093"),
)
_CONTRAST_DARK = _Palette(
    *("#ffffff", "#000000", "#cfd6de", "#8a949f", "#6ff2df", "#ffd98a", "#8dff85", "#ffc64d", "#ff8f85", "#000000", "#1f4f8f"),
    kinds=("#6f9fe0", "#52e0cd", "#ffd24d", "#ff8d6b"),
    heat=("#333333", "#1f6f66", "#2fa597", "#52e0cd", "#d9fff9"),
    scrollbar=("#8a949f", "#cfd6de", "#ffffff"),
)
_CONTRAST_LIGHT = _Palette(
    *("#000000", "#ffffff", "#3a4049", "#767d87", "#005a50", "#5e3c00", "#14590f", "#7a3f00", "#9c1007", "#ffffff", "#bcd8ff"),
    kinds=("#5580b8", "#00776a", "#b87900", "#b03017"),
    heat=("#dddddd", "#94cfc6", "#4aa89b", "#00776a", "#00332d"),
    scrollbar=("#767d87", "#3a4049", "#000000"),
)


def _theme(name: str, colours: _Palette, *, dark: bool) -> Theme:
    kinds = dict(zip(("kind-read", "kind-write", "kind-input", "kind-output"), colours.kinds, strict=True))
    bars = dict(zip(("scrollbar", "scrollbar-hover", "scrollbar-active"), colours.scrollbar, strict=True))
    grounds = ("footer-background", "footer-item-background", "footer-description-background", "footer-key-background")
    under = ("scrollbar-background", "scrollbar-background-hover", "scrollbar-background-active", "scrollbar-corner-color")
    return Theme(
        name=name,
        dark=dark,
        primary=colours.accent,
        secondary=colours.kinds[0],
        accent=colours.accent,
        warning=colours.warning,
        error=colours.error,
        success=colours.live,
        foreground=colours.text,
        background=colours.ground,
        surface=colours.raised,
        panel=colours.raised,
        variables={
            "muted": colours.muted,
            "faint": colours.faint,
            "gold": colours.gold,
            "live": colours.live,
            "chosen": colours.chosen,
            **kinds,
            **{f"heat-{level}": colour for level, colour in enumerate(colours.heat)},
            "footer-foreground": colours.muted,
            "footer-key-foreground": colours.accent,
            "footer-description-foreground": colours.muted,
            **dict.fromkeys((*grounds, *under), colours.ground),
            **bars,
        },
    )


DARK = _theme("tokentail-dark", _DARK, dark=True)
LIGHT = _theme("tokentail-light", _LIGHT, dark=False)
CONTRAST_DARK = _theme("tokentail-contrast-dark", _CONTRAST_DARK, dark=True)
CONTRAST_LIGHT = _theme("tokentail-contrast-light", _CONTRAST_LIGHT, dark=False)
_PAIRS = ((DARK, LIGHT), (CONTRAST_DARK, CONTRAST_LIGHT))  # a row for each contrast
BY_NAME = {each.name: each for pair in _PAIRS for each in pair}


def other_ground(name: str) -> str:
    """The light one of a dark theme, and the other way round."""
    row, column = _place(name)
    return _PAIRS[row][1 - column].name


def other_contrast(name: str) -> str:
    """The theme on the same ground with more contrast, or with less again."""
    row, column = _place(name)
    return _PAIRS[1 - row][column].name


def _place(name: str) -> tuple[int, int]:
    return next((row, column) for row, pair in enumerate(_PAIRS) for column, each in enumerate(pair) if each.name == name)


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
