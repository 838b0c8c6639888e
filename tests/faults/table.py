"""The table of scenarios: the only place that knows which there are, in which modes they run and what must come of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from faults.processes import Nursery
from faults.scene import DEADLINE_S, Scene

MODES = ("events", "polling", "muted", "killed")
_WATCHER = {"events": "events", "polling": "polling", "muted": "muted", "killed": "events"}
RESCAN_S = 0.1  # where only the safety rescan finds anything


class Scenario(NamedTuple):
    """
    A fault, or an ordinary thing at a bad moment.

    Attributes:
        act: what the writer does, and whoever else does something to the reader.
        oracle: "=" when all that was written must be counted, "⊆" when a part may be; nothing ever twice.
        modes: in which it runs; where these are not all, `why` says why.
        rescans: no event can tell of it, so a rescan must, in every mode.
        settles: each log is known to the store in the end as it is on disk.
        sizes: `make test-all` does more of it, in the first of its modes.
        slow: `make test` does without.
        needs: what a machine must allow; "" or "namespaces".
    """

    id: str
    title: str
    act: Callable[[Scene], None]
    oracle: str = "="
    modes: tuple[str, ...] = MODES
    why: str = ""
    rescans: bool = False
    settles: bool = True
    sizes: bool = False
    slow: bool = False
    needs: str = ""


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    id: str,
    title: str,
    *,
    oracle: str = "=",
    modes: tuple[str, ...] = MODES,
    why: str = "",
    rescans: bool = False,
    settles: bool = True,
    sizes: bool = False,
    slow: bool = False,
    needs: str = "",
) -> Callable[[Callable[[Scene], None]], Callable[[Scene], None]]:
    """Put what follows into the table."""

    def taken(act: Callable[[Scene], None]) -> Callable[[Scene], None]:
        assert id not in SCENARIOS
        SCENARIOS[id] = Scenario(id, title, act, oracle, modes, why, rescans, settles, sizes, slow, needs)
        return act

    return taken


def play(scenario: Scenario, mode: str, nursery: Nursery, *, is_full: bool = False, within_s: float = DEADLINE_S) -> None:
    """
    Run a scenario in a mode.

    Raises:
        AssertionError: something was lost, counted twice or not said.
    """
    scene = Scene(nursery, mode, is_full=is_full, seed=scenario.id, within_s=within_s)
    try:
        scene.options += ["--watcher", _WATCHER[mode]]
        if scenario.rescans or mode == "muted":
            scene.options += ["--rescan-s", str(RESCAN_S)]
        scenario.act(scene)
        scene.finish(scenario.oracle, settles=scenario.settles)
    finally:
        scene.close()
