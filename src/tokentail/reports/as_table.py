"""Reports as tables that fit the terminal, with what belongs under a row and what to know beside the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tokentail.model import BlockFacts, Counts, Estimated, Pace, Report, Row, SessionFacts
from tokentail.reports import columns, grid, text
from tokentail.reports.columns import KINDS
from tokentail.reports.grid import Column, Grid
from tokentail.reports.names import model_names
from tokentail.reports.text import Style

NOTHING = "No usage in this period.\n"
_MODELS_FROM = 140  # columns of a terminal that has room for the models of a period
_LONGEST_NAME = 40  # cells, in a note
_LONGEST_LABEL = 28  # the same, under a row


class Body(NamedTuple):
    """The lines of a report."""

    counts: list[Counts]
    labels: Mapping[int, str]  # of the lines that are a part of the row above them
    rows: Sequence[int]  # which lines are rows

    def spread(self, column: Column) -> Column:
        """A column that has a cell for each row, as one that has one for each line."""
        if not self.labels:
            return column
        cells = [""] * len(self.counts)
        for line, cell in zip(self.rows, column.cells, strict=True):
            cells[line] = cell
        return column._replace(cells=cells)


def report_table(report: Report, *, width: int, style: Style, breakdown: bool = False) -> str:
    """
    A report as a table of at most `width` columns, with totals, and its notes below.

    Args:
        breakdown: each row's models under it; a report may have them and show only their names.
    """
    if not report.rows:
        return NOTHING
    kind, lines = KINDS[report.name], body(report, breakdown=breakdown)
    leads = [*kind.names(report), *kind.facts(report)]
    others = columns.number_columns(kind.numbers, lines.counts, report.totals)
    others += map(lines.spread, columns.part_columns(report))
    others.append(columns.cost_column(lines.counts, report.totals))
    if kind.shares:
        others.append(columns.share_column(lines.counts, report.totals))
    if kind.bars and len(report.rows) > 1:
        others.append(columns.bar_column(lines.counts, report.totals))
    if lists_models(report.name, width) and not breakdown and report.rows[0].models:
        others.append(lines.spread(columns.models_column(report.rows)))
    sheet = Grid([lines.spread(column) for column in leads], others, lines.labels, total_name(report))
    return "".join(f"{line}\n" for line in grid.draw(sheet, width=width, style=style)) + below(report, width=width, style=style)


def lists_models(report: str, width: int) -> bool:
    """Has a table of that report room for the names of each row's models?"""
    return KINDS[report].models and width >= _MODELS_FROM


def body(report: Report, *, breakdown: bool) -> Body:
    """The report's rows, each with its parts under it."""
    names = model_names({model.key for row in report.rows for model in row.models}) if breakdown else {}
    counts: list[Counts] = []
    labels: dict[int, str] = {}
    places = []
    for row in report.rows:
        places.append(len(counts))
        counts.append(row.counts)
        if names or isinstance(row.about, SessionFacts):
            for label, part in _parts(row, names):
                labels[len(counts)] = label
                counts.append(part)
    return Body(counts, labels, places)


def total_name(report: Report) -> str:
    """The totals are those of all rows, also of those that a limit left out."""
    shown = sum(row.counts.replies for row in report.rows)
    return "Total" if shown == report.totals.replies else "Total of all"


def below(report: Report, *, width: int, style: Style) -> str:
    """What stands under a table: where the running window leads, and what to know beside the numbers."""
    paces = (note for row in report.rows if isinstance(row.about, BlockFacts) and row.about.pace for note in _pace(row, row.about.pace))
    paragraphs = (
        [line for note in paces for line in wrapped(note, width)],
        [style(line, grid.DIM) for note in _notes(report) for line in wrapped(note, width)],
    )
    return "".join(f"{line}\n" for lines in paragraphs if lines for line in ("", *lines))


def wrapped(note: str, width: int) -> list[str]:
    """A note as lines; those that follow stand under its words, not under its sign."""
    lines = [note[:3]]
    for word in note[3:].split(" "):
        if len(lines[-1]) > 3 and text.text_width(lines[-1]) + 1 + text.text_width(word) > width:
            lines.append("   ")
        lines[-1] += word if len(lines[-1]) == 3 else f" {word}"
    return lines


def _parts(row: Row, names: Mapping[str, str]) -> Iterator[tuple[str, Counts]]:
    if names:
        for model in row.models:
            yield f"  {text.cut(names[model.key], _LONGEST_LABEL)}", model.counts
    about = row.about
    if not isinstance(about, SessionFacts) or not about.subagents:
        return
    if not about.agents:
        yield f"  └ {about.subagents:,} subagent{'' if about.subagents == 1 else 's'}", about.by_subagents
    for agent in about.agents:
        yield (
            f"  {'└' if agent is about.agents[-1] else '├'} {text.cut(agent.key, _LONGEST_LABEL) or 'without an id'}",
            agent.counts,
        )


def _pace(row: Row, pace: Pace) -> Iterator[str]:
    now = Counts(cost_usd=pace.cost_usd_per_hour, cost_is_lower_bound=row.counts.cost_is_lower_bound)
    end = now._replace(cost_usd=pace.projected_cost_usd)
    left = text.duration(pace.minutes_left * 60_000)
    rate = f"{text.short(round(pace.tokens_per_minute))} tokens/min, {text.cost(now)} USD/h"
    yield f"{columns.RUNNING}  Running, {left} left. Pace of all usage in it: {rate}."
    yield f"   At this pace it ends at {text.short(pace.projected_tokens)} tokens, {text.cost(end)} USD."


def _notes(report: Report) -> Iterator[str]:
    notes = report.notes
    if notes.not_final_replies:
        replies, them = ("1 reply", "it") if notes.not_final_replies == 1 else (f"{notes.not_final_replies:,} replies", "them")
        yield f"≥  The output of {replies} is a lower bound: the log holds no final count for {them}."
    if report.estimate is not None:
        yield from _of_estimates(report.estimate, report.totals.not_final_replies)
    if notes.unpriced_models:
        yield f"≥  No price is known for: {', '.join(text.cut(name, _LONGEST_NAME) for name in notes.unpriced_models)}."
    if notes.malformed_lines:
        lines, them = ("1 line", "it") if notes.malformed_lines == 1 else (f"{notes.malformed_lines:,} lines", "them")
        yield f"   {lines} that could have held usage could not be read (tokentail verify names {them})."
    if report.logs_read and report.logs_read.bytes_skipped:
        read, skipped = (size / 1e6 for size in report.logs_read)
        yield f"   {read:,.1f} MB of the logs were read; of {skipped:,.1f} MB an index says that they hold nothing of this."
    for reason in notes.degraded:
        yield f"!  {text.safe(reason)}"


def _of_estimates(found: Estimated, not_final: int) -> Iterator[str]:
    from tokentail.estimate import ERROR, LABEL  # hardly ever asked for

    if not not_final:
        yield "~  There is nothing to estimate: all output counts are final."
        return
    rest = f" For {not_final - found.replies:,} there is nothing to estimate from." if found.replies < not_final else ""
    cost = "" if found.cost_usd is None else f" and {found.cost_usd:,.2f} USD"
    yield f"~  With estimates for {found.replies:,} of them: {found.output_tokens:,} output tokens{cost} in all.{rest}"
    yield f"   This is {LABEL}; {ERROR}."
