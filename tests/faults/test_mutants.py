"""Tests of the fault suite: with a protection switched off, the scenario that is there for it fails."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest

from faults.mutants import MUTANTS, Mutant, copy_with
from faults.processes import Nursery
from faults.scenarios import SCENARIOS, play

WITHIN_S = 12.0
ids = [each.protection.partition(":")[0].replace(" ", "-") for each in MUTANTS]

if sys.platform != "linux":
    pytest.skip("the recipes are Linux's: namespaces, /proc, pidfds", allow_module_level=True)


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=ids)
def test_red_without_the_protection(mutant: Mutant, tmp_path: Path) -> None:
    """A scenario that stays green proves nothing."""
    with contextlib.closing(Nursery(copy_with(mutant.edits, mutant.file, tmp_path))) as nursery, pytest.raises(AssertionError):
        play(SCENARIOS[mutant.scenario], mutant.mode, nursery, within_s=WITHIN_S)


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=ids)
def test_green_with_the_protection(mutant: Mutant, tmp_path: Path) -> None:
    """The same, in as long a time, with nothing switched off."""
    with contextlib.closing(Nursery(copy_with(mutant.control, mutant.file, tmp_path))) as nursery:
        play(SCENARIOS[mutant.scenario], mutant.mode, nursery, within_s=WITHIN_S)


@pytest.mark.parametrize("mutant", MUTANTS, ids=ids)
def test_mutant_still_fits(mutant: Mutant, tmp_path: Path) -> None:
    """What it edits stands in the product as it is."""
    assert copy_with(mutant.edits, mutant.file, tmp_path).is_dir()
    assert mutant.mode in SCENARIOS[mutant.scenario].modes
