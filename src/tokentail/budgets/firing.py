"""The only place that decides who is told of what: each crossing once, in each way, also across restarts and processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tokentail.budgets.channels import Channels, Told
from tokentail.budgets.measuring import Standing
from tokentail.budgets.memory import Crossing, Crossings, Memory, rule_of

_CLAIM_MS = 180_000  # for so long a crossing is left to the process that tells it
_PAUSES_MS = (60_000, 300_000, 1_800_000)  # between the attempts of a way that fails; the last one goes on
MOST_TRIES = 20


class Fired(NamedTuple):
    """What came of a look at the budgets."""

    crossed: tuple[Told, ...]  # since the look before
    problems: tuple[str, ...]


def fire(standings: Sequence[Standing], memory: Memory, channels: Channels, now_ms: int) -> Fired:
    """
    Tell of every budget that is crossed and was not told of yet.

    Raises:
        StoreError: what was told cannot be remembered, so nothing is told.
    """
    with memory.changing() as crossings:
        new = _update(crossings, standings, now_ms)
        due = [_claimed(crossings, each, now_ms) for each in standings if _is_due(crossings, each, now_ms)]
    problems = [memory.problem] if memory.problem else []
    done: dict[str, list[str]] = {}
    for standing, crossing in due:
        told = Told(standing, crossing.crossed_ms)
        done[standing.budget.name] = []
        for way in _missing(standing, crossing):
            if why := channels.tell(way, told):
                problems.append(f"{told.title} cannot be told by {way}: {why}")
            else:
                done[standing.budget.name].append(way)
    if due:
        with memory.changing() as crossings:
            _settle(crossings, due, done, now_ms)
    return Fired(tuple(Told(each, now_ms) for each in new), tuple(problems))


def _update(crossings: Crossings, standings: Sequence[Standing], now_ms: int) -> list[Standing]:
    """Bring the crossings up to date; gives those that are new."""
    new = []
    names = {each.budget.name for each in standings}
    for name in crossings.keys() - names:
        del crossings[name]
    for standing in standings:
        name, rule = standing.budget.name, rule_of(standing.budget)
        known = crossings.get(name)
        is_same = known is not None and known.rule == rule and standing.is_of(known.period)
        if standing.is_crossed and not is_same:
            crossings[name] = Crossing(rule, standing.instance, now_ms)
            new.append(standing)
        elif known is not None and (not is_same or (standing.can_fall and standing.is_calm)):
            del crossings[name]
    return new


def _missing(standing: Standing, crossing: Crossing) -> list[str]:
    return [way for way in Channels.of(standing.budget) if way not in crossing.told]


def _is_due(crossings: Crossings, standing: Standing, now_ms: int) -> bool:
    crossing = crossings.get(standing.budget.name)
    if crossing is None or not standing.is_crossed or crossing.tries >= MOST_TRIES:
        return False
    # A clock that was set back must not silence anybody for longer than the longest pause.
    is_time = crossing.next_ms <= now_ms or crossing.next_ms > now_ms + _PAUSES_MS[-1]
    return is_time and bool(_missing(standing, crossing))


def _claimed(crossings: Crossings, standing: Standing, now_ms: int) -> tuple[Standing, Crossing]:
    name = standing.budget.name
    crossings[name] = crossings[name]._replace(next_ms=now_ms + _CLAIM_MS)
    return standing, crossings[name]


def _settle(crossings: Crossings, due: Sequence[tuple[Standing, Crossing]], done: dict[str, list[str]], now_ms: int) -> None:
    for standing, crossing in due:
        name = standing.budget.name
        known = crossings.get(name)
        if known is None or known.crossed_ms != crossing.crossed_ms:
            continue  # it came back meanwhile
        told = (*known.told, *done[name])
        failed = any(way not in told for way in Channels.of(standing.budget))
        pause = _PAUSES_MS[min(known.tries, len(_PAUSES_MS) - 1)]
        crossings[name] = known._replace(told=told, tries=known.tries + failed, next_ms=now_ms + pause if failed else 0)
