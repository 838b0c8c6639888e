"""The price list in use as text for a terminal, and what an import changes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from tokentail.prices.changes import Changes
from tokentail.prices.rows import PriceRow, Source, usd_per_million
from tokentail.reports.grid import ALWAYS, Column, Grid, draw
from tokentail.reports.price_list import Shown
from tokentail.reports.text import Style, cut, safe, text_width
from tokentail.reports.unpriced import Assumed, Used

_WORDS = {"speed": "speed", "geo": "region", "service_tier": "service tier"}
_TERMS = {"web_search": "1,000 web searches cost USD", "batch": "a batch costs ×", "us": "US-only inference costs ×"}


def price_table(shown: Shown, *, width: int, style: Style) -> str:
    """The list as a table of at most `width` columns; below it what holds for all of it, its sources, and what it leaves open."""
    if not shown.rows:
        parts = ["The list has no model of that name."]
    else:
        model, *others = _columns(shown, width)
        rows = draw(Grid([model], others), width=width, style=style)
        parts = ["\n".join(rows), style(_legend(shown, width), "2"), _sources(shown, width, style)]
    parts += [_origin(shown, width), _left_open(shown, width, style)]
    return "\n\n".join(filter(None, parts)) + "\n"


def changes_text(changes: Changes, used: Mapping[str, Used], *, width: int, style: Style) -> str:
    """What an import changes; `used` says how much models were used that lose their price."""
    lines = []
    if changes.new:
        lines += _prose(f"New: {', '.join(map(safe, changes.new))}.", width)
    for changed in changes.changed:
        lines.append(f"Changed: {cut(changed.model, width - 9)}")
        lines += [style(line, "31") for row in changed.gone for line in _prose(f"- {_in_words(row)}", width, indent="    ", first="  ")]
        lines += [style(line, "32") for row in changed.new for line in _prose(f"+ {_in_words(row)}", width, indent="    ", first="  ")]
    for before, after in changes.terms:
        lines.append(f"Changed: {_TERMS[before.name]} {after.number} (before: {before.number})")
    for model in changes.gone:
        was = f", and your store has {_amount(used[model])} of it" if model in used else ""
        lines += _prose(f"Without a price from now on: {cut(model, width)}{was}.", width)
    if changes.thresholds:
        said = "Long prompts begin at other lengths now: the next report adds up anew all that was counted."
        lines += _prose(f"{said} Screens and feeds that are running end then: start them again.", width)
    return "".join(f"{line}\n" for line in lines or ["No price changes."])


def _columns(shown: Shown, width: int) -> list[Column]:
    rows, rates = shown.rows, [row.rate for row in shown.rows]
    times = next(term.number for term in shown.terms if term.name == "us")
    columns = [
        Column("Model", ALWAYS, [cut(row.model, max(24, width // 3)) for row in rows], style="1"),
        Column("From", 1, [_day(row.from_day) for row in rows], right=True),
        Column("Until", 9, [_day(row.until_day) for row in rows], right=True),
        Column("Prompt", 10, [_above(row.above_tokens) for row in rows], right=True),
        Column("Speed", 11, [row.speed for row in rows], right=True),
        Column("Input", ALWAYS, _at_point([rate.input for rate in rates]), style="32", right=True),
        Column("Output", 12, _at_point([rate.output for rate in rates]), style="32", right=True),
        Column("Read", 7, _at_point([rate.cache_read for rate in rates]), style="32", right=True),
        Column("5m", 5, _at_point([rate.cache_write_5m for rate in rates]), style="32", right=True),
        Column("1h", 6, _at_point([rate.cache_write_1h for rate in rates]), style="32", right=True),
        Column("US", 2, [f"× {times}" if row.us_costs_more else "" for row in rows], right=True),
        Column("Src", 3, [",".join(map(str, shown.numbers(row.sources))) for row in rows], right=True),
    ]
    return [column for column in columns if any(column.cells)]


def _legend(shown: Shown, width: int) -> str:
    terms = {term.name: f"{term.number} [{','.join(map(str, shown.numbers(term.sources)))}]" for term in shown.terms}
    text = (
        "USD per million tokens: input, output, read from the cache, written to it for 5 minutes and for 1 hour. Days are UTC; until:"
        " the first day on which the price no longer holds. Before a model's first price that price holds. Prompt: the price of all"
        f" tokens of a longer prompt. US-only inference costs × {terms['us']} where the column US says so, a batch × {terms['batch']},"
        f" 1,000 web searches USD {terms['web_search']}. Src: the numbers of the sources. A narrow terminal has no room for all columns."
    )
    return "\n".join(_prose(text, width))


def _sources(shown: Shown, width: int, style: Style) -> str:
    lines = [style("Sources", "1")]
    for number, source in enumerate(shown.sources, start=1):
        lines += _prose(f"{number:>2}  {_source(source)}", width, indent="    ", first="")
    return "\n".join(lines)


def _source(source: Source) -> str:
    title = " ".join(filter(None, (source.title, source.version)))
    words = [title, source.page, f"read {source.read}" if source.read else ""]
    return ", ".join(cut(word, 200) for word in words if word)


def _origin(shown: Shown, width: int) -> str:
    of_day = f", of {shown.as_of}" if shown.as_of else ""
    which = "The list was imported" if shown.is_imported else "The list is the one that ships with tokentail"
    lines = _prose(f"{which}{of_day}, made from {cut(shown.made_from, 200)}.", width)
    if shown.own_models:
        lines += _prose(f"From your config are the prices of: {', '.join(map(safe, shown.own_models))}.", width)
    for problem in shown.problems:
        lines += _prose(f"!  {safe(problem)}.", width)
    return "\n".join(lines)


def _left_open(shown: Shown, width: int, style: Style) -> str:
    left = shown.left_open
    if left is None:
        return ""
    if shown.is_whole and not left.unpriced and not left.assumed:
        return "All that you have used has a price."
    parts = []
    if left.unpriced:
        said = "No price is known for these models that you have used. Totals with them are lower bounds."
        parts.append([*_prose(said, width), *_amounts([(each.model, each.used) for each in left.unpriced], width, style)])
    if left.assumed:
        said = "No price is known for what the logs say here. The standard price was taken, as a lower bound."
        parts.append([*_prose(said, width), *_amounts([(_assumption(each), each.used) for each in left.assumed], width, style)])
    return "\n\n".join("\n".join(part) for part in parts)


def _assumption(assumed: Assumed) -> str:
    return f"{assumed.model}  {', '.join(f'{_WORDS[name]} {word}' for name, word in assumed.words)}"


def _amounts(used: Sequence[tuple[str, Used]], width: int, style: Style) -> Iterator[str]:
    amounts = [_amount(each) for _, each in used]
    right = max(map(len, amounts))
    names = [cut(name, min(max(24, width - 4 - right), 60)) for name, _ in used]
    left = max(map(text_width, names))
    for name, amount in zip(names, amounts, strict=True):
        yield f"  {style(name, '1')}{' ' * (left - text_width(name))}  {amount:>{right}}"


def _amount(used: Used) -> str:
    return f"{used.replies:,} {'reply' if used.replies == 1 else 'replies'}, {used.total_tokens:,} tokens"


def _in_words(row: PriceRow) -> str:
    when = [
        *([f"from {row.from_day}"] if row.from_day else []),
        *([f"until {row.until_day}"] if row.until_day else []),
        *([f"prompts above {row.above_tokens:,}"] if row.above_tokens else []),
        *([row.speed] if row.speed else []),
    ]
    rate = row.rate
    usd = [
        f"{name} {usd_per_million(pico)}"
        for name, pico in zip(("input", "output", "cache read", "5-minute write", "1-hour write"), rate[:5], strict=True)
    ]
    return f"{', '.join(when)}{': ' if when else ''}{', '.join(usd)}{'; US-only costs more' if row.us_costs_more else ''}"


def _at_point(picos: Sequence[int]) -> list[str]:
    """USD per million, with the points one below the other."""
    texts = [usd_per_million(pico) for pico in picos]
    behind = [len(text.partition(".")[2]) + ("." in text) for text in texts]
    return [text + " " * (max(behind) - length) for text, length in zip(texts, behind, strict=True)]


def _day(day: date | None) -> str:
    return "" if day is None else day.isoformat()


def _above(tokens: int) -> str:
    return "" if not tokens else f"> {tokens // 1000}k" if tokens % 1000 == 0 else f"> {tokens:,}"


def _prose(text: str, width: int, *, indent: str = "", first: str | None = None) -> list[str]:
    first = indent if first is None else first
    return textwrap.wrap(text, min(width, 120), initial_indent=first, subsequent_indent=indent, break_on_hyphens=False)
