"""
Draw docs/scale.svg from the medians in docs/scale.csv, and print the tables of docs/scale.md.

    python scripts/scale_plot.py            draw it
    python scripts/scale_plot.py --check    say whether it is current; exit code 1 when it is not

`make bench ARGS=scale` leaves such medians in .bench/scale.csv.
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).resolve().parents[1] / "docs"
SOURCE, PICTURE, PAGE = DOCS / "scale.csv", DOCS / "scale.svg", DOCS / "scale.md"
WIDTH, HEIGHT = 940, 690
PANEL_WIDTH, PANEL_HEIGHT, LEFT, TOP, ACROSS, DOWN = 370, 205, 70, 62, 470, 340
KEY_HEIGHT = 17
# Four colours that can be told apart on white and on black, by people who see few colours as well; the dashes say it once more.
STYLE = """
svg { font: 12px system-ui, sans-serif; color-scheme: light dark }
text { fill: #24292f } .title { font-weight: 600; font-size: 13px } .faint { fill: #57606a }
.grid { stroke: #d0d7de; stroke-width: 1 } .line { fill: none; stroke-width: 2 }
.s0 { stroke: #0969da } .s1 { stroke: #bc4c00 } .s2 { stroke: #1a7f37 } .s3 { stroke: #8250df } .all { stroke: #57606a }
.s1 { stroke-dasharray: 7 3 } .s2 { stroke-dasharray: 2 3 } .s3 { stroke-dasharray: 9 3 2 3 } .all { stroke-dasharray: 1 4 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .faint { fill: #9198a1 } .grid { stroke: #30363d }
.s0 { stroke: #58a6ff } .s1 { stroke: #f0883e } .s2 { stroke: #3fb950 } .s3 { stroke: #bc8cff } .all { stroke: #9198a1 }
}
"""

Points = list[tuple[float, float]]


class Series(NamedTuple):
    """A line, and how it is called in the figures and under the plot."""

    style: str
    what: str
    called: str


class Panel(NamedTuple):
    """A plot of figures of one unit by one size."""

    title: str
    curve: str
    by: str
    unit: str
    series: tuple[Series, ...]


TIMES = (
    Series("s0", "a report, nothing new", "a report, nothing new"),
    Series("s1", "a report, a line in a log", "a report, one log has a line more"),
    Series("s2", "a report, a line in each of 100 logs", "a report, a hundred logs have one"),
    Series("s3", "following, a line in a log until it is told", "following, until a line is told"),
)
READS = (
    Series("all", "all logs", "all that the logs hold"),
    Series("s2", "a report, a line in each of 100 logs, read of the logs", "read when a hundred logs have a line more"),
    Series("s1", "a report, a line in a log, read of the logs", "read when one log has one"),
)
PANELS = (
    Panel("How long a refresh takes, by the number of logs", "files", "logs", "ms", TIMES),
    Panel("What it reads of the logs, by their number", "files", "logs", "B", READS),
    Panel("How long a refresh takes, by what the logs hold", "bytes", "GB in logs", "ms", TIMES[:3]),
    Panel("What it reads of the logs, by what they hold", "bytes", "GB in logs", "B", READS),
)

_REFRESHES = {
    "a report, nothing new": "ms",
    "a report, a line in a log": "ms",
    "a report, a line in a log, read of the logs": "B",
    "a report, a line in each of 100 logs": "ms",
    "a report, a line in each of 100 logs, read of the logs": "B",
    "a report, nothing new, peak": "MB",
}
_FOLLOWING = {
    "following, until ready": "ms",
    "following, a line in a log until it is told": "ms",
    "following, a line in each of 100 logs until all are told": "ms",
    "following, memory": "MB",
}
TABLES: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    (
        "files",
        "logs",
        {"all logs": "B", "the first fill": "s", "the first fill, peak of the largest process": "MB", **_REFRESHES, **_FOLLOWING},
    ),
    ("bytes", "GB", {"reading a part": "MB/s", "reading a part, peak of the largest process": "MB", **_REFRESHES}),
)


def main(words: list[str]) -> int:
    found = figures(SOURCE.read_text(encoding="utf-8"))
    drawn = picture(found)
    if "--check" in words:
        told = PAGE.read_text(encoding="utf-8")
        if PICTURE.read_text(encoding="utf-8") == drawn and all(table(found, *each).strip() in told for each in TABLES):
            return 0
        print("docs/scale.svg or the tables of docs/scale.md are not current (run python scripts/scale_plot.py)")
        return 1
    PICTURE.write_text(drawn, encoding="utf-8")
    print("\n".join(table(found, *each) for each in TABLES))
    return 0


def figures(text: str) -> dict[tuple[str, str], Points]:
    """The points of each curve and measurement, the least size first."""
    found: dict[tuple[str, str], Points] = {}
    for row in csv.DictReader(text.splitlines()):
        found.setdefault((row["curve"], row["what"]), []).append((float(row["size"]), float(row["median"])))
    return {key: sorted(points) for key, points in found.items()}


def picture(found: dict[tuple[str, str], Points]) -> str:
    """The whole SVG; the same figures give the same bytes."""
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">']
    parts.append("<title>How tokentail scales: time and bytes of a refresh, by the number of logs and by what they hold</title>")
    parts.append(f"<style>{STYLE}</style>")
    for number, panel in enumerate(PANELS):
        lines = [(each, found[panel.curve, each.what]) for each in panel.series if (panel.curve, each.what) in found]
        parts.append(f'<g transform="translate({LEFT + number % 2 * ACROSS} {TOP + number // 2 * DOWN})">')
        parts += _panel(panel, lines)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def table(found: dict[tuple[str, str], Points], curve: str, by: str, whats: Mapping[str, str]) -> str:
    """Figures as a table of Markdown: a row for each measurement, a column for each size, at most four of them."""
    sizes = sorted({size for (where, _), points in found.items() for size, _ in points if where == curve})
    chosen = [sizes[round(number * (len(sizes) - 1) / 3)] for number in range(4)] if len(sizes) > 4 else sizes
    rows = [["", *(f"{_grouped(size)} {by}" for size in chosen)], ["---", *["---:"] * len(chosen)]]
    for what, unit in whats.items():
        values = dict(found.get((curve, what), ()))
        rows.append([what, *(_said(values[size], unit) if size in values else "" for size in chosen)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


class Scale(NamedTuple):
    """A logarithmic axis."""

    low: float  # exponents of ten
    high: float
    length: float

    def place(self, value: float) -> float:
        return (math.log10(value) - self.low) / (self.high - self.low) * self.length

    @property
    def ticks(self) -> list[float]:
        return [10.0**exponent for exponent in range(math.ceil(self.low), math.floor(self.high) + 1)]


def _panel(panel: Panel, lines: Sequence[tuple[Series, Points]]) -> Iterator[str]:
    across = _scale([x for _, points in lines for x, _ in points], PANEL_WIDTH, whole=False)
    up = _scale([y for _, points in lines for _, y in points], PANEL_HEIGHT, whole=True)
    yield f'<text class="title" x="0" y="-14">{panel.title}</text>'
    for value in up.ticks:
        y = PANEL_HEIGHT - up.place(value)
        yield f'<path class="grid" d="M0 {y:.1f}H{PANEL_WIDTH}"/>'
        yield f'<text class="faint" x="-8" y="{y + 4:.1f}" text-anchor="end">{_shown(value, panel.unit)}</text>'
    for value in sorted({x for _, points in lines for x, _ in points if len(points) <= 3} | set(across.ticks)):
        yield f'<path class="grid" d="M{across.place(value):.1f} {PANEL_HEIGHT}v5"/>'
        yield f'<text class="faint" x="{across.place(value):.1f}" y="{PANEL_HEIGHT + 19}" text-anchor="middle">{_grouped(value)}</text>'
    yield f'<text class="faint" x="{PANEL_WIDTH}" y="{PANEL_HEIGHT + 34}" text-anchor="end">{panel.by}</text>'
    for number, (series, points) in enumerate(lines):
        steps = " ".join(f"{across.place(x):.1f},{PANEL_HEIGHT - up.place(y):.1f}" for x, y in points)
        yield f'<polyline class="line {series.style}" points="{steps}"/>'
        y = PANEL_HEIGHT + 34 + number * KEY_HEIGHT
        yield f'<path class="line {series.style}" d="M0 {y - 4}h30"/><text x="38" y="{y}">{series.called}</text>'


def _scale(values: Sequence[float], length: float, *, whole: bool) -> Scale:
    """An axis that holds all values; `whole` begins and ends it at powers of ten."""
    low, high = math.log10(min(values)), math.log10(max(values))
    if whole:
        low, high = math.floor(low), math.ceil(high)
    return Scale(low, high if high > low else low + 1, length)


def _shown(value: float, unit: str) -> str:
    """With the unit that leaves a short number."""
    steps = {"ms": (("s", 1e3), ("ms", 1.0)), "B": (("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0))}[unit]
    name, size = next((step for step in steps if value >= step[1]), steps[-1])
    return f"{value / size:g} {name}"


def _said(value: float, unit: str) -> str:
    """In three figures."""
    for longer, bigger, most in (("ms", "s", 1000.0), ("B", "kB", 1000.0), ("kB", "MB", 1000.0), ("MB", "GB", 1000.0)):
        if unit == longer and value >= most:
            value, unit = value / most, bigger
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def _grouped(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ") if value >= 1 else f"{value:.2g}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
