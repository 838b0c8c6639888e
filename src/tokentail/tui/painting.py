"""The only place that paints past Textual: the lines of one widget at once, from strips that were drawn before."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.control import Control
from textual._compositor import CompositorUpdate
from textual.strip import Strip
from textual.widget import Widget

# A new reply moves every row of the feed. For that Textual renders all widgets that share lines with it, cuts their strips and
# writes them anew, which takes 5 ms; what has been drawn and stays as it is needs only to be written elsewhere, which takes 0.3 ms.


def paint(widget: Widget, strips: Sequence[Strip]) -> bool:
    """
    Write the lines of a widget's content; False where something may lie over it or move it, or there is no terminal: then refresh it.

    What is written is what a refresh would write, so that the two can follow one another in any order.
    """
    app, screen = widget.app, widget.screen
    if app.is_headless or app.screen is not screen or len(app._notifications) or screen._layout_required:
        return False
    placed = screen._compositor.visible_widgets.get(widget)
    if placed is None or placed[1].intersection(placed[0]) != placed[0]:
        return False
    region, ground = widget.content_region, widget.background_colors[1]
    for each in app.get_line_filters():
        strips = [strip.apply_filter(each, ground) for strip in strips]
    app._display(screen, _Lines(region.x, region.y, strips))  # type: ignore[arg-type]  # it takes every CompositorUpdate
    return True


class _Lines(CompositorUpdate):
    """Whole lines of a widget, from its first one on."""

    def __init__(self, x: int, y: int, strips: Sequence[Strip]) -> None:
        self._x, self._y, self._strips = x, y, strips

    def render_segments(self, console: Console) -> str:
        return "".join(
            f"{Control.move_to(self._x, number).segment.text}{strip.render(console)}" for number, strip in enumerate(self._strips, self._y)
        )
