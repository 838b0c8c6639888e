"""Writes docs/reliability.md from the tables; the only place that knows how it looks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from faults.fault_list import FAULTS, NOT_INJECTED
from faults.mutants import MUTANTS
from faults.scenarios import MODES, SCENARIOS, Scenario

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
_INTRO = """# What tokentail survives

This page is written by the tests: `pytest tests/faults --write-table`. A test fails when it is not current.

Each scenario is a process that writes real log files, a process that follows them, and whatever goes wrong between the two. It
ends with an exact count: what the feed has told, what `tokentail daily` reports and what `tokentail verify` reads anew must
agree with what was written, reply by reply. `=` means all of it, `⊆` a part of it where lines can be deleted before anybody
could read them; nothing is ever counted twice.
"""
_MODES = """Modes: **events** (by the kernel's events alone), **polling** (there are no events), **muted** (a watcher that says nothing;
only the safety rescan finds anything), **killed** (the reader is killed after each step of the writer, and started again).
`make test` runs the first mode of each scenario, `make test-all` all of them.
"""


def page() -> str:
    runs = sum(len(each.modes) for each in SCENARIOS.values())
    faults = [(each.id, each.title, each.injection, each.outcome, _shown(each.shown_by)) for each in FAULTS]
    scenarios = [(each.id, each.title, each.oracle, _modes(each), _notes(each)) for each in sorted(SCENARIOS.values())]
    mutants = [(each.protection, f"{each.scenario}, {each.mode}") for each in MUTANTS]
    parts = [
        _INTRO,
        f"{len(FAULTS)} faults, {len(SCENARIOS)} scenarios, {runs} runs of them in {len(MODES)} modes.\n",
        "## Faults\n",
        _table(("", "fault", "how it is brought about", "what comes of it", "shown by"), faults),
        "## Scenarios\n",
        _MODES,
        _table(("", "scenario", "oracle", "modes", ""), scenarios),
        "## The suite itself\n",
        "Each of these is switched off in a copy of the package, and the scenario then fails (`tests/faults/mutants.py`):\n",
        _table(("protection", "fails without it"), mutants),
        "## What is not brought about here, and why\n",
        _table(("", "why"), NOT_INJECTED),
    ]
    return "\n".join(parts)


def _shown(tests: Iterable[str]) -> str:
    return ", ".join(test if test in SCENARIOS else f"`{test}`" for test in tests)


def _modes(scenario: Scenario) -> str:
    return "all" if scenario.modes == MODES else ", ".join(scenario.modes)


def _notes(scenario: Scenario) -> str:
    notes = [scenario.why, "found by the rescan" if scenario.rescans else "", f"needs {scenario.needs}" if scenario.needs else ""]
    return "; ".join(filter(None, [*notes, "slow" if scenario.slow else ""]))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
