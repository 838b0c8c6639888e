"""Which colours suit the terminal."""

from __future__ import annotations

import pytest
from textual.theme import Theme

from tokentail.tui import theme


@pytest.mark.parametrize(
    ("answer", "light"),
    [
        (b"\x1b]11;rgb:ffff/ffff/ffff\x1b\\\x1b[?1;2c", True),
        (b"\x1b]11;rgb:fd/f6/e3\x07\x1b[?62;4c", True),
        (b"\x1b]11;rgb:0000/2b2b/3636\x07\x1b[?1;2c", False),
        (b"\x1b[?1;2c", False),
        (b"", False),
        (b"\x1b]11;rgb:zz/zz/zz\x07", False),
    ],
)
def test_background_is_light_where_the_terminal_says_so(answer: bytes, light: bool) -> None:
    """The terminal's own answer decides; dark is what no answer means."""
    assert theme.is_light(answer) is light


@pytest.mark.parametrize(("told", "name"), [("0;15", "tokentail-light"), ("0;default;7", "tokentail-light"), ("15;0", "tokentail-dark")])
def test_environment_can_tell_the_background(told: str, name: str) -> None:
    """Some terminals say in COLORFGBG what their background is; then they are not asked."""
    assert theme.suits({"COLORFGBG": told}).name == name


def test_terminal_is_not_asked_where_there_is_none(capfd: pytest.CaptureFixture[str]) -> None:
    """A pipe gets no questions."""
    assert theme.suits({}) is theme.DARK
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("each", [theme.DARK, theme.LIGHT], ids=lambda each: each.name)
def test_themes_name_the_same_colours(each: Theme) -> None:
    """What one theme has a colour for, the other one has too."""
    assert each.variables.keys() == theme.DARK.variables.keys()
