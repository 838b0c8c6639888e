"""The only place that draws how far limits and budgets are used: a line on each card of the header, and the page with all of them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import NamedTuple
from zoneinfo import ZoneInfo

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tokentail import periods
from tokentail.budgets import showing
from tokentail.budgets.measuring import Standing
from tokentail.limits import Limit, Share, as_text
from tokentail.projects import Projects
from tokentail.reports import text
from tokentail.tui import chart, words

NEARLY, SOON = 0.9, 0.75  # of a limit or a budget: from there on its line has another colour
_WIDE = 40  # cells, from which on a line has room for a time of day
_SPACIOUS = 100  # cells, from which on the page begins its lines below one another
_LEAST_BAR, _MOST_BAR = 2, 40
_SHARE_BAR = 8
_HEAD = 16  # cells of a limit's or budget's name on the page
_MOST_SHARES = 6
_MUTED = "$muted"
_LABELS = {"five_hour": "limit", "seven_day": "limit", "seven_day_opus": "opus", "seven_day_sonnet": "sonnet"}


class Allowances(NamedTuple):
    """What may be used, and how far it is: as of one moment."""

    now_ms: int
    limits: tuple[Limit, ...]
    budgets: tuple[Standing, ...]
    projects: Projects


class Gauge(NamedTuple):
    """How far one of them is used, as a card shows it."""

    label: str
    share: float  # 1.0 for all of it
    figure: str
    ahead: str  # where that leads; "" where nobody knows
    ahead_wide: str  # the same where there is room
    standing: str  # how sure that is, of a limit


def limit_gauge(limit: Limit, now_ms: int, zone: ZoneInfo) -> Gauge | None:
    """None where nobody knows how far it is used."""
    if limit.percent is None or limit.start_ms is None:
        return None
    figure = f"{'~' if limit.standing == 'estimate' else ''}{limit.percent:.0f} %"
    standing: str = limit.standing
    if limit.standing == "stale" and limit.sample is not None:
        standing = f"stale {text.duration(max(now_ms - limit.sample.last_ms, 0))}"
    ahead = wide = ""
    coming = limit.forecast
    if coming is not None and coming.percent is not None and limit.end_ms is not None:
        if coming.full_ms is not None and coming.percent >= 100:  # at the pace of now, which seldom lasts, others would be full too
            full = _clock(coming.full_ms, now_ms, zone)
            ahead, wide = f"full {full.split()[0]}", f"full at {full}"
        else:
            ahead = f"→ {coming.percent:.0f} %"
            wide = f"{ahead} at {_clock(limit.end_ms, now_ms, zone)}"
    return Gauge(_LABELS[limit.kind], limit.percent / 100, figure, ahead, wide, standing)


def budget_gauge(standing: Standing) -> Gauge | None:
    """None where nobody knows how far it is used, or where it is no matter of how far."""
    if standing.share is None or standing.budget.measure == "cache_hit_rate":
        return None
    bound = "≥ " if standing.is_lower_bound else ""
    return Gauge(
        label=standing.budget.name,
        share=standing.share,
        figure=f"{bound}{standing.share * 100:.0f} %",
        ahead="crossed" if standing.is_crossed else "",
        ahead_wide="crossed" if standing.is_crossed else f"of {showing.threshold(standing)}",
        standing=standing.standing,
    )


def on_cards(allowances: Allowances, zone: ZoneInfo) -> dict[str, Gauge]:
    """For the cards of today, of the five-hour window and of seven days what is used the most of what belongs there."""
    found: dict[str, list[Gauge]] = {"today": [], "window": [], "week": []}
    for limit in allowances.limits:
        if gauge := limit_gauge(limit, allowances.now_ms, zone):
            found["window" if limit.kind == "five_hour" else "week"].append(gauge)
    for standing in allowances.budgets:
        if gauge := budget_gauge(standing):
            found[{"block": "window", "week": "week"}.get(standing.budget.period, "today")].append(gauge)
    return {card: max(gauges, key=lambda gauge: gauge.share) for card, gauges in found.items() if gauges}


def gauge_line(gauge: Gauge, width: int) -> Content:
    """A name, a bar, how much that is and where it leads, in exactly the width that there is."""
    ahead = gauge.ahead_wide if width >= _WIDE else gauge.ahead
    style = _style(gauge.share)
    ahead_style = "bold $error" if ahead.startswith(("full", "crossed")) else "$gold" if ahead.startswith("→") else _MUTED
    figure, right = f" {gauge.figure}", f" {ahead}" if ahead else ""
    room = width - text.text_width(figure) - text.text_width(right)
    left = f"{text.cut(gauge.label, max(min(width // 3, room - _LEAST_BAR - 1), 1))} "
    room -= text.text_width(left)
    return Content.assemble((left, _MUTED), *_bar(gauge.share, room, style), (figure, style), (right, ahead_style))


class LimitsPage(VerticalScroll):
    """All limits and budgets: how sure that is, where it leads, and whose work it was."""

    def __init__(self, zone: ZoneInfo) -> None:
        super().__init__(id="limits", classes="framed")
        self.border_title = "limits and budgets"
        self._zone = zone
        self._allowances: Allowances | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="allowances", markup=False)

    def allow(self, allowances: Allowances) -> None:
        self._allowances = allowances
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        if self._allowances is not None and (width := self.scrollable_content_region.width):
            self.query_one(Static).update(Content("\n").join(page(self._allowances, self._zone, width)))


def page(allowances: Allowances, zone: ZoneInfo, width: int) -> list[Content]:
    """The lines of the page."""
    lines: list[Content] = []
    for limit in allowances.limits:
        lines += [*_limit(limit, allowances, zone, width), Content("")]
    if all(limit.sample is None for limit in allowances.limits):
        lines += [*_wrapped(as_text.NOTHING_SAID, width, _MUTED), Content("")]
    for standing in allowances.budgets:
        lines += [*_budget(standing, width), Content("")]
    if not allowances.budgets:
        lines += _wrapped("There are no budgets: docs/budgets.md says how to set one.", width, _MUTED)
    return lines


def _limit(limit: Limit, allowances: Allowances, zone: ZoneInfo, width: int) -> Iterator[Content]:
    name = f"{as_text.NAMES[limit.kind]:<{_HEAD}}"
    if limit.start_ms is None:
        yield Content.assemble((name, "bold"), (as_text.NO_WINDOW, _MUTED))
        return
    part, figure = (None, "?") if limit.percent is None else (limit.percent / 100, f"{limit.percent:.0f} %")
    yield _head(name, part, figure, width)
    indent = _indent(width)
    yield from _wrapped(as_text.standing(limit, allowances.now_ms), width, _MUTED, indent=indent)
    for fact in as_text.facts(limit, allowances.now_ms, zone):
        yield from _wrapped(fact, width, indent=indent)
    yield from (_share(share, limit, allowances.projects, width) for share in limit.shares[:_MOST_SHARES])
    if rest := limit.shares[_MOST_SHARES:]:
        yield Content.styled(f"{' ' * indent}and {len(rest)} more", _MUTED)


def _share(share: Share, limit: Limit, projects: Projects, width: int) -> Content:
    """Whose work used how much of a limit."""
    whose = f"{projects.name(share.project)}{', subagents' if share.subagent else ''}"
    indent = _indent(width)
    name = words.fit(whose, min(max(width - indent - 46, 8), 32))
    bar = chart.share(share.part or 0.0, _SHARE_BAR).ljust(_SHARE_BAR)
    part = f"{'?' if share.part is None else f'{share.part * 100:.0f} %':>6}"
    used = "" if share.part is None or limit.percent is None else f"{share.part * limit.percent:>7.1f} % of the limit"
    cost = f"  {words.dollars(share.counts)}"
    return Content.assemble(" " * indent, name, (f" {bar}", "$kind-read"), part, (used, _MUTED), (cost, "$gold"))


def _budget(standing: Standing, width: int) -> Iterator[Content]:
    share = standing.share
    is_low = standing.budget.measure == "cache_hit_rate"
    name = words.fit(standing.budget.name, _HEAD - 1) + " "
    yield _head(name, None if is_low else share, "" if is_low else showing.state(standing), width, is_crossed=standing.is_crossed)
    used = f"{showing.measure(standing)}, {showing.period(standing)}: {showing.value(standing)} of {showing.threshold(standing)}"
    yield from _wrapped(text.safe(used), width, indent=_indent(width))


def _head(name: str, share: float | None, figure: str, width: int, *, is_crossed: bool = False) -> Content:
    """A name, a bar and what that is."""
    room = min(_MOST_BAR, max(width - _HEAD - len(figure) - 2, 8))
    style = "bold $error" if is_crossed else _style(share or 0.0)
    return Content.assemble((name, "bold"), *_bar(share or 0.0, room, style), (f"  {figure}", style))


def _indent(width: int) -> int:
    return _HEAD if width >= _SPACIOUS else 2


def _bar(share: float, room: int, style: str) -> tuple[tuple[str, str], tuple[str, str]]:
    done = chart.share(min(share, 1.0), room) if room > 0 else ""
    return (done, style), ("╌" * (room - len(done)), "$faint")


def _style(share: float) -> str:
    return "$error" if share >= NEARLY else "$warning" if share >= SOON else "$live"


def _wrapped(words: str, width: int, style: str = "", *, indent: int = 0) -> list[Content]:
    return [Content.styled(" " * indent + line, style) for line in textwrap.wrap(words, max(width - indent, 20))]


def _clock(at_ms: int, now_ms: int, zone: ZoneInfo) -> str:
    return f"{periods.at(at_ms, zone):{'%H:%M' if abs(at_ms - now_ms) < periods.DAY_MS // 2 else '%a %H:%M'}}"
