"""Tests of the tables, and of the page that is written from them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from faults.fault_list import FAULTS, Fault
from faults.reliability import PAGE, page
from faults.scenarios import MODES, SCENARIOS

TESTS = Path(__file__).resolve().parents[1]


def test_the_page_is_current(request: pytest.FixtureRequest) -> None:
    """docs/reliability.md is what the tables say; `pytest tests/faults --write-table` writes it."""
    if request.config.getoption("--write-table", default=False):
        PAGE.write_text(page(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_scenario_is_there() -> None:
    """S01 to S56."""
    assert {f"S{number:02}" for number in range(1, 57)} == {name for name in SCENARIOS if name.startswith("S")}


def test_every_fault_is_there() -> None:
    """F01 to F48, in order."""
    assert [fault.id for fault in FAULTS] == [f"F{number:02}" for number in range(1, 49)]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_what_shows_a_fault_exists(fault: Fault) -> None:
    """Each name in the table is a scenario, or a test in the file that it names."""
    assert fault.shown_by
    for name in fault.shown_by:
        file, _, test = name.partition("::")
        assert name in SCENARIOS or re.search(rf"^def {test}\(", (TESTS / file).read_text(encoding="utf-8"), re.MULTILINE)


def test_a_scenario_that_leaves_out_a_mode_says_why() -> None:
    """All four modes are the rule."""
    assert [each.id for each in SCENARIOS.values() if each.modes != MODES and not each.why] == []
