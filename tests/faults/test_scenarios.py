"""Every scenario of the table, in every mode: a process that writes, a process that reads, and an exact count."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from faults.processes import Nursery
from faults.scenarios import SCENARIOS, Scenario, play
from faults.scene import DEADLINE_S

if sys.platform != "linux":
    pytest.skip("the recipes are Linux's: namespaces, /proc, pidfds", allow_module_level=True)


@pytest.fixture(name="nursery", scope="module")
def fixture_nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


@functools.cache
def may_have_namespaces() -> bool:
    """May an ordinary process have limits and mounts of its own here?"""
    probe = "echo 20 > /proc/sys/user/max_inotify_watches && mount -t tmpfs none /mnt"
    return shutil.which("unshare") is not None and subprocess.run(["unshare", "-Urm", "sh", "-c", probe], check=False).returncode == 0


def runs() -> Iterator[object]:
    """The first mode of each, at a small size, is for `make test`."""
    for each in SCENARIOS.values():
        for mode in each.modes:
            is_quick = mode == each.modes[0] and not each.slow
            yield pytest.param(each, mode, False, id=f"{each.id}-{mode}", marks=() if is_quick else pytest.mark.slow)
        if each.sizes:
            yield pytest.param(each, each.modes[0], True, id=f"{each.id}-{each.modes[0]}-full", marks=pytest.mark.slow)


@pytest.mark.parametrize(("scenario", "mode", "is_full"), list(runs()))
def test_scenario(scenario: Scenario, mode: str, is_full: bool, nursery: Nursery) -> None:
    """What was written is counted, each reply once, whatever happened on the way; what was lost is said."""
    if scenario.needs and not may_have_namespaces():
        pytest.skip("this machine lets nobody have limits and mounts of their own (user namespaces)")
    play(scenario, mode, nursery, is_full=is_full, within_s=4 * DEADLINE_S if is_full else DEADLINE_S)
