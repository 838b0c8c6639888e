"""The panels around the feed: the title, models of today, what the engine did, and what is wrong."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from textual.content import Content
from textual.widget import Widget

from tokentail.model import Counts, Live, Row
from tokentail.reports import text
from tokentail.reports.names import model_name
from tokentail.tui import chart, words
from tokentail.tui.painting import repaint
from tokentail.tui.snapshot import Snapshot

MUTED, _BOLD = "$muted", "bold"
_NAME_CELLS, _FIGURE_CELLS = 12, 20  # of a model's line
_MOST_ENGINE_CELLS = 56
_LEAST_USD = 1e-9
_CANNOT_READ = "cannot read "
Part = tuple[str, str]


class TitleBar(Widget):
    """The first line: whose numbers these are, whether they live, and from when they are."""

    def __init__(self, label: str, zone: str) -> None:
        super().__init__(id="title")
        self._label, self._zone = label, zone
        self._state: Part = ("◌ reading", "$gold")
        self._clock = ""

    def show(self, clock: str, state: Part) -> None:
        if (clock, state) != (self._clock, self._state):
            self._clock, self._state = clock, state
            repaint(self)

    def render(self) -> Content:
        badge = Content.styled(f" {text.safe(self._label)} ", "bold reverse $gold") if self._label else Content("")
        left = Content.assemble((" tokentail  ", "bold $accent"), badge)
        right = Content.assemble(self._state, (f"   {self._zone} ", MUTED), (f"{self._clock} ", _BOLD))
        if left.cell_length + right.cell_length > self.size.width:
            right = Content.assemble(self._state, (f"  {self._clock} ", _BOLD))
        return left + Content(" " * max(self.size.width - left.cell_length - right.cell_length, 1)) + right


class Trail(Widget):
    """The first line of a screen that one has gone down to: the way there."""

    def __init__(self, steps: Sequence[str]) -> None:
        super().__init__(id="title")
        self._steps = [text.safe(step) for step in steps]

    def render(self) -> Content:
        *before, last = self._steps
        way = "".join(f"{step} › " for step in before)
        room = self.size.width - 2
        if text.text_width(way) + text.text_width(last) > room:  # the end of the way says most
            way = "… › "
        return Content.assemble((f" {way}", MUTED), (text.shortened(last, max(room - text.text_width(way), 1)), "bold $accent"))


class Panel(Widget):
    """A frame around what a snapshot says; drawn anew when there is a new one, or another size."""

    def __init__(self, id: str, title: str) -> None:
        super().__init__(id=id)
        self.border_title = title
        self._snapshot: Snapshot | None = None

    def show(self, snapshot: Snapshot) -> None:
        before, self._snapshot = self._snapshot, snapshot
        if before is None or self.differs(before, snapshot):
            repaint(self)

    def differs(self, before: Snapshot, now: Snapshot) -> bool:
        """Whether two snapshots look different here: an idle screen paints next to nothing."""
        return before.figures is not now.figures

    def render(self) -> Content:
        if self._snapshot is None or not self.content_size:
            return Content("")
        return Content("\n").join(self.draw(self._snapshot, *self.content_size))

    def draw(self, snapshot: Snapshot, width: int, height: int) -> list[Content]:
        """The lines that fill the frame."""
        raise NotImplementedError


class Models(Panel):
    """Today's models: what each one cost, and its share of it."""

    def draw(self, snapshot: Snapshot, width: int, height: int) -> list[Content]:
        rows = snapshot.figures.overview.models
        if not rows:
            return [Content.styled("no model has answered today", MUTED)]
        if height >= 2 * len(rows):
            apart = [Content("")] if height >= 3 * len(rows) - 1 else []
            return [line for row in rows for line in (*self._spacious(row, rows, width), *apart)]
        shown = rows if len(rows) <= height else rows[: height - 1]
        more = [Content.styled(f"and {len(rows) - len(shown)} more", MUTED)] if len(shown) < len(rows) else []
        return [*(self._compact(row, rows, width) for row in shown), *more]

    def _compact(self, row: Row, rows: Sequence[Row], width: int) -> Content:
        room = max(width - _NAME_CELLS - _FIGURE_CELLS, 0)
        bar = chart.share(_usd(row) / _usd(rows[0]), room) if room > 3 else ""
        name = words.fit(model_name(row.key), _NAME_CELLS)
        return Content.assemble((name, ""), (bar.ljust(room), "$kind-read"), *_figures(row.counts))

    def _spacious(self, row: Row, rows: Sequence[Row], width: int) -> list[Content]:
        name = words.fit(model_name(row.key), max(width - _FIGURE_CELLS, 8))
        bar = Content.styled(chart.share(_usd(row) / _usd(rows[0]), width - 6), "$kind-read")
        part = _usd(row) / max(sum(map(_usd, rows)), _LEAST_USD)
        return [Content.assemble((name, ""), *_figures(row.counts)), ends(bar, Content.styled(f"{part * 100:.0f} %", MUTED), width)]


