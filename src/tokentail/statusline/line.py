"""The only place that writes the status line: a template, and what goes into its places."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tokentail.config import STATUSLINE_NAMES
from tokentail.model import Counts
from tokentail.reports import text
from tokentail.statusline.figures import Figures
from tokentail.statusline.said import Said

SEPARATOR = " | "
_MUCH, _NEARLY_ALL = 75, 90  # percent
_WIDEST = 40  # cells of a name


def line(template: str, said: Said, figures: Figures, style: text.Style, now_ms: int) -> str:
    """One line; a part between two separators of which something is unknown is left out."""
    values = {name: value for name, value in _values(said, figures, style, now_ms).items() if value}
    parts = [_filled(part, values) for part in template.split(SEPARATOR)]
    return SEPARATOR.join(part for part in parts if part)


def _filled(part: str, values: Mapping[str, str]) -> str:
    names = [name for name in STATUSLINE_NAMES if f"{{{name}}}" in part]
    if any(name not in values for name in names):
        return ""
    # In one go: a name from outside may look like a place.
    pieces = part.split("{")
    return pieces[0] + "".join(values[name] + rest for name, _, rest in (piece.partition("}") for piece in pieces[1:]))


def _values(said: Said, figures: Figures, style: text.Style, now_ms: int) -> dict[str, str]:
    burn = figures.last_hour
    used = {kind: _percent(percent, style, is_said=is_said) for kind, (percent, is_said) in figures.limits.items()}
    left = {f"{kind}_left": text.duration(at_ms - now_ms) for kind, at_ms in figures.resets_ms.items() if at_ms > now_ms}
    context = None if said.context_percent is None else _percent(said.context_percent, style, is_said=True)
    return {
        "model": text.cut(said.model, _WIDEST),
        "session": _cost(figures.session),
        "today": _cost(figures.today),
        "burn": _cost(burn),
        "context": context or "",
        **used,
        **left,
    }


def _cost(counts: Counts | None) -> str:
    if counts is None:
        return ""
    cost = text.cost(counts)
    return f"≥${cost[2:]}" if cost.startswith("≥ ") else f"${cost}"


def _percent(percent: float, style: Callable[[str, str], str], *, is_said: bool) -> str:
    colour = "31" if percent >= _NEARLY_ALL else "33" if percent >= _MUCH else ""
    return style(f"{'' if is_said else '~'}{percent:.0f}%", colour)
