"""How the live screen words things: short, aligned, harmless."""

from __future__ import annotations

import pytest

from tokentail.model import Counts
from tokentail.reports import text
from tokentail.tui import words


@pytest.mark.parametrize(
    "name", ["app", "a-much-longer-name", "日本語の名前", "日本", "e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301", "a\x1b[31m\tb"]
)
def test_fitted_name_has_the_width_that_was_asked_for(name: str) -> None:
    """A column never jumps, whatever stands in it, and nothing in it acts on the terminal."""
    fitted = words.fit(name, 7)

    assert text.text_width(fitted) == 7
    assert fitted.isprintable()


@pytest.mark.parametrize(
    ("counts", "cost"),
    [
        (Counts(cost_usd=1234.5), "$1,234.50"),
        (Counts(cost_usd=0.25, cost_is_lower_bound=True), "≥ $0.25"),
        (Counts(cost_usd=None, cost_is_lower_bound=True), "$ ?"),
    ],
)
def test_cost_says_how_sure_it_is(counts: Counts, cost: str) -> None:
    """A lower bound is marked, and what has no price is not free."""
    assert words.dollars(counts) == cost


def test_sizes_and_times() -> None:
    """Bytes and seconds in the unit that reads best."""
    assert [words.size(count) for count in (0, 999, 6_500, 11_600_000)] == ["0 B", "999 B", "6.5 kB", "11.6 MB"]
    assert [words.duration(seconds) for seconds in (0.0031, 12.3)] == ["3.1 ms", "12.3 s"]
    assert [words.replies(count) for count in (0, 1, 1200)] == ["0 replies", "1 reply", "1,200 replies"]