class Engine(Panel):
    """What the looks at the logs cost and found, so that a person can see how little is read."""

    def __init__(self, id: str, title: str, *, is_full: bool = False) -> None:
        super().__init__(id, title)
        self._is_full = is_full

    def show(self, snapshot: Snapshot) -> None:
        before = self._snapshot
        super().show(snapshot)
        if before is None or notices(before) != notices(snapshot):
            self.refresh(layout=True)

    def differs(self, before: Snapshot, now: Snapshot) -> bool:
        """Not for each look that found nothing: only what one sees change is worth painting."""
        same_live = before.look.live == now.look.live
        return super().differs(before, now) or not (now.look.metrics.is_idle and same_live)

    def draw(self, snapshot: Snapshot, width: int, height: int) -> list[Content]:
        now, ever = snapshot.look.metrics, snapshot.look.since_start
        rows = [
            ("", "last look", "in all"),
            ("looks", "1", f"{snapshot.look.number:,}"),
            ("files checked", f"{now.files_checked:,}", f"{ever.files_checked:,}"),
            ("files read", f"{now.files_read:,}", f"{ever.files_read:,}"),
            ("unchanged", text.percent(now.cache_hit_rate), text.percent(ever.cache_hit_rate)),
            ("bytes read", words.size(now.bytes_read), words.size(ever.bytes_read)),
            ("entries parsed", f"{now.entries_parsed:,}", f"{ever.entries_parsed:,}"),
            ("replies new", f"{now.replies_new:,}", f"{ever.replies_new:,}"),
            ("replies grown", f"{now.replies_grown:,}", f"{ever.replies_grown:,}"),
        ]
        if self._is_full:
            rows += [
                ("corrected", f"{now.replies_corrected:,}", f"{ever.replies_corrected:,}"),
                ("gone", f"{now.replies_gone:,}", f"{ever.replies_gone:,}"),
                ("malformed", f"{now.malformed_lines:,}", f"{ever.malformed_lines:,}"),
            ]
        rows.append(("time", words.duration(now.took_s), words.duration(ever.took_s)))
        if live := snapshot.look.live:
            rows.append(("followed by", _followed_by(live), f"{live.pending:,} wait" if live.pending else ""))
            for name, share in (("delay", live.recent.late_ms), ("look", live.recent.took_ms)) if live.recent else ():
                if share is not None:
                    rows.append((f"{name} p50, p99", words.duration(share.p50 / 1000), words.duration(share.p99 / 1000)))
        room = min(width, _MOST_ENGINE_CELLS) - 15
        last_cells = room // 2
        total_cells = room - last_cells
        lines = [
            Content.assemble((f"{name:<15}", MUTED), (f"{last:>{last_cells}}", "" if name else MUTED), (f"{total:>{total_cells}}", MUTED))
            for name, last, total in rows
        ]
        told = (line for notice in notices(snapshot) for line in textwrap.wrap(f"! {notice}", width, subsequent_indent="  "))
        return [*lines, *(Content.styled(line, "$warning") for line in told)]


class Notice(Widget):
    """One line for what is wrong; not there while nothing is."""

    def __init__(self) -> None:
        super().__init__(id="notice")
        self._lines: list[str] = []

    def show(self, snapshot: Snapshot) -> None:
        lines = notices(snapshot)
        if lines != self._lines:
            self._lines = lines
            self.display = bool(lines)
            self.refresh()

    def render(self) -> Content:
        if not self._lines:
            return Content("")
        more = f"  (and {len(self._lines) - 1} more)" if len(self._lines) > 1 else ""
        return Content(f"! {_shortened(self._lines[0], self.content_size.width - len(more) - 2)}{more}")


def notices(snapshot: Snapshot) -> list[str]:
    """What a person has to know, in plain words, the newest first."""
    reasons = [text.safe(told.text) for told in reversed(snapshot.look.degraded)]
    return [*reasons, *(f"{_CANNOT_READ}{text.safe(told.text)}" for told in reversed(snapshot.look.problems))]


def _shortened(notice: str, width: int) -> str:
    """As much of a notice as fits: the beginning of a reason, the end of a path."""
    if text.text_width(notice) <= width:
        return notice
    if not notice.startswith(_CANNOT_READ):
        return words.fit(notice, max(width, 1))
    rest = notice.removeprefix(_CANNOT_READ)
    while rest and text.text_width(rest) > width - len(_CANNOT_READ) - 1:
        rest = rest[1:]
    return f"{_CANNOT_READ}…{rest}"


def _followed_by(live: Live) -> str:
    """How we hear of what is written: by the system, by looking again and again, or from another process."""
    return live.mode if live.leads else f"process {live.leader}"


def _figures(counts: Counts) -> list[Part]:
    return [(f"{words.dollars(counts):>12}", "$gold"), (f"{text.short(counts.total_tokens):>8}", MUTED)]


def _usd(row: Row) -> float:
    """What a row costs at least, for shares; never nothing, so that it can be divided by."""
    return max(row.counts.cost_usd or 0.0, _LEAST_USD)


def ends(left: Content, right: Content, width: int) -> Content:
    """Two texts at the ends of a line."""
    gap = width - left.cell_length - right.cell_length
    return left if gap < 1 or not right.cell_length else left + Content(" " * gap) + right
