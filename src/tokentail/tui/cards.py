"""The header: what was used today, in the five-hour window that is running, and in seven days."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from textual.content import Content

from tokentail import periods
from tokentail.model import Counts
from tokentail.reports import text
from tokentail.reports.blocks import BLOCK_MS
from tokentail.tui import chart, words
from tokentail.tui.allowances import Gauge, gauge_line
from tokentail.tui.panels import MUTED, Panel, ends
from tokentail.tui.snapshot import OpenWindow, Snapshot

_COST = "bold $gold"
_FORECAST_TIME_FROM = 30  # cells


class Card(Panel):
    """Three lines about a stretch of time, and a fourth where a limit or a budget ends it."""

    def __init__(self, id: str, title: str) -> None:
        super().__init__(id, title)
        self._name = title
        self._gauge: Gauge | None = None

    def gauge(self, gauge: Gauge | None) -> None:
        """How far what limits it is used."""
        if gauge != self._gauge:
            self._gauge = gauge
            self.border_title = f"{self._name} · {gauge.standing}" if gauge and gauge.standing else self._name
            self.refresh()

    def draw(self, snapshot: Snapshot, width: int, height: int) -> list[Content]:
        lines = self.figures(snapshot, width)
        return [*lines, gauge_line(self._gauge, width)] if self._gauge and height > len(lines) else lines

    def figures(self, snapshot: Snapshot, width: int) -> list[Content]:
        """The lines about what was used."""
        raise NotImplementedError

    def lines(self, counts: Counts, width: int, *, aside: str = "") -> list[Content]:
        prompt = counts.total_tokens - counts.output_tokens
        cached = f"{text.percent(counts.cache_read_tokens / prompt)} from cache" if prompt else ""
        output = f"{text.short(counts.output_tokens)} out" if counts.replies else ""
        return [
            ends(Content.styled(words.dollars(counts), _COST), Content.styled(aside, "$accent"), width),
            ends(Content(f"{text.short(counts.total_tokens)} tokens"), Content.styled(cached, MUTED), width),
            ends(Content.styled(words.replies(counts.replies), MUTED), Content.styled(output, MUTED), width),
        ]


class Today(Card):
    def figures(self, snapshot: Snapshot, width: int) -> list[Content]:
        return self.lines(snapshot.figures.overview.today, width)


class Week(Card):
    def figures(self, snapshot: Snapshot, width: int) -> list[Content]:
        overview = snapshot.figures.overview
        return self.lines(overview.week, width, aside=chart.history(overview.week_usd) if any(overview.week_usd) else "")


class FiveHours(Card):
    """The running window: what it costs, how much of its time is over, how fast it is used and where that leads."""

    def __init__(self, id: str, title: str, zone: ZoneInfo) -> None:
        super().__init__(id, title)
        self._zone = zone

    def differs(self, before: Snapshot, now: Snapshot) -> bool:
        return super().differs(before, now) or f"{before.at:%H:%M}" != f"{now.at:%H:%M}"

    def figures(self, snapshot: Snapshot, width: int) -> list[Content]:
        window = snapshot.figures.window
        if window is None:
            return [Content.styled(line, MUTED) for line in ("no window is open:", "nothing was used", "for five hours")]
        now_ms = periods.at_ms(snapshot.at)
        left = f"{text.duration(max(window.end_ms - now_ms, 0))} left"
        pace = window.pace
        speed = f"{text.short(round(pace.tokens_per_minute))}/min"
        per_hour = "" if pace.cost_usd_per_hour is None else f"  ${pace.cost_usd_per_hour:,.2f}/h"
        return [
            ends(Content.styled(words.dollars(window.counts), _COST), Content(left), width),
            _clock_bar(window, now_ms, width),
            ends(
                Content.assemble(speed, (per_hour, MUTED) if width >= _FORECAST_TIME_FROM + 8 else ""),
                Content.styled(self._forecast(window, width), "$gold"),
                width,
            ),
        ]

    def _forecast(self, window: OpenWindow, width: int) -> str:
        """Where it leads if it goes on like that."""
        cost = window.pace.projected_cost_usd
        sign = "≥ " if window.counts.cost_is_lower_bound else ""
        said = f"{text.short(window.pace.projected_tokens)}" if cost is None else f"{sign}${cost:,.2f}"
        return f"→ {said}" if width < _FORECAST_TIME_FROM else f"→ {said} at {periods.at(window.end_ms, self._zone):%H:%M}"


def _clock_bar(window: OpenWindow, now_ms: int, width: int) -> Content:
    """How much of the window's time is over."""
    done = chart.share(min(max((now_ms - window.start_ms) / BLOCK_MS, 0.0), 1.0), width)
    return Content.assemble((done, "$accent"), ("─" * (width - len(done)), "$faint"))
