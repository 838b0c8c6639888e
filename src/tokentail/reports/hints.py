"""The only place that says why a report has nothing: a name that means nothing, a period before or after all usage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tokentail.model import Window
from tokentail.periods import DAY_MS, day_of
from tokentail.reports.data import Data
from tokentail.reports.request import Context, Request
from tokentail.reports.scope import Scope
from tokentail.spelling import near


def unknown_name(what: str, asked: str, names: Iterable[str]) -> str:
    """That a project or model has no such name, and which names it was perhaps."""
    like = near(asked, names)
    return f"no {what} is called {asked!r}" + (f" (did you mean {' or '.join(map(repr, like))}?)" if like else "")


def why_empty(request: Request, data: Data, context: Context, scope: Scope) -> Iterator[str]:
    """Why there is nothing, where what there is besides can tell; nothing where there never was any usage."""
    days = data.days()
    if not days:
        return
    yield from scope.hints
    ever = Window("", days[0] * DAY_MS, (days[-1] + 1) * DAY_MS)
    moments = [(used.first_ms, used.last_ms) for used in data.usage(scope.question([ever]))]
    if not moments:
        return
    first = day_of(min(first for first, _ in moments), request.zone)
    last = day_of(max(last for _, last in moments), request.zone)
    today = day_of(context.now_ms, request.zone)
    usage = "usage of what was chosen" if request.is_choice else "usage"
    if request.since is not None and request.since > today:
        yield f"the period begins in the future ({request.since}; today is {today})"
    elif request.since is not None and request.since > last:
        yield f"the period begins after the last {usage}, which was on {last}"
    elif request.until is not None and request.until < first:
        yield f"the period ends before the first {usage}, which was on {first}"
